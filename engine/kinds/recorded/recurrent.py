"""A policy of sb3-contrib that has an LSTM: what it says of a record depends on the steps before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Categorical, Distribution, Normal

from engine.core.policy import Evaluation, Inputs
from engine.errors import BadInputError
from engine.kinds.control.agents import Acts
from engine.kinds.recorded.memory import PLACE, STARTS, STATES, remembers
from engine.kinds.recorded.policy import StableBaselinesPolicy, plain
from engine.kinds.recorded.step_sequences import Sequences, in_groups, in_rows


class RecurrentPolicy(StableBaselinesPolicy):
    """A `RecurrentActorCriticPolicy`.

    Records of a batch that follow each other are a sequence. It begins with the states that were recorded before its first
    step; from there on they are the policy's own.
    """

    has_memory = True

    def encode(self, observation: Any) -> Inputs:
        """Observations with what was in memory.

        Raises:
            BadInputError: that was not recorded beside them, or is of another LSTM.
        """
        if not remembers(observation):
            raise BadInputError(
                "a policy with an LSTM needs what it had in memory beside an observation; name a record"
            )
        n, lstm = len(observation[PLACE]), self._theirs.lstm_actor
        names = [*STATES["actor"], *(STATES["critic"] if self._theirs.lstm_critic is not None else ())]
        wanted: dict[str, tuple[int, ...]] = dict.fromkeys(names, (n, lstm.num_layers, lstm.hidden_size))
        for name, shape in (wanted | {PLACE: (n,), STARTS: (n,)}).items():
            if np.shape(observation.get(name)) != shape:
                raise BadInputError(
                    f"{name} of the records is not what this policy has in memory: its shape must be {shape}"
                )
        return super().encode(observation)

    def serves_value(self, name: str) -> bool:
        """An LSTM that is the actor's alone does not, either."""
        own = name.startswith("lstm_actor.") and not self._theirs.shared_lstm
        return not own and super().serves_value(name)

    def forward(self, inputs: Inputs, action: Tensor, with_value: bool = True) -> Evaluation:
        """What the module says of n records: in training as the trainer asks it, else in groups of similar length."""
        groups = in_groups(plain(inputs), together=self.training)
        log_prob, entropy, value = zip(*(self._said(rows, action, with_value) for rows in groups), strict=True)
        found = in_rows(groups, log_prob), in_rows(groups, entropy)
        return Evaluation(*found, None if value[0] is None else in_rows(groups, value))

    def _said(self, rows: Sequences, action: Tensor, with_value: bool) -> Evaluation:
        """Of the records of some sequences."""
        taken, value = rows.fill_up(action), None
        if with_value or not self._is_as_published:
            states = _both(rows.states("actor"), rows.states("critic"))
            value, log_prob, entropy = self._theirs.evaluate_actions(rows.seen, taken, states, rows.starts)
        else:
            said, _ = self._theirs.get_distribution(rows.seen, rows.states("actor"), rows.starts)
            log_prob, entropy = said.log_prob(taken), said.entropy()
        entropy = -log_prob if entropy is None else entropy
        return Evaluation(log_prob, entropy, None if value is None else value.flatten()).take(rows.where)

    @torch.no_grad()
    def value(self, observation: Any) -> NDArray[np.float32]:
        """V(s): (n, ...) observations -> (n,)."""
        groups = in_groups(self.encode(observation), together=False)
        found = [
            self._theirs.predict_values(rows.seen, rows.states("critic"), rows.starts)[rows.where] for rows in groups
        ]
        return np.asarray(in_rows(groups, found).flatten().numpy())

    @torch.no_grad()
    def action_parameters(self, observation: Any) -> tuple[Tensor, Tensor | None]:
        """As `StableBaselinesPolicy.action_parameters`, of observations with what was in memory."""
        if self.cannot_act:
            raise BadInputError(f"this policy's probabilities are not shown: {self.cannot_act}")
        groups = in_groups(self.encode(observation), together=False)
        first, second = [], []
        for rows in groups:
            said, _ = self._theirs.get_distribution(rows.seen, rows.states("actor"), rows.starts)
            output, deviation = self._as_parameters(said.distribution)
            first.append(output[rows.where])
            second += [] if deviation is None else [deviation[rows.where]]
        return in_rows(groups, first), in_rows(groups, second) if second else None

    def distributions(self, observation: Any) -> list[Distribution]:
        """As `StableBaselinesPolicy.distributions`, where `action_parameters` are known."""
        output, deviation = self.action_parameters(observation)
        return [Categorical(logits=output) if deviation is None else Normal(output, deviation)]

    def actor_features(self, observation: Any) -> NDArray[np.float32]:
        """Not known here."""
        raise BadInputError(
            "features of a policy with an LSTM are not shown: they are of the steps before a state, too"
        )

    @property
    def no_rollouts(self) -> str:
        """It is played from an episode's beginning."""
        return "a policy with an LSTM acts by what it has in memory, which it gets from an episode's beginning on"

    def act(self, observation: Any, noise: NDArray[np.float64]) -> NDArray[Any]:
        """Not in a state alone, see `begin_episodes`.

        Raises:
            BadInputError: in any case.
        """
        raise BadInputError(f"this policy can't be played from a state: {self.no_rollouts}")

    def begin_episodes(self, n: int) -> Acts:
        """What acts in n episodes from their first steps on, with a memory of each."""
        lstm = self._theirs.lstm_actor
        hidden, cell = torch.zeros(2, lstm.num_layers, n, lstm.hidden_size)

        @torch.no_grad()
        def act(observation: Any, noise: NDArray[np.float64], which: NDArray[np.int64]) -> NDArray[Any]:
            shown = StableBaselinesPolicy.encode(self, observation)
            states = hidden[:, which], cell[:, which]
            said, after = self._theirs.get_distribution(shown, states, torch.zeros(len(which)))
            hidden[:, which], cell[:, which] = after
            return self._drawn(said.distribution, noise)

        return act


def _both(actor: tuple[Tensor, Tensor], critic: tuple[Tensor, Tensor]) -> Any:
    from sb3_contrib.common.recurrent.type_aliases import RNNStates

    return RNNStates(actor, critic)

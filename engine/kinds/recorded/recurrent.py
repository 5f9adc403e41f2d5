"""A policy of sb3-contrib that has an LSTM: what it says of a record depends on the steps before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.core.policy import Evaluation, Inputs
from engine.errors import BadInputError
from engine.kinds.recorded.policy import RecordedPolicy, StableBaselinesPolicy, plain
from engine.kinds.recorded.sequences import PLACE, PREFIX, STARTS, STATES, Sequences, has_sequences


class RecurrentPolicy(StableBaselinesPolicy):
    """A `RecurrentActorCriticPolicy`.

    Records of a batch that follow each other are a sequence. It begins with the states that were recorded before its first
    step; from there on they are the policy's own.
    """

    has_memory = True

    def encode(self, observation: Any) -> Inputs:
        """Observations with what the LSTM had in memory.

        Raises:
            BadInputError: its states were not recorded beside them, or are of another LSTM.
        """
        if not has_sequences(observation):
            raise BadInputError("a policy with an LSTM needs its states beside an observation; name a record")
        lstm, n = self._theirs.lstm_actor, len(observation[PLACE])
        shape = (n, lstm.num_layers, lstm.hidden_size)
        who = STATES if self._theirs.lstm_critic is not None else ("actor",)
        for name in (name for each in who for name in STATES[each]):
            if np.shape(observation.get(name)) != shape:
                raise BadInputError(f"the recorded {name} are not the states of this policy, which are {shape}")
        return super().encode(observation)

    def forward(self, inputs: Inputs, action: Tensor, with_value: bool = True) -> Evaluation:
        """What the module says of n records, in sequences."""
        given = plain(inputs)
        rows = Sequences(given)
        seen, starts = self._seen(rows, given), rows.fill_up(given[STARTS]).float()
        actor, taken = rows.states(given, "actor"), rows.fill_up(action)
        if with_value or not self._is_as_published:
            states = _states(actor, rows.states(given, "critic"))
            value, log_prob, entropy = self._theirs.evaluate_actions(seen, taken, states, starts)
        else:
            said, _ = self._theirs.get_distribution(seen, actor, starts)
            value, log_prob, entropy = None, said.log_prob(taken), said.entropy()
        entropy = -log_prob if entropy is None else entropy
        whole = Evaluation(log_prob, entropy, None if value is None else value.flatten())
        return whole.take(rows.where)

    @torch.no_grad()
    def value(self, observation: Any) -> NDArray[np.float32]:
        """V(s): (n, ...) observations -> (n,)."""
        given = self.encode(observation)
        rows = Sequences(given)
        starts = rows.fill_up(given[STARTS]).float()
        found = self._theirs.predict_values(self._seen(rows, given), rows.states(given, "critic"), starts)
        return np.asarray(found.flatten()[rows.where].numpy())

    @property
    def cannot_act(self) -> str:
        """It acts by what it has in memory."""
        return "what it does depends on the steps before it, and it is not stepped through them here"

    def action_parameters(self, observation: Any) -> tuple[Tensor, Tensor | None]:
        """Not of single states."""
        return RecordedPolicy.action_parameters(self, observation)

    def actor_features(self, observation: Any) -> NDArray[np.float32]:
        """Not of single states."""
        return RecordedPolicy.actor_features(self, observation)

    @staticmethod
    def _seen(rows: Sequences, given: dict[str, Tensor]) -> Any:
        parts = {name: rows.fill_up(part) for name, part in given.items() if not name.startswith(PREFIX)}
        return parts["observation"] if parts.keys() == {"observation"} else parts


def _states(actor: tuple[Tensor, Tensor], critic: tuple[Tensor, Tensor]) -> Any:
    from sb3_contrib.common.recurrent.type_aliases import RNNStates

    return RNNStates(actor, critic)

"""A recorded policy as the core wants it: another trainer's module, under its own names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Distribution

from engine.core.policy import Evaluation, Inputs, Policy, WithColumns
from engine.errors import BadInputError
from engine.kinds.recorded.loss import WithLosses, WithValue
from engine.kinds.recorded.snapshot import MASK

Evaluate = Callable[..., tuple[Tensor, "Tensor | None", Tensor]]
"""(module, observation, action) -> log_prob (n,), entropy (n,) or None, value (n,); rows in order."""
Terms = Callable[..., tuple[Tensor, Tensor, Tensor]]
"""(module, observation, action, *, log_prob, value, advantage, returns, **extra) -> (n,) losses of policy, value, entropy."""


class RecordedPolicy(Policy):
    """Somebody else's module. It holds the module's own layers under the module's own names."""

    def __init__(self, theirs: nn.Module, evaluate: Evaluate, terms: Terms | None = None) -> None:
        super().__init__()
        self.evaluate, self.terms = evaluate, terms
        vars(self)["theirs"] = theirs  # no child: its layers would have a second name
        for held in ("_parameters", "_buffers", "_modules"):
            vars(self)[held] = getattr(theirs, held)

    def train(self, mode: bool = True) -> RecordedPolicy:
        """The module's mode, and that of its layers."""
        vars(self)["theirs"].train(mode)
        self.training = mode
        return self

    def encode(self, observation: Any) -> Inputs:
        """Observations as the trainer's buffer had them."""
        if isinstance(observation, dict):
            return {name: RecordedPolicy.encode(self, part) for name, part in observation.items()}
        return torch.as_tensor(np.asarray(observation), device=self.device)

    def forward(self, inputs: Inputs, action: Tensor, with_value: bool = True) -> Evaluation:
        """What the module says of n records; with the losses, where it is shown the columns that they are made of."""
        if isinstance(inputs, WithColumns):
            losses = self._losses(inputs, action)
            with self._quiet():
                return WithLosses.of(self(inputs.inputs, action, with_value), losses)
        log_prob, entropy, value = self.evaluate(vars(self)["theirs"], plain(inputs), action)
        return Evaluation(log_prob, -log_prob if entropy is None else entropy, value if with_value else None)

    def _losses(self, inputs: WithColumns, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.terms is None:
            raise BadInputError(
                "the loss of this run has terms of its own: what rebuilds its policy must return agent, evaluate and terms"
            )
        found = self.terms(vars(self)["theirs"], inputs.inputs, action, **inputs.columns)
        parts = tuple(found) if isinstance(found, tuple | list) else ()
        if len(parts) != 3 or any(not isinstance(part, Tensor) or part.shape != (len(action),) for part in parts):
            raise BadInputError(
                "terms must return three tensors, the losses of policy, value and entropy, one number a record"
            )
        return parts

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """In evaluation mode, in which layers draw nothing and keep their statistics."""
        if not self.training:
            yield
            return
        self.train(False)
        try:
            yield
        finally:
            self.train(True)

    @torch.no_grad()
    def log_prob(self, observation: Any, action: NDArray[Any]) -> NDArray[np.float32]:
        """Log pi(a|s): (n,)."""
        return np.asarray(self(self.encode(observation), self.as_tensor(action), False).log_prob.numpy())

    @property
    def cannot_act(self) -> str:
        """Why its actions can't be drawn here from numbers of their own; empty where they can."""
        return "what it would do in a state is known to its own code alone"

    @property
    def no_rollouts(self) -> str:
        """Why it can't be played from a state in which a record was made; empty where it can."""
        return self.cannot_act

    def action_parameters(self, observation: Any) -> tuple[Tensor, Tensor | None]:
        """(n, ...) observations -> (n, actions) logits and None, or (n, d) means and (n, d) standard deviations.

        Raises:
            BadInputError: they are not known here.
        """
        raise BadInputError(f"this policy's probabilities are not shown: {self.cannot_act}")

    def distributions(self, observation: Any) -> Sequence[Distribution]:
        """pi(.|s); not known here."""
        raise BadInputError(f"this policy's probabilities are not known: {self.cannot_act}")

    def actor_features(self, observation: Any) -> NDArray[np.float32]:
        """What the action layer is given; not known here."""
        raise BadInputError(f"this policy's features are not shown: {self.cannot_act}")

    def draw_noise(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """The random numbers that `act` turns into n actions; not known here."""
        raise BadInputError(f"this policy can't be played: {self.cannot_act}")


class StableBaselinesPolicy(RecordedPolicy):
    """An `ActorCriticPolicy` of Stable-Baselines3."""

    def __init__(self, theirs: Any) -> None:
        super().__init__(theirs, evaluate_actions)
        self.discrete = type(theirs.action_space).__name__ == "Discrete"
        self.counted = type(theirs.observation_space).__name__ == "Discrete"

    def encode(self, observation: Any) -> Inputs:
        """As the rollout buffer gives them to the update: a discrete observation has a column of its own."""
        inputs = super().encode(observation)
        if self.counted and isinstance(inputs, dict):
            return {**inputs, "observation": inputs["observation"].reshape(-1, 1)}
        return inputs.reshape(-1, 1) if self.counted else inputs

    def serves_value(self, name: str) -> bool:
        """The policy's own layers don't, but for a feature extractor that is shared."""
        own = ("mlp_extractor.policy_net.", "action_net.", "log_std")
        apart = () if self._theirs.share_features_extractor else ("features_extractor.", "pi_features_extractor.")
        return not name.startswith(own + apart)

    @property
    def _theirs(self) -> Any:
        return vars(self)["theirs"]

    @property
    def _is_as_published(self) -> bool:
        return type(self._theirs).__module__.startswith(("stable_baselines3.", "sb3_contrib."))

    def forward(self, inputs: Inputs, action: Tensor, with_value: bool = True) -> Evaluation:
        """Without the value, the critic of a policy of Stable-Baselines3 itself is not run.

        One of somebody's own may evaluate actions in a way of its own, and that is what it was trained by.
        """
        if with_value or not self._is_as_published:
            return super().forward(inputs, action, with_value)
        said = self._theirs.get_distribution(*unmasked(plain(inputs)))
        log_prob, entropy = said.log_prob(action), said.entropy()
        return Evaluation(log_prob, -log_prob if entropy is None else entropy, None)

    @torch.no_grad()
    def value(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """V(s): (n, ...) observations -> (n,)."""
        return np.asarray(self._theirs.predict_values(unmasked(self.encode(observation))[0]).flatten().numpy())

    @torch.no_grad()
    def action_parameters(self, observation: Any) -> tuple[Tensor, Tensor | None]:
        """(n, ...) observations -> (n, actions) logits and None, or (n, d) means and (n, d) standard deviations.

        Raises:
            BadInputError: the actions have another distribution.
        """
        if self.cannot_act and type(self._theirs.action_dist).__name__ != "MaskableCategoricalDistribution":
            raise BadInputError(f"this policy's probabilities are not shown: {self.cannot_act}")
        [said] = self.distributions(observation)
        return self._as_parameters(said)

    def _as_parameters(self, said: Any) -> tuple[Tensor, Tensor | None]:
        return (said.logits, None) if self.discrete else (said.mean, said.stddev)

    @torch.no_grad()
    def distributions(self, observation: Any) -> list[Any]:
        """pi(.|s): several discrete actions have a part each. Squashed actions have that of what is squashed, and the same KL."""
        said = self._theirs.get_distribution(*unmasked(self.encode(observation)))
        held = getattr(said, "distributions", None) or said.distribution
        return list(held) if isinstance(held, Sequence) else [held]

    @torch.no_grad()
    def actor_features(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """What the action layer is given: (n, ...) observations -> (n, d)."""
        features = self._theirs.extract_features(unmasked(self.encode(observation))[0])
        own = features if self._theirs.share_features_extractor else features[0]
        return np.asarray(self._theirs.mlp_extractor.forward_actor(own).numpy())

    @property
    def cannot_act(self) -> str:
        """Why its actions can't be drawn here from numbers of their own; empty where they can."""
        known = ("CategoricalDistribution", "DiagGaussianDistribution")
        name = type(self._theirs.action_dist).__name__
        if name.startswith("Maskable"):
            return "which actions are allowed is known to its environment alone"
        return "" if name in known else f"actions of a {name} are not drawn here"

    def draw_noise(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """The random numbers that `act` turns into n actions."""
        if self.cannot_act:
            raise BadInputError(f"this policy can't be played: {self.cannot_act}")
        if self.discrete:
            return rng.random((n, 1))
        return rng.standard_normal((n, int(np.prod(self._theirs.action_space.shape))))

    @torch.no_grad()
    def act(self, observation: NDArray[Any], noise: NDArray[np.float64]) -> NDArray[Any]:
        """One action per observation, from its row of noise."""
        [said] = self.distributions(observation)
        return self._drawn(said, noise)

    def _drawn(self, said: Any, noise: NDArray[np.float64]) -> NDArray[Any]:
        if self.discrete:
            cumulative = said.probs.numpy().cumsum(-1)
            return np.asarray((cumulative < noise * cumulative[:, -1:]).sum(-1).clip(max=cumulative.shape[-1] - 1))
        return np.asarray((said.mean + said.stddev * torch.as_tensor(noise, dtype=said.mean.dtype)).numpy())


def plain(inputs: Inputs) -> Inputs:
    """What the module itself takes."""
    return inputs.inputs if isinstance(inputs, WithValue | WithColumns) else inputs


def unmasked(inputs: Inputs) -> tuple[Any, ...]:
    """What a policy takes of observations, and after it which actions were allowed, where that was recorded."""
    if not isinstance(inputs, dict) or MASK not in inputs:
        return (inputs,)
    rest = {name: part for name, part in inputs.items() if name != MASK}
    return (rest["observation"] if rest.keys() == {"observation"} else rest), inputs[MASK]


def evaluate_actions(theirs: Any, inputs: Inputs, action: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
    """As the update asks Stable-Baselines3's policies."""
    observation, *mask = unmasked(inputs)
    value, log_prob, entropy = theirs.evaluate_actions(observation, action, *mask)
    return log_prob, entropy, value.flatten()

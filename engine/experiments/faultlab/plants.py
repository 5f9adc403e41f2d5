"""What can be planted, each in a gross and a mild form. None of it shows in the recorded settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.gae import gae
from engine.kinds.control.agents import begin_agent, restore_agent
from engine.kinds.control.learner import ControlLearner
from engine.kinds.control.snapshot import ControlSnapshot
from engine.kinds.control.stepper import Step

Change = Callable[[ControlLearner, float, np.random.Generator], ControlSnapshot]
"""Collects a round with something wrong, at a strength."""


@dataclass(frozen=True)
class Plant:
    """A fault, and what a right answer calls it."""

    name: str
    verdict: str
    gross: float
    mild: float
    forms: str
    """What the gross and the mild one are."""
    collect: Change = lambda learner, _strength, _rng: learner.collect()
    rate: bool = False
    """The strength is a factor of the learning rate of this update."""

    def __repr__(self) -> str:
        return f"Plant({self.name})"

    def train(self, learner: ControlLearner, strength: float, rng: np.random.Generator) -> tuple[ControlSnapshot, Any]:
        """One round with it: the snapshot as it is recorded, and the update's metrics."""
        snapshot = self.collect(learner, strength, rng)
        usual = learner.config
        if self.rate:
            _put(learner, learner.agent.tensors(), replace(usual, learning_rate=usual.learning_rate * strength))
        metrics = learner.update(snapshot)
        if self.rate:
            _put(learner, learner.agent.tensors(), usual)
        return snapshot, metrics


class _Spoiled:
    """Environments whose rewards or observations are changed on the way."""

    def __init__(self, environments: Any, step: Callable[[Step], Step], show: Callable[[Any], Any]) -> None:
        self._environments, self._step, self._show = environments, step, show

    def __getattr__(self, name: str) -> Any:
        return getattr(self._environments, name)

    def __len__(self) -> int:
        return len(self._environments.envs)

    @property
    def observation(self) -> NDArray[Any]:
        """What the network sees."""
        return np.asarray(self._show(self._environments.observation.copy()))

    def step(self, action: NDArray[Any]) -> Step:
        """What comes of a step."""
        outcome: Step = self._environments.step(action)
        final = {i: self._show(last[None].copy())[0] for i, last in outcome.final_observation.items()}
        return self._step(outcome)._replace(final_observation=final)


def _collected(
    learner: ControlLearner,
    step: Callable[[Step], Step] = lambda outcome: outcome,
    show: Callable[[Any], Any] = lambda observation: observation,
) -> ControlSnapshot:
    """A round from environments that are spoiled while it is collected."""
    sound = learner.environments
    learner.environments = _Spoiled(sound, step, show)  # type: ignore[assignment]
    try:
        return learner.collect()
    finally:
        learner.environments = sound


def _sign(learner: ControlLearner, share: float, rng: np.random.Generator) -> ControlSnapshot:
    """Rewards with the wrong sign, all of them or a share of the steps."""

    def turned(outcome: Step) -> Step:
        sign = np.where(rng.random(len(outcome.reward)) < share, -1, 1).astype(np.float32)
        return outcome._replace(reward=outcome.reward * sign, scaled_reward=outcome.scaled_reward * sign)

    return _collected(learner, step=turned)


def _observation(learner: ControlLearner, share: float, rng: np.random.Generator) -> ControlSnapshot:
    """One number of the observations stands still at what it is at first, or jumps there now and then."""
    environments = learner.environments
    assert environments is not None, "it collects"
    shown = environments.observation
    component = 0 if shown.ndim == 1 else int(rng.integers(shown[0].size))
    still = shown.reshape(len(shown), -1)[0, component].item()

    def broken(observation: NDArray[Any]) -> NDArray[Any]:
        flat = observation.reshape(len(observation), -1)
        flat[rng.random(len(flat)) < share, component] = still
        return flat.reshape(observation.shape)

    return _collected(learner, show=broken)


def _corrupted(learner: ControlLearner, share: float, rng: np.random.Generator) -> ControlSnapshot:
    """The advantages of a share of the records change places."""
    snapshot = learner.collect()
    advantage = snapshot.buffer.advantage.copy()
    some = rng.choice(len(advantage), max(2, round(share * len(advantage))), replace=False)
    advantage[some] = advantage[np.roll(some, 1)]
    return _with_advantages(snapshot, advantage)


def _critic(learner: ControlLearner, share: float, rng: np.random.Generator) -> ControlSnapshot:
    """The critic is set anew before the round, or goes a part of the way there."""
    spaces = learner.observation_space, learner.action_space
    fresh = begin_agent(replace(learner.config, seed=int(rng.integers(2**31))), *spaces).tensors()
    tensors = {
        name: ((1 - share) * tensor + share * fresh[name]).astype(tensor.dtype)
        if name.startswith("parameter/critic")
        else tensor
        for name, tensor in learner.agent.tensors().items()
    }
    _put(learner, tensors, learner.config)
    return learner.collect()


def _gamma(learner: ControlLearner, gamma: float, rng: np.random.Generator) -> ControlSnapshot:
    """Advantages are computed with another discount."""
    usual = learner.config
    learner.config = replace(usual, gamma=gamma)
    try:
        return replace(learner.collect(), config=usual)
    finally:
        learner.config = usual


def _advantages_of_negated_rewards(learner: ControlLearner, share: float, rng: np.random.Generator) -> ControlSnapshot:
    """The record shows the right rewards, and advantages are made of negated ones."""
    snapshot = learner.collect()
    buffer, config = snapshot.buffer, snapshot.config
    shape = (-1, config.n_envs)
    value = buffer.value.reshape(shape)
    ends = buffer.terminated.reshape(shape), buffer.truncated.reshape(shape)
    reward, gamma, gae_lambda = -buffer.reward.reshape(shape), config.gamma, config.gae_lambda
    found = gae(reward, value, *ends, value, value[-1], gamma=gamma, gae_lambda=gae_lambda)
    return _with_advantages(snapshot, (share * found.ravel() + (1 - share) * buffer.advantage).astype(np.float32))


def _with_advantages(snapshot: ControlSnapshot, advantage: NDArray[np.float32]) -> ControlSnapshot:
    returns = (advantage + snapshot.buffer.value).astype(np.float32)
    return replace(snapshot, buffer=replace(snapshot.buffer, advantage=advantage, returns=returns))


def _put(learner: ControlLearner, tensors: Mapping[str, NDArray[Any]], config: Any) -> None:
    learner.agent = restore_agent(config, learner.observation_space, learner.action_space, tensors)


PLANTS = {
    plant.name: plant
    for plant in (
        Plant("nothing", "", 0.0, 0.0, ""),
        Plant("sign", "environment", 1.0, 0.25, "all, a quarter of the steps", _sign),
        Plant("observation", "environment", 1.0, 0.25, "stands still, jumps in a quarter of the steps", _observation),
        Plant("negated advantages", "environment", 1.0, 1.0, "one form", _advantages_of_negated_rewards),
        Plant("corrupted", "records", 0.25, 0.01, "25 %, 1 % of the advantages", _corrupted),
        Plant("rate", "step", 30.0, 3.0, "x 30, x 3", rate=True),
        Plant("critic", "critic", 1.0, 0.1, "set anew, a tenth of the way there", _critic),
        Plant("gamma", "advantages", 0.5, 0.97, ".5, .97 for .99", _gamma),
    )
}
"""By name. `verdict` is the fault that checks should name; empty: none."""

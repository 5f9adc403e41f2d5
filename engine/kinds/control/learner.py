"""A control task's training in memory, between two rounds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from engine.config import TrainConfig
from engine.core.checkpoint import fingerprint, restore_rng, rng_tensors
from engine.core.learner import Learner
from engine.core.objective import draw_minibatches, explained_variance
from engine.environment_spec import EnvironmentSpec
from engine.envs import trainable
from engine.envs.names import Names
from engine.errors import BadNumberError
from engine.kinds.control.agents import Agent, begin_agent
from engine.kinds.control.evaluation import Player
from engine.kinds.control.networks import ActorCritic
from engine.kinds.control.normalization import Normalizer, begin_normalizer, normalizer_at
from engine.kinds.control.recorded_environment import environment_of
from engine.kinds.control.repeats import with_repeats
from engine.kinds.control.rollout import collect
from engine.kinds.control.snapshot import ControlSnapshot
from engine.kinds.control.stepper import StateNotRestoredError, VectorEnvironment
from engine.spaces import Space
from engine.store.manifest import Parent, RunManifest


@dataclass
class ControlLearner(Learner[ControlSnapshot]):
    """A training run in memory, between two rounds."""

    config: TrainConfig
    agent: Agent
    observation_space: Space
    action_space: Space
    environments: VectorEnvironment | None
    """None where nothing more is to be collected."""
    action_rng: np.random.Generator
    minibatch_rng: np.random.Generator
    round: int
    """The next round to collect."""
    normalizer: Normalizer | None = None
    """That of the environments; None where the configuration asks for none."""
    environment: EnvironmentSpec | None = None
    """What Gymnasium calls the environment; None: it is the catalogue's entry `config.env_id`."""

    @classmethod
    def begin(cls, config: TrainConfig, names: Names | None = None) -> ControlLearner:
        """Round 0: everything from `config.seed`; `names` of a person stand in the place of the environment's own."""
        normalizer, environment = begin_normalizer(config), with_repeats(trainable(config.env_id))
        environments = VectorEnvironment(environment, config.n_envs, normalizer)
        environments.seed(config.seed)
        action_rng, minibatch_rng = _generators(config)
        spaces = (names or Names()).on(environments.observation_space, environments.action_space)
        return cls(
            config,
            begin_agent(config, *spaces),
            *spaces,
            environments=environments,
            action_rng=action_rng,
            minibatch_rng=minibatch_rng,
            round=0,
            normalizer=normalizer,
            environment=environment.spec,
        )

    @classmethod
    def after(cls, snapshot: ControlSnapshot, agent: Agent, *, collects: bool = True) -> ControlLearner:
        """As it stood after a round's update: the updated agent, and the environments stepped through the round.

        Raises:
            StateNotRestoredError: the environments do not come back to the recorded observations.
        """
        environments, normalizer = None, normalizer_at(snapshot.config, snapshot.checkpoint)
        if collects:
            environments = VectorEnvironment(environment_of(snapshot), snapshot.config.n_envs, normalizer)
            environments.restore(snapshot.checkpoint)
            step_through(environments, snapshot, snapshot.config.n_steps)
        return cls(
            snapshot.config,
            agent,
            snapshot.observation_space,
            snapshot.action_space,
            environments=environments,
            action_rng=restore_rng(snapshot.checkpoint, "actions"),
            minibatch_rng=restore_rng(snapshot.checkpoint, "minibatches"),
            round=snapshot.round + 1,
            normalizer=normalizer,
            environment=snapshot.environment,
        )

    def reseed(self, rng: np.random.Generator) -> None:
        """From here on collect with luck drawn from `rng`: new episodes begin, actions and minibatches are drawn anew.

        Raises:
            RuntimeError: this learner was restored without its environments.
        """
        self._begin_episodes(int(rng.integers(2**63)))
        self.action_rng, self.minibatch_rng = rng.spawn(2)

    def repeat_luck(self) -> None:
        """Collect the next round with the luck of round 0: its starts, its noise and its minibatch order; episodes are cut off.

        Raises:
            RuntimeError: this learner was restored without its environments.
        """
        self._begin_episodes(self.config.seed)
        self.action_rng, self.minibatch_rng = _generators(self.config)

    def _begin_episodes(self, seed: int) -> None:
        if self.environments is None:
            raise RuntimeError("this learner was restored without its environments")
        if self.normalizer is not None:
            self.normalizer.returns[:] = 0
        self.environments.seed(seed)

    @property
    def policy(self) -> ActorCritic:
        """The present policy as a torch module."""
        return self.agent.policy

    def player(self) -> Player:
        """The present policy, as evaluations take it."""
        return Player(self.agent, self.normalizer)

    def close(self) -> None:
        """Close the environments."""
        if self.environments is not None:
            self.environments.close()

    def manifest(self, parent: Parent | None = None) -> RunManifest:
        """What `run.json` says of this run."""
        return RunManifest(
            env_id=self.config.env_id,
            config=self.config,
            encoder=self.observation_space.encoder,
            observation_space=self.observation_space,
            action_space=self.action_space,
            fingerprint=fingerprint(),
            parent=parent,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            environment=self.environment,
        )

    def state(self) -> dict[str, Any]:
        """The checkpoint at this point."""
        tensors = self.agent.tensors()
        tensors |= rng_tensors({"actions": self.action_rng, "minibatches": self.minibatch_rng})
        if self.normalizer is not None:
            tensors |= self.normalizer.statistics("normalizer/")
        if self.environments is not None:
            tensors |= self.environments.state()
        return tensors

    def collect(self) -> ControlSnapshot:
        """Collect the next round; the learner then waits for `update`."""
        if self.environments is None:
            raise RuntimeError("this learner was restored without its environments")
        start = time.perf_counter()
        environments_before = self.environments.state()
        try:
            buffer, finished = collect(self.agent, self.environments, self.config, self.action_rng)
        except BadNumberError as error:
            raise BadNumberError(f"{error} of round {self.round}; earlier rounds are intact") from None
        minibatches = draw_minibatches(self.minibatch_rng, len(buffer), self.config.n_epochs)
        returns = [episode.reward_sum for episode in finished]
        lengths = [len(episode.actions) for episode in finished]
        return ControlSnapshot(
            round=self.round,
            config=self.config,
            observation_space=self.observation_space,
            action_space=self.action_space,
            environment=self.environment,
            buffer=buffer,
            checkpoint=self.state() | environments_before,
            minibatches=minibatches,
            fingerprint=fingerprint(),
            metrics={
                "records": len(buffer),
                "episodes": len(finished),
                "mean_return": float(np.mean(returns)) if finished else None,
                "std_return": float(np.std(returns)) if finished else None,
                "mean_length": float(np.mean(lengths)) if finished else None,
                "explained_variance": explained_variance(buffer.value, buffer.returns),
                "collect_seconds": time.perf_counter() - start,
            },
        )


def _generators(config: TrainConfig) -> tuple[np.random.Generator, np.random.Generator]:
    """Of the sampled actions and of the minibatches, as they are in round 0."""
    return np.random.default_rng([config.seed, 1]), np.random.default_rng([config.seed, 2])


def step_through(
    environments: VectorEnvironment,
    snapshot: ControlSnapshot,
    steps: int,
    only: Sequence[int] | None = None,
    first: int = 0,
) -> None:
    """Step environments that stand at the round's start through its first `steps` recorded actions.

    Args:
        environments: afterwards they stand at step `steps` of the round.
        snapshot: the round.
        steps: how many, from 0 to n_steps.
        only: which of the round's environments they are, in this order; by default all.
        first: the step of the round at which they stand, where that is not its start.

    Raises:
        StateNotRestoredError: an observation or a reward on the way differs from the recorded one.
    """
    config, buffer, (_, shown) = snapshot.config, snapshot.buffer, snapshot.from_environment
    which = np.arange(config.n_envs) if only is None else np.asarray(only)
    # The statistics of observations come from all environments: without them there are only the rewards to go by.
    comparable = environments.normalizer is not None or not config.normalize_observation
    for t in range(first, steps + 1):
        if t == config.n_steps:
            return
        rows = t * config.n_envs + which
        differs = comparable and not np.array_equal(environments.observation, shown[rows])
        if not differs and t < steps:
            differs = not np.array_equal(environments.step(buffer.action[rows]).reward, buffer.reward[rows])
        if differs:
            raise StateNotRestoredError(
                f"at step {t} of round {snapshot.round} {config.env_id} leads to another observation or reward than the "
                "recorded one (another version of the environment?)"
            )

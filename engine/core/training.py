"""Training on control tasks: begin or resume a run, branch one off, and the learner that the loop drives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.checkpoint import fingerprint, one_thread, restore_policy, restore_rng, rng_tensors
from engine.core.loop import check_same, record_rounds
from engine.core.objective import draw_minibatches, explained_variance
from engine.core.replay import Replayed, replay
from engine.envs import find
from engine.errors import BadInputError
from engine.kinds.control.agents import Agent, begin_agent
from engine.kinds.control.environment import StateNotRestoredError, VectorEnvironment
from engine.kinds.control.networks import ActorCritic
from engine.kinds.control.normalization import Normalizer, begin_normalizer, normalizer_at
from engine.kinds.control.rollout import BadNumberError, collect
from engine.spaces import Space
from engine.store.commit import RunWriter
from engine.store.manifest import Parent, RunManifest
from engine.store.read import open_run
from engine.store.snapshot import Snapshot


class Filtered(NamedTuple):
    """What a filter says of a collected round."""

    dropped: NDArray[np.int64]
    """Records that the update goes without."""
    why: str
    """In a few words."""
    actor_only: bool = False
    """The critic still trains on them."""


RecordFilter = Callable[[Snapshot], Filtered]


def train(
    config: TrainConfig,
    out: str | Path,
    *,
    resume: bool = False,
    record_filter: RecordFilter | None = None,
    on_step: Callable[[], None] | None = None,
) -> Iterator[Snapshot]:
    """The training loop; `engine.rounds` is this with the filter that the configuration names, and says the rest."""
    one_thread()
    config = replace(config, env_id=find(config.env_id).name)
    keep = partial(filtered, record_filter=record_filter)
    if resume:
        check_same(open_run(out).config, config)
        with RunWriter.append(Path(out)) as writer:
            run = open_run(out)
            if run.final is not None:
                return
            last = run.rounds[-1].round if run.rounds else None
            learner = Learner.begin(config) if last is None else Learner.after(replay(run.snapshot(last)))
            yield from record_rounds(learner, writer, config.rounds, keep, on_step)
        return
    learner = Learner.begin(config)
    with RunWriter.create(Path(out), learner.manifest()) as writer:
        try:
            yield from record_rounds(learner, writer, config.rounds, keep, on_step)
        except BadInputError:
            writer.withdraw()
            raise


def branch(
    snapshot: Snapshot,
    out: str | Path,
    *,
    parent: Parent,
    continue_rounds: int = 0,
    record_filter: RecordFilter | None = None,
    on_step: Callable[[], None] | None = None,
) -> Iterator[Snapshot]:
    """Record what follows from an intervened snapshot as a run of its own.

    The branch begins with the parent's round, its removed records marked as not kept, and trains `continue_rounds`
    further rounds; random generators and environments go on as they stood in the parent.

    Args:
        snapshot: the parent's round after `replay.intervene`.
        out: the run folder to make.
        parent: what `run.json` says of the origin.
        continue_rounds: further rounds to train; 0 records only the replayed update.
        record_filter: filters the further rounds, as it does the parent's.
        on_step: called before every optimizer step; raise from it to cancel.

    Yields:
        The snapshot of every round after the parent's.
    """
    one_thread()
    stop = snapshot.round + 1 + continue_rounds
    replayed = replay(snapshot, on_step=on_step)
    learner = Learner.after(replayed, step_environments=continue_rounds > 0)
    learner.config = replace(snapshot.config, rounds=stop)
    with RunWriter.create(Path(out), learner.manifest(parent)) as writer:
        writer.commit_round(snapshot, {**snapshot.metrics, **asdict(replayed.metrics)})
        yield from record_rounds(learner, writer, stop, partial(filtered, record_filter=record_filter), on_step)


def filtered(snapshot: Snapshot, record_filter: RecordFilter | None) -> Snapshot:
    """The collected round as a filter leaves it; its metrics say how many records went, and why."""
    if record_filter is None:
        return snapshot
    dropped, why, actor_only = record_filter(snapshot)
    left = snapshot.without(dropped, actor_only=actor_only)
    if snapshot.config.filter_mode == "rebatch":
        left = left.gathered()
    return replace(left, metrics={**snapshot.metrics, "dropped": len(dropped), "filter": why})


@dataclass
class Learner:
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

    @classmethod
    def begin(cls, config: TrainConfig) -> Learner:
        """Round 0: everything from `config.seed`."""
        normalizer = begin_normalizer(config)
        environments = VectorEnvironment(find(config.env_id), config.n_envs, normalizer)
        environments.seed(config.seed)
        spaces = environments.observation_space, environments.action_space
        return cls(
            config,
            begin_agent(config, *spaces),
            *spaces,
            environments=environments,
            action_rng=np.random.default_rng([config.seed, 1]),
            minibatch_rng=np.random.default_rng([config.seed, 2]),
            round=0,
            normalizer=normalizer,
        )

    @classmethod
    def after(cls, replayed: Replayed, *, step_environments: bool = True) -> Learner:
        """As it stood after a round's update: the replayed agent, and the environments stepped through the round.

        Raises:
            StateNotRestoredError: the environments do not come back to the recorded observations.
        """
        snapshot = replayed.snapshot
        environments, normalizer = None, normalizer_at(snapshot.config, snapshot.checkpoint)
        if step_environments:
            environments = VectorEnvironment(find(snapshot.config.env_id), snapshot.config.n_envs, normalizer)
            environments.restore(snapshot.checkpoint)
            step_through(environments, snapshot, snapshot.config.n_steps)
        return cls(
            snapshot.config,
            replayed.agent,
            snapshot.observation_space,
            snapshot.action_space,
            environments=environments,
            action_rng=restore_rng(snapshot.checkpoint, "actions"),
            minibatch_rng=restore_rng(snapshot.checkpoint, "minibatches"),
            round=snapshot.round + 1,
            normalizer=normalizer,
        )

    def reseed(self, rng: np.random.Generator) -> None:
        """From here on collect with luck drawn from `rng`: new episodes begin, actions and minibatches are drawn anew.

        Raises:
            RuntimeError: this learner was restored without its environments.
        """
        if self.environments is None:
            raise RuntimeError("this learner was restored without its environments")
        if self.normalizer is not None:
            self.normalizer.returns[:] = 0
        self.environments.seed(int(rng.integers(2**63)))
        self.action_rng, self.minibatch_rng = rng.spawn(2)

    @property
    def policy(self) -> ActorCritic:
        """The present policy as a torch module; a copy."""
        return restore_policy(self.config, self.observation_space, self.action_space, self.agent.tensors())

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

    def collect(self) -> Snapshot:
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
        return Snapshot(
            round=self.round,
            config=self.config,
            observation_space=self.observation_space,
            action_space=self.action_space,
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

    def update(self, snapshot: Snapshot, on_step: Callable[[], None] | None = None) -> dict[str, Any]:
        """Update on the collected round; returns the update's metrics.

        Raises:
            BadNumberError: a parameter is no longer finite.
        """
        start = time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):  # the error below says it once, for all lines
            metrics = self.agent.update(snapshot.buffer, snapshot.minibatches, on_step=on_step)
        if not all(np.isfinite(tensor).all() for tensor in self.agent.tensors().values()):
            raise BadNumberError(
                f"the update of round {snapshot.round} made parameters NaN or infinite; earlier rounds are intact. "
                f"Train with a smaller learning_rate than {self.config.learning_rate:g}"
            )
        self.round += 1
        return {**asdict(metrics), "update_seconds": time.perf_counter() - start}


def step_through(
    environments: VectorEnvironment,
    snapshot: Snapshot,
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
    config, buffer = snapshot.config, snapshot.buffer
    which = np.arange(config.n_envs) if only is None else np.asarray(only)
    # The statistics of observations come from all environments: without them there are only the rewards to go by.
    comparable = environments.normalizer is not None or not config.normalize_observation
    for t in range(first, steps + 1):
        if t == config.n_steps:
            return
        rows = t * config.n_envs + which
        differs = comparable and not np.array_equal(environments.observation, buffer.observation[rows])
        if not differs and t < steps:
            differs = not np.array_equal(environments.step(buffer.action[rows]).reward, buffer.reward[rows])
        if differs:
            raise StateNotRestoredError(
                f"at step {t} of round {snapshot.round} {config.env_id} leads to another observation or reward than the "
                "recorded one (another version of the environment?)"
            )

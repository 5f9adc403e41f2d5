"""A run trained on from one of its rounds, in memory, and its policies played on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.core.checkpoint import one_thread
from engine.core.filtering import filtered
from engine.core.kind import Kind, Learner, kind_of
from engine.core.policy import with_gradients
from engine.core.training import train_on
from engine.errors import BadInputError, BadNumberError
from engine.executors import Pool, Progress
from engine.intervention.autopsy.common_returns import CommonReturns
from engine.store.read import open_run
from engine.store.snapshot import Snapshot

LUCK_SEED = 6
"""Names the generators of trainings that go on with other luck among what a run's seed draws."""


@dataclass(frozen=True)
class Training:
    """One training that goes on from a round, with all that another process needs for it."""

    name: str
    """Of the arm that it belongs to."""
    which: int
    """Of the arm's trainings; those of the same number have the same luck in every arm."""
    run: Path
    first: int
    """k: it begins with theta(k) and the optimizer's state before round k."""
    points: tuple[int, ...]
    """The rounds after k whose policies are played, in order; the last of them is where it ends."""
    episodes: int
    """Of each policy."""
    settings: Mapping[str, Any]
    """What is otherwise than in the run's settings."""
    luck: Path | None = None
    """Run with whose generators and environments it goes on, as they stood where that run's round k began. By default luck is
    drawn anew, and new episodes begin."""

    def __str__(self) -> str:
        return f"{self.name}, {self.which + 1}"

    def policy(self, point: int) -> str:
        """What its policy at a round is called."""
        return f"{self}, round {point}"


class Trained(NamedTuple):
    """What came of a training."""

    returns: Sequence[NDArray[np.float64]]
    """(points, episodes)."""
    stopped: str = ""
    """Why it came to no end; empty where it did."""


@with_gradients
def trained(training: Training, check: Callable[[], None] = lambda: None) -> Trained:
    """Train on, and play the policy at each of the points; a training that breaks says why.

    Args:
        training: what to train.
        check: called now and then; raise from it to cancel.
    """
    one_thread()
    snapshot = otherwise(open_run(training.run).snapshot(training.first), training.settings)
    kind = kind_of(snapshot)
    leave = partial(filtered, record_filter=kind.make_filter(kind.settings(snapshot)))
    evaluation, returns = kind.evaluation(snapshot, {}), []
    try:
        learner = _learner(kind, snapshot, training)
        try:
            for point in training.points:
                for _ in train_on(learner, point, leave, check):
                    check()
                returns.append(evaluation.returns(learner.player(), 0, training.episodes, check))
        except (BadInputError, BadNumberError) as error:
            return Trained((), str(error))
        finally:
            learner.close()
    finally:
        evaluation.close()
    return Trained(returns)


def otherwise(snapshot: Snapshot, settings: Mapping[str, Any]) -> Any:
    """A round as the start of a training with other settings.

    Raises:
        BadInputError: a setting's value does not go with the others.
    """
    return snapshot.changed(config=replace(snapshot.config, **settings)) if settings else snapshot


def _learner(kind: Kind, snapshot: Snapshot, training: Training) -> Learner[Any]:
    """The training as it stands before round k."""
    agent = kind.agent(snapshot)
    if training.luck is not None:
        before = open_run(training.luck).snapshot(training.first - 1).changed(config=snapshot.config)
        return kind.after(before, agent, training.run, {})
    learner = kind.after(snapshot, agent, training.run, {})
    learner.round = snapshot.round
    learner.reseed(np.random.default_rng([snapshot.config.seed, snapshot.round, training.which, LUCK_SEED]))
    return learner


def train_missing(trainings: Sequence[Training], returns: CommonReturns, pool: Pool, say: Progress) -> dict[str, str]:
    """Train and play what is not kept yet; every training is kept when it is finished.

    Args:
        trainings: all that are wanted.
        returns: filled in, under `Training.policy`.
        pool: where to train. Raising from `say` cancels at once where that is `inline`, elsewhere when a training is finished.
        say: told which training is finished, or is made.

    Returns:
        Name of an arm -> why one of its trainings came to no end.
    """
    left = [each for each in trainings if any(each.policy(point) not in returns for point in each.points)]
    before, total, stopped = len(trainings) - len(left), len(trainings), {}

    def told(doing: str, done: int) -> None:
        say(doing, before + done, total)

    told("training on", 0)
    outcomes = _here(left, told) if pool.executor == "inline" else pool.run(trained, left)
    for done, (training, found) in enumerate(outcomes, 1):
        if found.stopped:
            stopped[training.name] = found.stopped
        for point, values in zip(training.points, found.returns, strict=False):
            returns.keep(training.policy(point), values)
        told(f"trained on, {training} is finished", done)
    return stopped


def _here(trainings: Sequence[Training], told: Callable[[str, int], None]) -> Iterator[tuple[Training, Trained]]:
    """One after the other, in this process."""
    for done, training in enumerate(trainings):
        yield training, trained(training, partial(told, f"training on, {training}", done))


def training_seconds(metrics: Sequence[Mapping[str, Any]], trainings: int, points: int, episodes: int) -> float | None:
    """How long trainings over these rounds take one after the other, from what the rounds took; None where they don't say.

    Args:
        metrics: of the rounds that are trained again.
        trainings: how many.
        points: whose policies are played, in each of them.
        episodes: of each policy.
    """
    named = ("collect_seconds", "update_seconds", "episodes")
    known = [values for each in metrics if None not in (values := [each.get(name) for name in named])]
    collect, update, ended = np.array(known, np.float64).reshape(-1, len(named)).sum(axis=0).tolist()
    if not ended:
        return None
    return float(trainings * (len(metrics) / len(known) * (collect + update) + points * episodes * collect / ended))

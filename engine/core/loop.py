"""The one training loop, of control tasks and of language models: collect, filter, yield the snapshot, update, commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Protocol, TypeVar

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.errors import BadInputError
from engine.kinds.language.sequences import LanguageSnapshot
from engine.store.commit import RunWriter
from engine.store.snapshot import Snapshot

S = TypeVar("S", Snapshot, LanguageSnapshot)
C = TypeVar("C", TrainConfig, LanguageConfig)


class AnyLearner(Protocol[S]):
    """A training in memory, between two rounds; `Learner` is that of control tasks."""

    round: int
    """The next round to collect."""

    def collect(self) -> S:
        """Collect the next round."""

    def update(self, snapshot: S, on_step: Callable[[], None] | None = None) -> Mapping[str, Any]:
        """Update on it; returns the update's metrics."""

    def state(self) -> dict[str, Any]:
        """The checkpoint at this point."""


def record_rounds(
    learner: AnyLearner[S],
    writer: RunWriter,
    stop: int,
    keep: Callable[[S], S],
    on_step: Callable[[], None] | None,
) -> Iterator[S]:
    """`train_on`, every round and the final state committed to a run."""

    def commit(snapshot: S, metrics: Mapping[str, Any]) -> None:
        writer.commit_round(snapshot, {**snapshot.metrics, **metrics})

    yield from train_on(learner, stop, keep, on_step, commit)
    writer.commit_final(learner.round, learner.state())


def train_on(
    learner: AnyLearner[S],
    stop: int,
    keep: Callable[[S], S],
    on_step: Callable[[], None] | None = None,
    commit: Callable[[S, Mapping[str, Any]], None] = lambda snapshot, metrics: None,
) -> Iterator[S]:
    """Collect, `keep` what a filter leaves, yield the snapshot, update, commit, up to round `stop` - 1.

    Without `commit` nothing is recorded.
    """
    while learner.round < stop:
        snapshot = keep(learner.collect())
        yield snapshot
        commit(snapshot, learner.update(snapshot, on_step))


def check_same(recorded: C, asked: C) -> None:
    """Refuse to continue a run with other settings than it was started with."""
    for field in fields(asked):
        old, new = getattr(recorded, field.name), getattr(asked, field.name)
        if old != new:
            raise BadInputError(
                f"this run was started with {field.name}={old}, not {new}; resume it with the same settings, "
                "or train into another folder"
            )

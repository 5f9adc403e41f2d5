"""Which estimator to go by in a round: the best of those that were measured to predict removals there, or nearby in its run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.core.estimators.registry import ESTIMATORS
from engine.core.faithfulness.kept_validations import read_validation
from engine.core.faithfulness.measured_rounds import measured_rounds
from engine.core.faithfulness.result import Validation
from engine.core.kind import kind_of
from engine.core.targets.question import averaged_name
from engine.store.read import open_run
from engine.store.snapshot import Snapshot

SILENT = ("few", "noise", "failed")
"""Verdicts that say nothing of an estimator."""


@dataclass(frozen=True)
class ChosenEstimator:
    """An estimator, and what speaks for it."""

    estimator: str
    orders: int
    """Minibatch orders that its scores are averaged over."""
    why: str
    """Such as `measured here, LDS 0.81 of a possible 0.93`, or `not measured here`."""

    @property
    def name(self) -> str:
        """Its name, with the orders where there are several."""
        return averaged_name(self.estimator, self.orders)


def trusted_estimator(snapshot: Snapshot, guess: str) -> ChosenEstimator:
    """The best of the estimators that predict removals in this round by a stored validation of the kind's own target.

    Where there is no such validation, or one that says nothing, what was measured in the nearest round of the run speaks for an
    estimator. Nothing is computed.

    >>> import engine
    >>> chosen = trusted_estimator(engine.open_run("sample_runs/FrozenLake-v1").snapshot(3), "tracin_adam")
    >>> chosen.why.startswith(("measured here, LDS", "measured in round", "not measured here", "none of those"))
    True

    Args:
        snapshot: round k.
        guess: the estimator where nothing speaks for another one.
    """
    here = read_validation(snapshot, kind_of(snapshot).default_target)
    if here is not None and not _is_silent(here):
        best = _best(here)
        if best:
            return _chosen(here, best, "measured here")
        return ChosenEstimator(guess, 1, "none of those that were measured here predicts removals")
    for k, found in _nearby(snapshot):
        if best := _best(found):
            return _chosen(found, best, f"measured in round {k}, not here")
    return ChosenEstimator(guess, 1, "not measured here")


def _is_silent(found: Validation) -> bool:
    return all(found.verdict(name) in SILENT for name in found.estimators)


def _best(found: Validation) -> str:
    """The one with the highest LDS of those that predict removals; empty where none does."""
    trusted = [
        name
        for name, each in found.estimators.items()
        if each.estimator in ESTIMATORS and found.verdict(name) == "predicts"
    ]
    return found.best_of(trusted) if trusted else ""


def _chosen(found: Validation, name: str, where: str) -> ChosenEstimator:
    best = found.estimators[name]
    ceiling = "" if found.ceiling is None else f" of a possible {found.ceiling:.2f}"
    return ChosenEstimator(best.estimator, best.orders, f"{where}, LDS {best.lds:.2f}{ceiling}")


def _nearby(snapshot: Snapshot) -> Iterator[tuple[int, Validation]]:
    """Validations of the other rounds of the run, the nearest first."""
    if snapshot.path is None or not snapshot.hash:
        return
    target = kind_of(snapshot).default_target
    measured = measured_rounds(snapshot.path, target)
    if not measured:
        return
    run = open_run(snapshot.path)
    there = {(info.round, info.hash) for info in run.rounds if info.stored and info.round != snapshot.round}
    for k, _ in sorted(there.intersection(measured), key=lambda each: (abs(each[0] - snapshot.round), each[0])):
        found = read_validation(run.snapshot(k), target)
        if found is not None:
            yield k, found

"""Which estimator a round is judged by, from validations that were made with given numbers."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import engine
from engine.core.faithfulness.kept_validations import keep_validation
from engine.core.faithfulness.result import Faithfulness, Validation
from engine.core.faithfulness.trusted import trusted_estimator
from engine.core.kind import kind_of
from engine.store.read import Run

GUESS = "tracin_adam"
SUBSETS = 12
SCORED = {"tracin over 4 orders": ("tracin", 4)}


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    return engine.open_run(tmp_path / "run")


def measured(run: Run, k: int, ceiling: float = 0.9, subsets: int = SUBSETS, **lds: float) -> None:
    """Keep a validation of round k in which the estimators have these LDS, with an interval of .1 to either side."""
    snapshot = run.snapshot(k)
    target = kind_of(snapshot).return_target(snapshot)
    values = dict.fromkeys(("actual", "actual_error"), (0.0,) * subsets)
    estimators = {
        name: Faithfulness(value, value - 0.1, value + 0.1, 1.0, 0.5, values["actual"], *SCORED.get(name, (name, 1)))
        for name, value in lds.items()
    }
    found = Validation(
        round=k,
        target=target.describe(),
        snapshot_hash=snapshot.hash,
        design="random",
        fraction=0.5,
        subsets=subsets,
        orders=2,
        estimators=estimators,
        ceiling=ceiling,
        ceiling_low=ceiling,
        ceiling_high=ceiling,
        null_exact=True,
        null_difference=0.0,
        fingerprint_equal=True,
        metasmoothness=1.0,
        seconds=1.0,
        created=1.0,
        **values,
    )
    keep_validation(snapshot, target, found)


def chosen(run: Run, k: int) -> tuple[str, str]:
    found = trusted_estimator(run.snapshot(k), GUESS)
    return found.name, found.why


def test_what_was_measured_here_comes_first_then_what_was_measured_nearby(run: Run) -> None:
    assert chosen(run, 1) == (GUESS, "not measured here")
    measured(run, 2, tracin=0.7)
    assert chosen(run, 1) == ("tracin", "measured in round 2, not here, LDS 0.70 of a possible 0.90")
    measured(run, 1, subsets=4, first_order=0.8)
    assert chosen(run, 1)[0] == "tracin", "so few subsets say nothing"
    measured(run, 1, **{"first_order": 0.81, "tracin over 4 orders": 0.85, "tracin": 0.5})
    assert chosen(run, 1) == ("tracin over 4 orders", "measured here, LDS 0.85 of a possible 0.90")
    found = trusted_estimator(run.snapshot(1), GUESS)
    assert (found.estimator, found.orders) == ("tracin", 4)
    assert chosen(run, 0)[0] == "tracin over 4 orders", "round 1 is nearer than round 2"


def test_where_none_predicts_removals_the_guess_stands_and_says_so(run: Run) -> None:
    measured(run, 2, tracin=0.7)
    measured(run, 1, tracin=0.0, first_order=0.3)
    assert chosen(run, 1) == (GUESS, "none of those that were measured here predicts removals")


def test_a_round_that_was_recorded_anew_was_not_measured(run: Run, tmp_path: Path) -> None:
    measured(run, 2, tracin=0.7)
    other = engine.train(replace(run.config, seed=7), tmp_path / "other")
    shutil.copytree(run.path / "derived", other.path / "derived")
    assert chosen(other, 1) == (GUESS, "not measured here")

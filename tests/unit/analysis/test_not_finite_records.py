"""Numbers that are not finite are found in all columns of a record, and belong to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import engine
from engine.analysis.not_finite_records import not_finite_records
from engine.store.read import Run

COURTESY = Path(engine.__file__).parents[1] / "sample_runs" / "courtesy"


class Three(SimpleNamespace):
    def __len__(self) -> int:
        return 3


def test_all_columns_are_looked_at_and_parts_have_their_names() -> None:
    buffer = Three(
        observation={"camera": np.array([[0.0, 1], [np.nan, 1], [0, 1]]), "speed": np.ones(3)},
        log_prob=np.array([0.0, 1.0, -np.inf]),
        action=np.zeros(3, np.int64),
        extra={"given": np.full(3, np.nan)},
    )
    found = not_finite_records(buffer)
    assert (found.columns, found.records) == (("observation camera", "log prob"), (1, 2))


def test_tokens_are_those_of_their_sequences() -> None:
    snapshot = engine.open_run(COURTESY).snapshot(0)
    advantage = snapshot.buffer.advantage.copy()
    advantage[snapshot.buffer.tokens_of(7)] = np.nan
    found = not_finite_records(replace(snapshot.buffer, advantage=advantage))
    assert found.records == (7,)
    assert found.sentence.startswith("advantage is not finite in 1 of ")


def test_a_round_of_numbers(cartpole: Run) -> None:
    assert not_finite_records(cartpole.snapshot(1).buffer).sentence == "all numbers of its 140 records are finite"

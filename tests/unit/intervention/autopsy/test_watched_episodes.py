"""The three episodes to watch, chosen by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine.analysis.films import film
from engine.intervention.autopsy.watched_episodes import RecordedEpisode, of_records, of_seeds
from engine.store.read import Run

SAMPLES = Path(__file__).resolve().parents[4] / "sample_runs"


def test_the_largest_fall_the_middle_and_the_largest_rise() -> None:
    before = np.array([100.0, 240.0, 10.0, 50.0, 60.0])
    after = np.array([90.0, -80.0, 15.0, 49.0, 52.0])
    found = of_seeds(before, after, first=1000)
    assert [(each.seed, each.before, each.after) for each in found] == [
        (1001, 240, -80),
        (1004, 60, 52),
        (1002, 10, 15),
    ]
    assert found[0].why == "of all seeds, the return fell most on this one"
    assert found[1].why.startswith("the median: on half of the seeds")
    assert found[2].to_json() == {
        "episode": None,
        "records": [],
        "seed": 1002,
        "before": 10.0,
        "after": 15.0,
        "why": "of all seeds, the return rose most on this one",
    }


@pytest.mark.parametrize(
    ("change", "seeds", "why"),
    [
        ([0.0, 0.0, 0.0], [0], "on every seed the two policies return the same"),
        ([-3.0, -1.0, -2.0], [0, 2, 1], "the return rose on no seed; this one came closest"),
        ([-3.0], [0], "of all seeds, the return fell most on this one"),
        ([-3.0, 2.0], [0, 1], "of all seeds, the return rose most on this one"),
    ],
)
def test_where_there_are_fewer_or_nothing_moved(change: list[float], seeds: list[int], why: str) -> None:
    found = of_seeds(np.zeros(len(change)), np.array(change), first=0)
    assert [each.seed for each in found] == seeds
    assert found[-1].why == why


def test_of_recorded_episodes_whole_ones_by_their_returns(cartpole: Run) -> None:
    """CartPole pays 1 a step."""
    buffer = cartpole.snapshot(1).buffer
    lengths = {
        int(number): len(rows)
        for number in np.unique(buffer.episode)
        if (rows := np.flatnonzero(buffer.episode == number)).size
        and buffer.t[rows[0]] > 0
        and (buffer.terminated | buffer.truncated)[rows[-1]]
    }
    worst, middle, best = of_records(cartpole.snapshot(1))
    assert {worst.returned, best.returned} == {min(lengths.values()), max(lengths.values())}
    assert middle.returned == sorted(lengths.values())[(len(lengths) - 1) // 2]
    for each in (worst, middle, best):
        assert isinstance(each, RecordedEpisode)
        assert each.returned == lengths[each.episode] == len(each.records)
        assert (buffer.episode[list(each.records)] == each.episode).all()
    assert "the one with the lowest return" in worst.why


def test_episodes_that_are_cut_by_the_round_are_said_to_be(cartpole: Run) -> None:
    snapshot = cartpole.snapshot(1)
    never = np.zeros(len(snapshot.buffer), bool)
    endless = snapshot.changed(buffer=replace(snapshot.buffer, terminated=never, truncated=never))
    assert all(
        "episodes, none of which is whole," in each.why for each in of_records(endless) if "median" not in each.why
    )


def test_records_that_are_no_steps_have_no_episodes() -> None:
    courtesy = engine.open_run(SAMPLES / "courtesy")
    assert of_records(courtesy.snapshot(courtesy.stored_rounds[0])) == ()


def test_the_films_are_those_of_the_returns(cartpole: Run) -> None:
    worst: Any = engine.autopsy(cartpole, 1, episodes=8, cache=False).watch[0]
    returned = [film(cartpole, k, worst.seed, sees=1, cache=False).total for k in (1, 2)]
    assert returned == [worst.before, worst.after]

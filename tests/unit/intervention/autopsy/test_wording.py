"""Numbers in words."""

from __future__ import annotations

from dataclasses import replace

from engine.intervals import Interval
from engine.intervention.autopsy.autopsy_result import Autopsy, Change
from engine.intervention.autopsy.on_records import RECORDED, OnRecords
from engine.intervention.autopsy.played_arms import PlayedArm, PlayedPolicy
from engine.intervention.autopsy.wording import ON_RECORDS, how_played, rows_on_records, why_no_arms

NUMBERS = {"return_target": Interval(-0.5), "kl": Interval(0.01), "log_prob_positive": Interval(0.25)}
REPLAYED = {name: Interval(value, value - 1, value + 1) for name, (value, *_) in NUMBERS.items()}
UNPLAYED = Autopsy(
    run="run",
    round=3,
    checks=(),
    real=None,
    unplayed="there is no environment",
    arms=(),
    left_out={},
    verdict="unexplained",
    next="",
    on_records=(OnRecords(4, RECORDED, 1, NUMBERS), OnRecords(4, "other minibatch orders", 4, REPLAYED)),
)


def test_a_number_has_its_interval_where_there_is_one_and_a_dash_where_there_is_no_number() -> None:
    first, second = (dict(zip(ON_RECORDS, row, strict=True)) for row in rows_on_records(UNPLAYED))
    assert list(first.values()) == ["4", "as recorded", "-0.5", "0.01", "+0.25", "-"]
    assert second["update"] == "other minibatch orders, 4 times"
    assert second["KL from before"] == "0.01 (-0.99 to 1)"
    assert second["return target"] == "-0.5 (-1.5 to +0.5)"


def test_where_nothing_was_measured_nothing_tells_what_would_have_prevented_it() -> None:
    assert why_no_arms(UNPLAYED) == "No return tells."
    assert (
        "the return target by -0.5, the log-probability of actions with positive advantage by +0.25"
        in UNPLAYED.sentence
    )


def test_arms_that_were_played_on_more_seeds_are_named() -> None:
    mean = Interval(60.0, 50.0, 70.0)
    real = Change(Interval(-40.0, -60.0, -20.0), 100.0, 60.0, 64, (0, 63))
    recorded = (PlayedPolicy("as recorded", mean, Interval(0.0, 0.0, 0.0), 32),)
    arms = tuple(
        PlayedArm(name, "order", mean, mean, 8, lead=True, episodes=episodes)
        for name, episodes in (("settled", 32), ("undecided", 96))
    )
    found = replace(UNPLAYED, real=real, arms=arms, recorded=recorded)
    assert "; arms 32, on the first of them, and 96 of what stayed open: undecided · " in how_played(found)
    assert "stayed open" not in how_played(replace(found, arms=arms[:1]))

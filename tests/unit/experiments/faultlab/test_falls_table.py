"""Verdicts against what really happens, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.experiments.faultlab.falls_table import agrees, counts, lines, misses, shares, takes_back, to_json, truth
from engine.experiments.faultlab.markdown import of_falls
from engine.experiments.faultlab.natural_falls import FallsCell, Judged, Update
from engine.intervals import Interval
from engine.intervention.autopsy.autopsy_result import Verdict

FALL, ALL, NONE, NOISY = (-20.0, -22.0, -18.0), (20.0, 21.0, 19.0), (0.0, 1.0, -1.0), (30.0, -5.0, 5.0)


def judged(verdict: Verdict, order: tuple[float, ...], data: tuple[float, ...], step: tuple[float, ...]) -> Judged:
    return Judged(verdict, FALL, {"order": order, "data": data, "step": step})


ORDER = judged("order", ALL, NONE, ALL)
STEP_FOR_DATA = judged("step", NONE, ALL, ALL)
UNEXPLAINED = judged("unexplained", NONE, NONE, ALL)
CLOSE = judged("data", NOISY, ALL, ALL)
NO_FALL = Judged("order", (-20.0, 15.0, -5.0), ORDER.arms)


def cells() -> list[FallsCell]:
    fell, rose = Interval(-20, -30, -10), Interval(3, -1, 7)
    falls = (ORDER, STEP_FOR_DATA, UNEXPLAINED, CLOSE, NO_FALL)
    updates = [Update(k, fell, each) for k, each in enumerate(falls)]
    return [
        FallsCell("A", 0, 10.0, 7, answers=(*updates[:3], Update(3, fell), Update(4, rose))),
        FallsCell("B", 1, 30.0, 7, answers=tuple(updates[3:])),
    ]


def test_what_takes_back_half_of_a_fall_by_more_than_its_noise() -> None:
    assert [takes_back(ORDER, "order"), takes_back(ORDER, "data"), takes_back(CLOSE, "order")] == [True, False, None]
    less = judged("order", (9.0, 11.0, 8.0), NONE, NONE)
    assert takes_back(less, "order") is None, "nine of twenty may be half of it"
    assert takes_back(judged("order", (5.0, 5.0, 5.0), NONE, NONE), "order") is False, "a quarter is not"


def test_the_first_cause_without_which_it_does_not_happen_is_the_truth() -> None:
    found = [truth(each) for each in (ORDER, STEP_FOR_DATA, UNEXPLAINED, CLOSE, NO_FALL)]
    assert found == ["order", "data", "step", "too close", "not real"]
    assert truth(judged("order", NONE, NONE, NONE)) == "unexplained"


def test_shares() -> None:
    assert counts(cells()) == {"trainings": 2, "rounds": 7, "falls": 6, "judged": 5, "real": 4}
    found = shares([each.judged for cell in cells() for each in cell.answers if each.judged])
    assert {name: share.value for name, share in found.items()} == pytest.approx(
        {
            "agrees": 1 / 3,
            "always the same": 1 / 3,
            "wrong": 2 / 3,
            "remedy works": 1.0,
            "no cause": 1 / 4,
            "order": 1 / 3,
            "data": 2 / 4,
            "step": 1.0,
            "false alarm": 0.0,
        }
    )
    assert found["remedy works"] == Interval.of_share(3, 3), "order, step and data, whatever is the truth"


def test_a_cause_that_is_not_judged_is_wrong_only_where_another_one_is_clear() -> None:
    assert agrees(judged("critic", ALL, NONE, NONE)) is False
    assert agrees(judged("critic", NONE, NONE, NONE)) is None
    assert agrees(judged("unexplained", NONE, NONE, NONE)) is True


def test_a_failed_check_is_an_alarm() -> None:
    alarm = replace(ORDER, verdict="critic", failed=("critic",))
    assert shares([ORDER, alarm])["false alarm"].value == 0.5


def test_nothing_to_count() -> None:
    found = to_json([])
    assert found["shares"]["agrees"] == {"value": None, "low": None, "high": None}
    assert next(lines([])).startswith("0 falls in 0 rounds of 0 trainings; 0 judged, 0 of them real")


def test_every_wrong_verdict_has_a_line() -> None:
    assert list(misses(cells())) == [
        "A, seed 0, learning rate x 10, round 1: data, named step",
        "A, seed 0, learning rate x 10, round 2: step, named unexplained",
        "B, seed 1, learning rate x 30, round 4: not real, named order",
    ]


def test_in_markdown() -> None:
    found = list(of_falls(cells()))
    assert found[:3] == [
        "| verdict \\ what happens | order | data | step | unexplained | too close | not real |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| order | 1 | 0 | 0 | 0 | 0 | 1 |",
    ]
    assert "| data | 0 | 0 | 0 | 0 | 1 | 0 |" in found
    assert found[-1] == "* B, seed 1, learning rate x 30, round 4: not real, named order"

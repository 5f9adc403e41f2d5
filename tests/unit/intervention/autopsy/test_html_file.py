"""The report of an autopsy: its numbers in one file, with nothing in it that a run could inject, and nothing that runs."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from engine.analysis.checks.checked import Check
from engine.intervals import Interval
from engine.intervention.autopsy.autopsy_result import Autopsy, Change
from engine.intervention.autopsy.html_file import render
from engine.intervention.autopsy.played_arms import PlayedArm, PlayedPolicy
from engine.store.read import Run

HOSTILE = '<script>alert(1)</script> & "quoted"'
REAL = Change(Interval(-40, -60, -20), 100.0, 60.0, 64, (0, 63), (110.0, 70.0), 9.0)
ARMS = (
    PlayedArm("other minibatch orders", "order", Interval(95, 90, 100), Interval(35, 30, 40), 6, lead=True),
    PlayedArm("half the learning rate", "step", Interval(80, -math.inf, math.inf), Interval(20, -5, 45), 2, HOSTILE),
)
FOUND = Autopsy(
    run="run",
    round=1,
    checks=(Check("numbers", True, HOSTILE),),
    real=REAL,
    unplayed="",
    arms=ARMS,
    left_out={"data collected anew": HOSTILE},
    verdict="order",
    next="python -m engine incidents 'a b'",
    recorded=(
        PlayedPolicy("before the update", Interval(100, 90, 110), Interval(40, 20, 60), 32),
        PlayedPolicy("as recorded", Interval(60, 50, 70), Interval(0, 0, 0), 32),
    ),
)


def test_the_report_has_the_numbers_and_runs_nothing(cartpole: Run) -> None:
    page = render(cartpole, FOUND)
    assert "so a fall in round 2 is the doing of update 1." in page
    assert "100 before the update, 60 after it: -40 (-60 to -20) on 64 common seeds" in page
    assert "evaluation seeds 0 to 63" in page
    assert "fell from 110 (round 1) to 70 (round 2), with a noise of ±9" in page
    assert "95 (90 to 100)" in page
    assert "+35 (+30 to +40)" in page
    assert "engine incidents &#39;a b&#39;" in page
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=", page)


def test_the_pictures_are_drawn_to_scale(cartpole: Run) -> None:
    page = render(cartpole, FOUND)
    ends = [(float(a), float(b)) for a, b in re.findall(r'class="bar" x1="([\d.]+)%" x2="([\d.]+)%"', page)]
    trained, common, order, unknown = ends
    assert (trained[1] - trained[0]) == pytest.approx((common[1] - common[0]) * 36 / 40, abs=0.1)
    assert 0 < order[0] < order[1] < 100
    assert unknown == (0, 100), "an interval that nobody knows has no end"


def test_where_nothing_was_played_the_report_says_why(cartpole: Run) -> None:
    page = render(
        cartpole, replace(FOUND, real=None, arms=(), unplayed="there is no environment", verdict="unexplained")
    )
    assert "What its update did to the return can&#39;t be measured here: there is no environment." in page
    assert "<svg role" not in page

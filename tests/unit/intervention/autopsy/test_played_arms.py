"""What a fall is the doing of, from given returns."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.intervals import Interval
from engine.intervention.autopsy.arm import Arm, Cause
from engine.intervention.autopsy.autopsy_result import Autopsy, Change
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, Returns
from engine.intervention.autopsy.played_arms import (
    PlayedArm,
    cause_of,
    change,
    played,
    policy_of,
    recorded,
    remedy_of,
    undecided,
)
from engine.store.read import Run

EPISODES = 4
ORDER, DATA, STEP = [61, 59, 60, 60], [99, 101, 100, 100], [98, 100, 102, 100]
LUCK = np.array([-1.0, 1, 0, 0])


def nothing(which: int, check: object) -> None:
    raise AssertionError("is not made here")


def arm(name: str, cause: Cause, **more: object) -> Arm:
    return Arm(name, cause, nothing, **{"lead": True, **more})  # type: ignore[arg-type]


ARMS = {
    "orders": arm("orders", "order"),
    "anew": arm("anew", "data"),
    "quarter": arm("quarter", "step", tries={"learning_rate": 0.25}),
    "half": arm("half", "step", lead=False, tries={"learning_rate": 0.5}),
    "worst": arm("worst", "records", control="random", what="the bottom 5"),
    "random": arm("random", "records", lead=False),
}


@pytest.fixture
def fell(cartpole: Run) -> Returns:
    """From 100 to 60."""
    returns = Returns(cartpole, 1, EPISODES, cache=False)
    returns.keep(BEFORE, 100 + LUCK)
    returns.keep(AFTER, 60 + 2 * LUCK)
    return returns


def outcome(returns: Returns, **means: list[float]) -> tuple[PlayedArm, ...]:
    """Of arms with these mean returns, one a replicate."""
    for name, values in means.items():
        for which, value in enumerate(values):
            returns.keep(policy_of(ARMS[name], which), value + LUCK[:2] - LUCK[:2].mean())
    return played([ARMS[name] for name in means], returns)


@pytest.mark.parametrize(
    ("means", "cause"),
    [
        ({"orders": DATA, "anew": DATA, "quarter": STEP}, "order"),
        ({"orders": ORDER, "anew": DATA, "quarter": STEP}, "data"),
        ({"orders": ORDER, "anew": ORDER, "quarter": STEP}, "step"),
        ({"orders": ORDER, "anew": ORDER, "quarter": ORDER, "half": STEP}, None),
        ({"orders": [40, 160, 80, 60], "anew": ORDER}, None),
        ({"orders": [79, 78, 79, 78], "anew": ORDER}, None),
        ({"orders": [79, 78, 79, 78], "anew": [85, 86, 84, 85]}, None),
        ({"orders": [79, 78, 79, 78], "anew": [92, 91, 90, 91]}, "data"),
        ({"anew": ORDER, "worst": DATA, "random": ORDER}, "records"),
        ({"anew": ORDER, "worst": DATA, "random": [97, 100, 99, 102]}, None),
        ({"anew": ORDER, "worst": DATA}, None),
    ],
)
def test_the_first_cause_whose_deciding_arm_takes_back_half(
    fell: Returns, means: dict[str, list[float]], cause: str | None
) -> None:
    assert cause_of(outcome(fell, **means)) == cause


def test_intervals_are_corrected_for_the_causes_that_were_asked(fell: Returns) -> None:
    own, *others = outcome(fell, orders=[70, 72, 74, 80], anew=DATA, half=STEP)
    assert own.difference == Interval.of_mean(np.array([10.0, 12, 14, 20]), 1 - 0.05 / 2)
    assert own.mean == Interval.of_mean(np.array([70.0, 72, 74, 80]))
    assert [(each.name, each.lead, each.replicates) for each in others] == [("anew", True, 4), ("half", False, 4)]


def test_one_replicate_says_nothing_yet(fell: Returns) -> None:
    assert outcome(fell, orders=[99]) == ()


def test_against_random_records_in_the_same_orders(fell: Returns) -> None:
    worst = outcome(fell, worst=[90, 80, 95, 85], random=[70, 62, 74, 66])[0]
    assert worst.against_control == Interval.of_mean(np.array([20.0, 18, 21, 19]))


@pytest.mark.parametrize(
    ("means", "names"),
    [
        ({"orders": [40, 160, 80, 60], "anew": DATA, "quarter": [40, 160, 80, 60]}, ["orders"]),
        ({"orders": ORDER, "anew": [40, 160, 80, 60]}, ["anew"]),
        ({"orders": ORDER, "anew": DATA, "quarter": [40, 160, 80, 60]}, []),
        ({"orders": ORDER, "anew": [81, 83, 77, 79], "quarter": [40, 160, 80, 60]}, ["anew", "quarter"]),
    ],
)
def test_what_is_open_up_to_the_cause_that_settles_it(
    fell: Returns, means: dict[str, list[float]], names: list[str]
) -> None:
    assert undecided(outcome(fell, **means)) == names


def test_the_remedy_is_the_mildest_that_works(fell: Returns) -> None:
    both = outcome(fell, quarter=STEP, half=STEP)
    assert remedy_of("step", both) == {"learning_rate": 0.5}
    assert remedy_of("step", both[:1]) == {"learning_rate": 0.25}
    assert remedy_of("unexplained", both) == {}


def test_the_verdict_says_what_it_rests_on_and_which_records(fell: Returns) -> None:
    arms = outcome(fell, orders=ORDER, anew=DATA, worst=[99, 100, 101, 100], random=ORDER)
    found = Autopsy(
        "run", 1, (), Change(change(fell), 100.0, 60.0, 4, (0, 3)), "", arms, {}, "data", "", recorded(fell)
    )
    assert "Anew: +40 (" in found.sentence
    assert "4 times, at 95 % for the 3 causes asked together." in found.sentence
    assert "the bottom 5" in found.sentence
    assert "the bottom 5" not in replace(found, verdict="order").sentence
    assert "It is close" not in found.sentence
    close = replace(found, arms=outcome(fell, orders=ORDER, anew=[81, 84, 80, 88]))
    assert "It is close" in close.sentence
    before, after, *_ = json.loads(json.dumps(found.to_json(), allow_nan=False))["arms"]
    assert (before["name"], before["mean"], before["difference"]) == ("before the update", 100, 40)
    assert (after["name"], after["mean"], after["difference_high"]) == ("as recorded", 60, 0)
    assert before["high"] == pytest.approx(Interval.of_mean(np.array([99.0, 101])).high)

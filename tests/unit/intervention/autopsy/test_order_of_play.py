"""Which policies are played, in which order, and how far an open question is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.intervention.autopsy.arm import Arm
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, Returns, on_more_seeds
from engine.intervention.autopsy.order_of_play import missing, stages
from engine.intervention.autopsy.played_arms import FIRST, MOST, played, policies_on_more_seeds, policy_of
from engine.store.read import Run

EPISODES = 2


def never(which: int, check: object) -> None:
    raise AssertionError("is not made here")


LEAD = Arm("lead", "order", never, lead=True)
WORST, RANDOM = Arm("worst", "records", never, lead=True, control="random"), Arm("random", "records", never)
OTHER = Arm("other", "step", never)
ARMS = [OTHER, LEAD, WORST, RANDOM]
SETTLED = 60, 60.5, 59.5, 60
OPEN = 40, 160, 80, 60


@pytest.fixture
def fell(cartpole: Run) -> Returns:
    returns = Returns(cartpole, 1, EPISODES, cache=False)
    returns.keep(BEFORE, np.array([100.0, 102]))
    returns.keep(AFTER, np.array([60.0, 62]))
    return returns


def keep(returns: Returns, arm: Arm, *means: float) -> None:
    for which, mean in enumerate(means):
        returns.keep(policy_of(arm, which), np.full(returns.of_arms, mean))


def keep_on_more_seeds(returns: Returns, *policies: str, mean: float) -> None:
    for policy in policies:
        returns.keep(policy, np.full(returns.episodes, mean))


def names(*arms: Arm, first: int = 0, last: int = FIRST) -> list[str]:
    return [policy_of(arm, which) for arm in arms for which in range(first, last)]


def test_arms_are_played_only_for_a_fall(cartpole: Run) -> None:
    returns = Returns(cartpole, 1, EPISODES, cache=False)
    assert missing(returns, ARMS) == [BEFORE, AFTER]
    returns.keep(BEFORE, np.array([100.0, 102]))
    returns.keep(AFTER, np.array([100.0, 104]))
    assert missing(returns, ARMS) == []


def test_first_those_that_decide_then_more_of_the_open_ones_then_the_others(fell: Returns) -> None:
    assert missing(fell, ARMS) == names(LEAD, WORST, RANDOM, OTHER)
    keep(fell, LEAD, *SETTLED)
    keep(fell, WORST, *OPEN)
    keep(fell, RANDOM, *SETTLED)
    assert missing(fell, ARMS) == names(WORST, RANDOM, first=FIRST, last=MOST) + names(OTHER)
    keep(fell, WORST, 80, 80, 80, 80, 81)
    assert missing(fell, ARMS)[0] == policy_of(WORST, FIRST + 1), "a second look is taken at all of them"
    keep(fell, WORST, *[60, 61] * (MOST // 2))
    assert missing(fell, ARMS) == names(RANDOM, first=FIRST, last=MOST) + names(OTHER), "in the same orders"
    keep(fell, RANDOM, *[60, 61] * (MOST // 2))
    assert missing(fell, ARMS) == names(OTHER)
    fell.leave_out("other", "there is nothing to play")
    assert missing(fell, ARMS) == []


def test_what_is_open_in_all_orders_is_played_on_more_seeds_and_its_control_as_well(fell: Returns) -> None:
    keep(fell, LEAD, *SETTLED)
    keep(fell, WORST, *OPEN * 2)
    keep(fell, RANDOM, *SETTLED * 2)
    recorded, own, control = (
        [on_more_seeds(BEFORE), on_more_seeds(AFTER)],
        policies_on_more_seeds(WORST),
        policies_on_more_seeds(RANDOM),
    )
    assert stages(fell, ARMS) == [recorded + own + control, names(OTHER)]
    keep_on_more_seeds(fell, *own, mean=110)
    assert stages(fell, ARMS)[0] == recorded + control, "also after a stop at an odd place"
    keep_on_more_seeds(fell, recorded[0], mean=110)
    keep_on_more_seeds(fell, recorded[1], *control, mean=70)
    assert missing(fell, ARMS) == names(OTHER), "once, whatever it leads to"
    lead, worst, _ = played(ARMS[1:], fell)
    assert (lead.episodes, worst.episodes) == (2, 4)
    assert lead.difference.value == -1, "which is compared on the first seeds alone"
    assert worst.difference.value == pytest.approx((85 + 110) / 2 - (61 + 70) / 2)
    assert worst.against_control is not None
    assert worst.against_control.value == pytest.approx((85 + 110) / 2 - (60 + 70) / 2)
    assert worst.mean.value == 85, "on the seeds of all arms"


def test_an_earlier_cause_that_more_seeds_settle_closes_the_later_ones(fell: Returns) -> None:
    """The luck of the first seeds hides that other orders take the fall back."""
    keep(fell, LEAD, *[70, 100, 62, 96] * 2)
    keep(fell, WORST, *OPEN * 2)
    keep(fell, RANDOM, *SETTLED * 2)
    first, later, _ = stages(fell, ARMS)
    assert (policies_on_more_seeds(LEAD)[0] in first, policies_on_more_seeds(WORST)[0] in later) == (True, True)
    keep_on_more_seeds(fell, on_more_seeds(AFTER), mean=60)
    keep_on_more_seeds(fell, on_more_seeds(BEFORE), *policies_on_more_seeds(LEAD), mean=160)
    assert missing(fell, ARMS) == names(OTHER)


def test_of_the_others_those_of_the_cause_are_first_and_those_with_rollouts_last(fell: Returns) -> None:
    slow, critic, data = (
        replace(OTHER, name=name, cause=cause, rollouts=int(name == "slow"))  # type: ignore[arg-type]
        for name, cause in (("slow", "order"), ("critic", "critic"), ("data", "order"))
    )
    keep(fell, LEAD, 99, 100, 101, 100)
    assert stages(fell, [slow, critic, LEAD, data]) == [names(data, critic), names(slow)]


def test_records_that_other_scores_chose_are_other_policies(fell: Returns) -> None:
    measured = replace(OTHER, scores="tracin")
    keep(fell, OTHER, *SETTLED)
    fell.leave_out("other", "no record lowered the target")
    assert missing(fell, [measured]) == [f"other by tracin, {which}" for which in range(1, FIRST + 1)]

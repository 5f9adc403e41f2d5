"""Which policies of an autopsy are played, and in which order: more of them only where that could change the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine.intervention.autopsy.arm import Arm
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, Returns, on_more_seeds
from engine.intervention.autopsy.played_arms import (
    FIRST,
    MOST,
    cause_of,
    change,
    had,
    played,
    policies_on_more_seeds,
    policy_of,
    undecided,
)


def fell(returns: Returns) -> bool:
    """Whether the policy got worse by the update for certain."""
    return change(returns).high < 0


def missing(returns: Returns, arms: Sequence[Arm]) -> list[str]:
    """Policies that are still to be played, as far as is known, in order."""
    return [policy for group in stages(returns, arms) for policy in group]


def stages(returns: Returns, arms: Sequence[Arm]) -> list[list[str]]:
    """The same in groups: those of the first group are played whatever comes of them, the others as far as is known by now.

    First the policies before and after the update, and only where there is a fall those of the arms: the arms that decide; then
    more minibatch orders of those that are open; then more seeds of those that are open even so. Then the other arms, those of
    the cause that is known by then first and those that need rollouts last.
    """
    first = [name for name in (BEFORE, AFTER) if name not in returns]
    if first or not fell(returns):
        return [first] if first else []
    there = had(arms, returns)
    controls = {arm.control for arm in there}
    deciding = [arm for arm in there if arm.lead or arm.name in controls]
    cause = cause_of(played(deciding, returns))
    others = sorted((arm for arm in there if arm not in deciding), key=lambda arm: arm.cause != cause)
    begun = list(_unplayed([_in_orders(deciding, range(FIRST))], returns))
    looks = begun or _more_orders(deciding, returns) or _more_seeds(deciding, returns)
    quick = _in_orders([arm for arm in others if not arm.rollouts], range(FIRST))
    slow = [_in_orders([arm], range(FIRST)) for arm in others if arm.rollouts]
    return [*looks, *_unplayed([quick, *slow], returns)]


def _more_orders(deciding: Sequence[Arm], returns: Returns) -> list[list[str]]:
    """More replicates of each arm that is open, with those of the arm that it is held against."""
    more = {arm: _in_orders([arm], range(FIRST, MOST)) for arm in deciding}
    groups = [[name for each in _with_control(arm, deciding) for name in more[each]] for arm in _open(more, returns)]
    return list(_unplayed(groups, returns))


def _more_seeds(deciding: Sequence[Arm], returns: Returns) -> list[list[str]]:
    """The same on more seeds, on which the policies of the record are played as well."""
    more = {arm: policies_on_more_seeds(arm) for arm in deciding}
    recorded = [on_more_seeds(BEFORE), on_more_seeds(AFTER)]
    groups = [
        [*recorded, *(name for each in _with_control(arm, deciding) for name in more[each])]
        for arm in _open(more, returns)
    ]
    return list(_unplayed(groups, returns))


def _open(more: Mapping[Arm, Sequence[str]], returns: Returns) -> list[Arm]:
    """The arms of which more could change the verdict; those of which there is more already come first, to be ended."""
    names = undecided(played(list(more), returns))
    begun = [arm for arm, policies in more.items() if any(policy in returns for policy in policies)]
    return [*begun, *(arm for arm in more if arm.name in names and arm not in begun)]


def _with_control(arm: Arm, arms: Sequence[Arm]) -> list[Arm]:
    return [arm, *(each for each in arms if each.name == arm.control)]


def _in_orders(arms: Sequence[Arm], orders: range) -> list[str]:
    return [policy_of(arm, which) for arm in arms for which in orders]


def _unplayed(groups: Sequence[Sequence[str]], returns: Returns) -> Iterator[list[str]]:
    """What is left of each group, a policy in the first one that has it; groups of which nothing is left are left out."""
    seen: set[str] = set()
    for group in groups:
        left = [name for name in group if name not in returns and name not in seen]
        seen.update(left)
        if left:
            yield left

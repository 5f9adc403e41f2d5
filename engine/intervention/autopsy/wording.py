"""An autopsy's numbers in words: the same on a page, in a report and on a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping

from engine.intervals import Interval
from engine.intervention.autopsy.autopsy_result import Autopsy, Change

CAUSES: Mapping[str, str] = {
    "order": "luck of the order",
    "data": "luck of the data",
    "step": "size of the step",
    "critic": "critic",
    "advantages": "advantages",
    "records": "some of the records",
}
"""What each cause is."""
ARMS = ("asks for", "arm", "in numbers", "times", "return", "against as recorded")
"""Columns of `rows_of_arms`."""
ON_RECORDS = (
    "records of round",
    "update",
    "return target",
    "KL from before",
    "log-probability, advantage > 0",
    "log-probability, advantage < 0",
)
"""Columns of `rows_on_records`."""
ABOUT_RECORDS = (
    "Changes from the policy before the update, on observations that later policies collected: means, with 95 % t intervals over "
    "the replays. Those policies came from the recorded update, which makes their actions likelier under it. None of these "
    "numbers is a return."
)
"""What these numbers are."""
ANSWERS: Mapping[bool | None, str] = {True: "ok", False: "wrong", None: "can't be told"}
"""Of a check."""


def shown(interval: Interval) -> str:
    """A return with its interval.

    >>> shown(Interval(391.6, 298.7, 484.5))
    '391.6 (298.7 to 484.5)'
    """
    return f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"


def signed(interval: Interval) -> str:
    """A change with its interval.

    >>> signed(Interval(-116, -155, -76.5))
    '-116 (-155 to -76.5)'
    """
    return f"{interval.value:+.3g} ({interval.low:+.3g} to {interval.high:+.3g})"


def whose_doing(round: int) -> str:
    """Which round's return an update is answerable for, in one sentence.

    >>> whose_doing(49)
    'The return of round 50 is played by what update 49 made, so a fall in round 50 is the doing of update 49.'
    """
    return (
        f"The return of round {round + 1} is played by what update {round} made, so a fall in round {round + 1} is the doing of "
        f"update {round}."
    )


def was_it_real(real: Change, round: int) -> str:
    """What happened to the return of training, and what on common seeds.

    >>> was_it_real(Change(Interval(4, -23, 31), 159, 163, 64, (0, 63), (226, 99), 44), 49)
    'The return of training fell from 226 (round 49) to 99 (round 50), with a noise of ±44; on 64 common seeds ...'
    """
    before, after = real.training
    common = (
        f"on {real.episodes} common seeds the policy went from {real.before:.4g} to {real.after:.4g}: "
        f"{signed(real.change)}."
    )
    if before is None or after is None:
        return f"{common[:1].upper()}{common[1:]}"
    moved = "fell" if after < before else "rose" if after > before else "went"
    noise = "" if real.training_noise is None else f", with a noise of ±{real.training_noise:.3g}"
    return (
        f"The return of training {moved} from {before:.4g} (round {round}) to {after:.4g} (round {round + 1}){noise}; "
        f"{common}"
    )


def training_change(real: Change) -> Interval | None:
    """How the return of training changed, with twice its noise to either side; None where that is not known."""
    before, after = real.training
    if before is None or after is None or real.training_noise is None:
        return None
    moved, reach = after - before, 2 * real.training_noise
    return Interval(moved, moved - reach, moved + reach)


def how_played(found: Autopsy) -> str:
    """Episodes, seeds and intervals, in a line; empty where nothing was played."""
    real = found.real
    if real is None:
        return ""
    first, last = real.seeds
    arms = f"; arms {found.recorded[0].episodes}, on the first of them" if found.recorded else ""
    more = [arm for arm in found.arms if found.recorded and arm.episodes > found.recorded[0].episodes]
    if more:
        arms += f", and {more[0].episodes} of what stayed open: {', '.join(arm.name for arm in more)}"
    return f"{real.episodes} episodes of each policy · evaluation seeds {first} to {last}{arms} · 95 % t intervals"


def how_compared(found: Autopsy) -> str:
    """How causes are held against each other, in two or three sentences."""
    asked = sum(arm.lead for arm in found.arms)
    return (
        "* decides on its cause, which explains the fall where the arm takes back half of what other orders leave of it, and "
        "certainly some of it; without the worst records it must also be better than without as many random ones. "
        f"Differences hold at 95 % for the {asked} causes together, which are asked in this order. "
        "Returns are those on the seeds that all arms play, differences are of all seeds that an arm plays."
    )


def rows_of_arms(found: Autopsy) -> list[tuple[str | int, ...]]:
    """A row for each arm, by the cause that it asks for; those that decide are marked."""
    return [
        (
            CAUSES[arm.cause],
            f"{arm.name}{' *' if arm.lead else ''}",
            arm.what,
            arm.replicates,
            shown(arm.mean),
            signed(arm.difference),
        )
        for arm in found.arms
    ]


def rows_on_records(found: Autopsy) -> list[tuple[str, ...]]:
    """A row for each update on the records of each later round; `-` where a number is not known."""
    return [
        (
            str(each.round),
            f"{each.update}, {each.replays} times" if each.replays > 1 else each.update,
            *(
                _number(each.numbers.get(name), "" if name == "kl" else "+")
                for name in ("return_target", "kl", "log_prob_positive", "log_prob_negative")
            ),
        )
        for each in found.on_records or ()
    ]


def _number(interval: Interval | None, sign: str) -> str:
    if interval is None:
        return "-"
    value, low, high = (f"{number:{sign}.2g}" for number in interval)
    return value if math.isnan(interval.low) else f"{value} ({low} to {high})"


def why_no_arms(found: Autopsy) -> str:
    """Why no arm was played; empty where some were."""
    if found.arms:
        return ""
    if found.real is None:
        return "No return tells."
    if found.real.fell:
        return "What would have prevented it is still to be played." if found.waits else "No arm can be played here."
    return "Arms are played only where the policy fell for certain; here there is no fall to explain."

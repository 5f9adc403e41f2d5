"""What autopsies said of falls against what really happens, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from engine.experiments.faultlab.natural_falls import JUDGED, FallsCell, Judged, JudgedCause
from engine.experiments.faultlab.table import percent, plain
from engine.intervals import Interval
from engine.intervention.autopsy.arm import CAUSES
from engine.intervention.autopsy.autopsy_result import Verdict
from engine.intervention.autopsy.played_arms import RECOVERED

Truth = Literal["not real", "order", "data", "step", "unexplained", "too close"]
TRUTHS: tuple[Truth, ...] = ("order", "data", "step", "unexplained", "too close", "not real")
NO_CAUSE: tuple[Verdict, ...] = ("unexplained", "not real")
WHAT = {
    "agrees": "of real falls where it is clear what happens: the verdict says so",
    "always the same": "of the same falls: the answer that is most often right, given every time",
    "wrong": "of verdicts that name a cause, where it is clear what happens: it is something else",
    "remedy works": "of causes that are named of real falls, where it is clear: half of the fall is not there without it",
    "no cause": "of real falls: unexplained or not real, says the verdict",
    "order": "of real falls, where it is clear: in other orders half of the fall is not there",
    "data": "of real falls, where it is clear: with other data half of the fall is not there",
    "step": "of real falls, where it is clear: with a quarter of the learning rate half of the fall is not there",
    "false alarm": "of all falls that were judged: a check of the record failed",
}
"""What each share is of."""


def takes_back(judged: Judged, cause: JudgedCause) -> bool | None:
    """Whether what avoids a cause takes back at least half of the fall, by more than its noise; None: too close to tell.

    >>> takes_back(Judged("order", (-10, -12, -11), {"order": (9, 11, 10)}), "order")
    True
    >>> takes_back(Judged("order", (-10, -12, -11), {"order": (1, 0, 2)}), "order")
    False
    """
    more = Interval.of_mean(np.array(judged.arms[cause]) + RECOVERED * np.array(judged.change))
    return True if more.low > 0 else False if more.high < 0 else None


def truth(judged: Judged) -> Truth:
    """What happens: the first cause, in the order of an autopsy, without which half of the fall is not there.

    `not real`: on the new seeds the policy did not get worse for certain. `too close`: noise hides whether a cause is the one.
    """
    if Interval.of_mean(np.array(judged.change)).high >= 0:
        return "not real"
    for cause in JUDGED:
        taken = takes_back(judged, cause)
        if taken is not False:
            return cause if taken else "too close"
    return "unexplained"


def judged_falls(cells: Sequence[FallsCell]) -> list[Judged]:
    """Of all trainings."""
    return [update.judged for cell in cells for update in cell.answers if update.judged is not None]


def matrix(falls: Sequence[Judged]) -> dict[Verdict, Counter[Truth]]:
    """Verdict -> how often what was true; verdicts that came, in the order in which they are asked for."""
    order: tuple[Verdict, ...] = (*CAUSES, *NO_CAUSE)
    came = [*order, *sorted({each.verdict for each in falls} - set(order))]
    counted = {verdict: Counter(truth(each) for each in falls if each.verdict == verdict) for verdict in came}
    return {verdict: truths for verdict, truths in counted.items() if truths}


def agrees(judged: Judged) -> bool | None:
    """Whether the verdict is what happens; None where that is too close to tell, or where its cause is not one that is judged."""
    true = truth(judged)
    unjudged = judged.verdict in CAUSES and judged.verdict not in JUDGED and true == "unexplained"
    return None if unjudged or true == "too close" else judged.verdict == true


def shares(falls: Sequence[Judged]) -> dict[str, Interval]:
    """Shares that `WHAT` explains (Wilson, 95 %)."""
    real = [each for each in falls if truth(each) != "not real"]
    clear = [truth(each) for each in real if agrees(each) is not None]
    most = Counter(clear).most_common(1)
    named = [agreed for each in falls if each.verdict in CAUSES and (agreed := agrees(each)) is not None]
    taken: dict[str, Interval] = {cause: _clear([takes_back(each, cause) for each in real]) for cause in JUDGED}
    return {
        "agrees": _clear([agrees(each) for each in real]),
        "always the same": Interval.of_share(most[0][1] if most else 0, len(clear)),
        "wrong": Interval.of_share(named.count(False), len(named)),
        "remedy works": _clear([takes_back(each, each.verdict) for each in real if each.verdict in JUDGED]),
        "no cause": Interval.of_share(sum(each.verdict in NO_CAUSE for each in real), len(real)),
        **taken,
        "false alarm": Interval.of_share(sum(bool(each.failed) for each in falls), len(falls)),
    }


def counts(cells: Sequence[FallsCell]) -> dict[str, int]:
    """Trainings, rounds, falls among them, how many were judged, and how many of these were real on new seeds."""
    falls, updates = judged_falls(cells), [update for cell in cells for update in cell.answers]
    return {
        "trainings": len(cells),
        "rounds": len(updates),
        "falls": sum(update.fell for update in updates),
        "judged": len(falls),
        "real": sum(truth(each) != "not real" for each in falls),
    }


def to_json(cells: Sequence[FallsCell]) -> dict[str, Any]:
    """What `faultlab --falls --json` prints, beside the folder."""
    environments = dict.fromkeys(cell.env_id for cell in cells)
    own = {name: [cell for cell in cells if cell.env_id == name] for name in environments}
    return {**_plain(cells), "environments": {name: _plain(those) for name, those in own.items()}}


def lines(cells: Sequence[FallsCell]) -> Iterator[str]:
    """The counts and the shares in words."""
    found = counts(cells)
    yield (
        f"{found['falls']} falls in {found['rounds']} rounds of {found['trainings']} trainings; {found['judged']} judged, "
        f"{found['real']} of them real on new seeds."
    )
    for name, share in shares(judged_falls(cells)).items():
        yield f"{name} ({WHAT[name]}): {percent(share)}"


def misses(cells: Sequence[FallsCell]) -> Iterator[str]:
    """A line for every verdict that is not what happens, where that is clear."""
    for cell in cells:
        for update in cell.answers:
            judged = update.judged
            if judged is not None and agrees(judged) is False:
                yield f"{cell}, round {update.round}: {truth(judged)}, named {judged.verdict}"


def _clear(answers: Sequence[bool | None]) -> Interval:
    """Share of yes, of those where it can be told."""
    return Interval.of_share(answers.count(True), len(answers) - answers.count(None))


def _plain(cells: Sequence[FallsCell]) -> dict[str, Any]:
    falls = judged_falls(cells)
    return {
        **counts(cells),
        "shares": {name: plain(share) for name, share in shares(falls).items()},
        "verdicts": {verdict: dict(truths) for verdict, truths in matrix(falls).items()},
        "misses": list(misses(cells)),
    }

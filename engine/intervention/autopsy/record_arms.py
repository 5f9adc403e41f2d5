"""A round without its worst records, without others, and with the worst ones repaired."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from engine.core.kind import kind_of
from engine.core.replays.replay import replay
from engine.errors import BadInputError
from engine.intervention.autopsy.arm import Arm, Check, left_out, replays
from engine.intervention.autopsy.worst_records import WorstRecords
from engine.store.snapshot import Snapshot

WORST, RANDOM = "without the worst records", "without as many random records"


def record_arms(snapshot: Snapshot, worst: WorstRecords) -> Iterator[Arm]:
    """Without the worst ones, which decides where random ones in their place don't do as well; and which ones matter."""
    kind = kind_of(snapshot)

    def without_random(which: int, check: Check) -> Any:
        drop = kind.control(snapshot, worst.bottom(check), which)
        return replay(snapshot, drop, order=which, on_step=check).agent

    def without_group(check: Check) -> Any:
        return kind.removed(snapshot, worst.group(check))

    def without_worst(check: Check) -> Any:
        return kind.removed(snapshot, worst.bottom(check))

    def repaired(check: Check) -> Any:
        return kind.repaired(snapshot, worst.bottom(check))

    said = f"the bottom {worst.count:,}, by {worst.words}"
    of = partial(Arm, cause="records", scores=worst.scores)
    yield of(WORST, agent=replays(snapshot, without_worst), what=said, lead=True, control=RANDOM)
    yield of(RANDOM, agent=without_random, what=f"{worst.count:,} others each time")
    try:
        word = kind.groups(snapshot)[0]
        by_sum = f"by the sum of {worst.words}"
        yield of(f"without the worst {word}", agent=replays(snapshot, without_group), what=by_sum)
    except BadInputError as error:
        yield left_out("without the worst group", "records", str(error))
    try:
        kind.trajectories(snapshot)
        repairs = "TD errors for their advantages"
        yield of("worst records repaired", agent=replays(snapshot, repaired), what=repairs)
    except BadInputError as error:
        yield left_out("worst records repaired", "records", str(error))

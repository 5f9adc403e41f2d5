"""A round without its worst records, without others, and with the worst ones repaired."""

from __future__ import annotations

from collections.abc import Iterator
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
    yield Arm(WORST, "records", replays(snapshot, without_worst), said, lead=True, control=RANDOM)
    yield Arm(RANDOM, "records", without_random, f"{worst.count:,} others each time")
    try:
        word = kind.groups(snapshot)[0]
        yield Arm(
            f"without the worst {word}", "records", replays(snapshot, without_group), f"by the sum of {worst.words}"
        )
    except BadInputError as error:
        yield left_out("without the worst group", "records", str(error))
    try:
        kind.trajectories(snapshot)
        yield Arm("worst records repaired", "records", replays(snapshot, repaired), "TD errors for their advantages")
    except BadInputError as error:
        yield left_out("worst records repaired", "records", str(error))

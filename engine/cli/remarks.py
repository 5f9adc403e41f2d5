"""What a command says on stderr, in a line, before it begins."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from engine.terminal import duration

if TYPE_CHECKING:
    from engine.store.snapshot import Snapshot

WORTH_SAYING_SECONDS = 2.0
"""What takes less is not announced."""


def note(line: str) -> None:
    """Print a remark on stderr, in one line."""
    print(f"note: {line}", file=sys.stderr, flush=True)


def note_elsewhere(snapshot: Snapshot) -> None:
    """That replays of the round are not bit-exact here, if they are not."""
    from engine.core.kind import recorded_here

    if not recorded_here(snapshot):
        note(
            f"round {snapshot.round} was recorded with other software or on another machine, so replays agree with it to "
            "rounding, not bit for bit"
        )


def note_duration(what: str, seconds: float) -> None:
    """How long it will take, if that is worth saying."""
    if seconds > WORTH_SAYING_SECONDS:
        note(f"{what} takes about {duration(seconds)}")

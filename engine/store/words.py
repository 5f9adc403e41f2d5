"""Words of which the objects of a run make the one line that says what they are."""

from __future__ import annotations

import reprlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def counted(number: int, what: str) -> str:
    """A number of things.

    >>> counted(1, "record"), counted(2048, "record")
    ('1 record', '2,048 records')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def brief(text: object) -> str:
    """A text that may be long, or of somebody else's making: 30 characters of it at most, without line breaks.

    >>> brief("a" * 40 + "z")
    'aaaaaaaaaaaa...aaaaaaaaaaaaz'
    """
    return reprlib.repr(str(text))[1:-1]


def tally(kept: NDArray[np.bool_]) -> str:
    """How many records there are, and how many of them were dropped from the update.

    >>> tally(np.array([True, True, False]))
    '3 records, 1 dropped'
    """
    dropped = f", {len(kept) - int(kept.sum()):,} dropped" if not kept.all() else ""
    return counted(len(kept), "record") + dropped


def round_of(number: int, path: Path | None, commit: str) -> str:
    """A round and where it is recorded.

    >>> round_of(3, Path("runs/lander"), "5c0d")
    "round 3 of 'runs/lander'"
    >>> round_of(3, None, "")
    'round 3, not committed'
    """
    return f"round {number}" + (f" of '{brief(path)}'" if commit else ", not committed")

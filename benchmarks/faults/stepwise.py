"""Writers of small things that are replaced as a whole: after each step there is one state, and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from benchmarks.faults.writer import Say, Writer, Wrong

Step = tuple[Callable[[Path], object], Any]
"""What is done to a folder, and what is there afterwards."""


def stepwise(
    name: str,
    prepare: Callable[[Path], object],
    steps: Sequence[Step],
    now: Callable[[Path], Any],
    *,
    first: Any,
    is_cache: bool = False,
) -> Writer:
    """A writer that does one step after another.

    Args:
        name: of the writer.
        prepare: as `Writer`.
        steps: what is done. One that gives False was not acknowledged.
        now: what is there, in the words of the steps.
        first: what is there before the first step.
        is_cache: whether an earlier state may come back, the first one included.
    """
    states = [first, *(state for _, state in steps)]

    def at(folder: Path) -> int:
        """The last step that could have led to what is there; -1 where none could."""
        found = now(folder)
        return max((number for number, state in enumerate(states) if state == found), default=-1)

    def act(folder: Path, say: Say) -> None:
        for number in range(max(at(folder), 0), len(steps)):
            if steps[number][0](folder) is not False:
                say(f"{number + 1}")

    def check(folder: Path, said: Set[str]) -> Iterator[Wrong]:
        reached = at(folder)
        if reached < 0:
            yield Wrong("torn", f"there is {now(folder)!r}")
        elif not is_cache and reached < max(map(int, said), default=0):
            yield Wrong("lost", f"step {max(map(int, said))} was acknowledged, there is what step {reached} left")

    return Writer(name, prepare, act, check)

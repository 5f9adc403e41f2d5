"""What every fault needs of something that writes: how it begins, what it does, and what must be there afterwards."""

from __future__ import annotations

import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self

from engine.errors import EngineError
from engine.intervention import record_sets
from engine.store import run_notes

KINDS = ("lost", "torn", "stuck", "undetected", "misnamed", "traceback")
"""What can be wrong: something acknowledged is not there; what is there is not what was written; the work can't go on; a changed
byte is not noticed, or another file is named; an error is no line of the engine's."""
EXAMPLES = 5
"""Of what was wrong, that are kept."""

Say = Callable[[str], object]


class Wrong(NamedTuple):
    """One thing that should not be."""

    kind: str
    """One of `KINDS`."""
    what: str


@dataclass(frozen=True)
class Writer:
    """Something that writes. A new one is an entry in `writers.WRITERS`, and every fault is tried on it."""

    name: str
    prepare: Callable[[Path], object]
    """Put into an empty folder what is there before."""
    act: Callable[[Path, Say], object]
    """Begin, or go on with what is there, to the end; say each thing once it is acknowledged."""
    check: Callable[[Path, Set[str]], Iterable[Wrong]]
    """What is wrong in the folder, where that much was said. It may raise an `EngineError`: then something is torn."""


class Bench:
    """A writer's folder as it was prepared, and copies of it to try a fault on."""

    def __init__(self, writer: Writer, work: Path) -> None:
        self.writer, self._work, self._number = writer, work, count()
        self._prepared = work / "prepared"
        self._prepared.mkdir(parents=True)
        writer.prepare(self._prepared)

    @contextmanager
    def empty(self) -> Iterator[Path]:
        """A folder that no other trial had, and that is gone afterwards."""
        folder = self._work / f"{next(self._number)}"
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        """Such a folder, with what was prepared."""
        with self.empty() as folder:
            shutil.copytree(self._prepared, folder)
            yield folder


def attempt(writer: Writer, folder: Path, say: Say) -> list[Wrong]:
    """Do the work as far as it goes; wrong is an end that is no line of the engine's."""
    try:
        writer.act(folder, say)
    except EngineError as error:
        return [Wrong("traceback", f"it says {str(error)!r}")] if "\n" in str(error) else []
    except Exception:  # noqa: BLE001  that it was any other is what is to be told
        return [Wrong("traceback", _end_of_traceback())]
    return []


def aftermath(writer: Writer, folder: Path, said: Sequence[str]) -> list[Wrong]:
    """What is wrong after a fault, where that much was said; and what, once the work went on and came to its end."""
    found = examine(writer, folder, said)
    more = [*said]
    try:
        writer.act(folder, more.append)
    except EngineError as error:
        return [*found, Wrong("stuck", str(error))]
    except Exception:  # noqa: BLE001
        return [*found, Wrong("traceback", f"while it went on: {_end_of_traceback()}")]
    return [*found, *(Wrong(kind, f"after it went on: {what}") for kind, what in examine(writer, folder, more))]


def examine(writer: Writer, folder: Path, said: Sequence[str]) -> list[Wrong]:
    """What is wrong, where that much was said."""
    forget()
    found: list[Wrong] = []
    try:
        found.extend(writer.check(folder, {*said}))
    except (EngineError, AssertionError) as error:
        found.append(Wrong("torn", f"{type(error).__name__}: {' '.join(str(error).split())}"))
    except Exception:  # noqa: BLE001
        found.append(Wrong("traceback", _end_of_traceback()))
    return found


def forget() -> None:
    """Nothing that was read before may answer for the disk: within a moment, a file can change and look the same."""
    record_sets._as_written.cache_clear()
    run_notes._as_written.cache_clear()


def _end_of_traceback() -> str:
    return " ".join(" ".join(traceback.format_exc().splitlines()[-3:]).split())


@dataclass
class Tally:
    """What came of the trials of one fault on one writer."""

    tried: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    """Whatever else was counted, such as kills in the middle of the work."""

    def add(self, where: str, found: Sequence[Wrong]) -> None:
        """Count a trial."""
        self.tried += 1
        for kind, what in found:
            self.wrong[kind] += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append(f"{kind}, {where}: {what}"[:400])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "tried": self.tried,
            "wrong": {kind: self.wrong[kind] for kind in KINDS if self.wrong[kind]},
            "examples": self.examples,
            "notes": dict(self.notes),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(values["tried"], Counter(values["wrong"]), [*values["examples"]], Counter(values["notes"]))

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        examples = [*self.examples, *other.examples][:EXAMPLES]
        return Tally(self.tried + other.tried, self.wrong + other.wrong, examples, self.notes + other.notes)


@dataclass(frozen=True)
class Part:
    """A part of all trials: of so many, each trial is in just one."""

    index: int = 0
    of: int = 1

    def takes(self, number: int) -> bool:
        """Whether a trial is in it."""
        return number % self.of == self.index

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `3/20`, counted from 0.

        Raises:
            ValueError: it is no such text.
        """
        index, of = (int(number) for number in text.split("/"))
        if not 0 <= index < of:
            raise ValueError(f"{text} is no part: say 0/20 to 19/20")
        return cls(index, of)

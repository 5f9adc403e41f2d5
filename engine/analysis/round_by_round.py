"""Something computed for every round of a run, one round in memory at a time, and kept in the run's `derived/`."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import pyarrow as pa

from engine.errors import DamagedRunError, EngineError
from engine.store.derived import load_table, save_table
from engine.store.read import Run
from engine.store.strict_json import parse_json

T = TypeVar("T")
WORTH_KEEPING = 1 / 8
"""Share of the rounds found that is new where they are kept on the way."""


class RoundByRound(Generic[T]):
    """As many rounds as have been looked at so far.

    What is found is kept in one table, so that the next time only rounds that are new are looked at. A round that can't be
    read is passed by and named in `failed`.

    Args:
        run: whose rounds.
        question: plain values that say exactly what is computed; equal ones mean equal answers.
        numbers: of the rounds.
        look: at one round.
        write: an answer as plain values.
        read: the inverse.
        ahead: rounds after it that an answer rests on, too; it is kept with their commits, as far as there are any by then.
        cache: read and write the run's `derived/`.
    """

    def __init__(
        self,
        run: Run,
        question: Mapping[str, Any],
        numbers: Sequence[int],
        look: Callable[[int], T],
        write: Callable[[T], Any],
        read: Callable[[Any], T],
        *,
        ahead: int = 0,
        cache: bool = True,
    ) -> None:
        self.run, self.numbers, self.cache, self._ahead = run, list(numbers), cache, ahead
        self._look, self._write, self._read = look, write, read
        self._question = json.dumps(dict(question), sort_keys=True)
        self._commits = {info.round: info.hash for info in (*run.rounds, *((run.final,) if run.final else ()))}
        self.found: dict[int, T] = self._load() if cache else {}
        self.failed: dict[int, str] = {}
        self.missing = [number for number in coarse_to_fine(self.numbers) if number not in self.found]
        self._kept = len(self.found)

    @property
    def in_order(self) -> list[tuple[int, T]]:
        """The rounds that were found and their answers."""
        return sorted(self.found.items(), key=lambda item: item[0])

    @property
    def progress(self) -> tuple[int, int]:
        """(rounds done, rounds in all)."""
        return len(self.numbers) - len(self.missing), len(self.numbers)

    def __iter__(self) -> Iterator[T]:
        """Look at the missing rounds, from coarse to fine. Stop whenever you like; what was found is then kept."""
        try:
            yield from self._looks()
        finally:
            self.keep()

    def _looks(self) -> Iterator[T]:
        while self.missing:
            number = self.missing[0]
            self.look_at(number)
            if number in self.found:
                yield self.found[number]

    def look_at(self, number: int) -> None:
        """Look at one round, if that is missing, and keep nothing yet."""
        try:
            self.missing.remove(number)
        except ValueError:
            return
        try:
            self.found[number] = self._look(number)
        except EngineError as error:
            self.failed[number] = str(error)

    def advance(self, seconds: float = math.inf, only: Sequence[int] | None = None) -> None:
        """Look at missing rounds for that long, the last of which is finished, and keep what was found.

        As all of it is written each time, it is kept once it is so much more (`WORTH_KEEPING`), and at the end.

        Args:
            seconds: as long as it may take, about.
            only: the rounds to look at, in this order; by default all.
        """
        others: list[int] = []
        if only is not None:
            missing, wanted = set(self.missing), dict.fromkeys(only)
            others = [number for number in self.missing if number not in wanted]
            self.missing = [*(number for number in wanted if number in missing), *others]
        until, steps = time.monotonic() + seconds, self._looks()
        try:
            while len(self.missing) > len(others) and time.monotonic() < until:
                next(steps, None)
        finally:
            self.keep_if_worth_it()

    def keep_if_worth_it(self) -> None:
        """Write what is new to the cache, once it is so much more or all that there is."""
        if not self.missing or len(self.found) - self._kept >= WORTH_KEEPING * len(self.found):
            self.keep()

    def keep(self) -> None:
        """Write what is new to the cache."""
        if not self.cache or len(self.found) == self._kept:
            return
        numbers, answers = zip(*self.in_order, strict=True)
        table = pa.table(
            {
                "round": pa.array(numbers, pa.int32()),
                "commit": [self._rests_on(number) for number in numbers],
                "found": [json.dumps(self._write(answer)) for answer in answers],
            }
        )
        save_table(self.run.path, self._key, table, {"about": self._question})
        self._kept = len(self.found)

    def _rests_on(self, number: int) -> str:
        """The commits that make the answer what it is."""
        return " ".join(self._commits.get(each, "") for each in range(number, number + 1 + self._ahead))

    @property
    def _key(self) -> str:
        return hashlib.sha256(self._question.encode()).hexdigest()

    def _load(self) -> dict[int, T]:
        table = load_table(self.run.path, self._key)
        rows = [] if table is None else table.to_pylist()
        try:
            wanted = set(self.numbers)
            known = [row for row in rows if row["round"] in wanted and row["commit"] == self._rests_on(row["round"])]
            return {row["round"]: self._read(parse_json(row["found"].encode(), "derived")) for row in known}
        except (AttributeError, KeyError, TypeError, ValueError, DamagedRunError):
            return {}  # it is a cache: what can't be understood is found anew


def coarse_to_fine(rounds: Sequence[int]) -> list[int]:
    """An order in which a curve is seen as a whole early: first every 128th round or so, then every 64th, and so on.

    >>> coarse_to_fine([0, 1, 2, 3, 4])
    [0, 4, 2, 1, 3]
    """
    steps = [2**i for i in reversed(range(max(len(rounds) - 1, 1).bit_length()))]
    order = dict.fromkeys(position for step in steps for position in range(0, len(rounds), step))
    return [rounds[position] for position in order]

"""What the records of a run say of its rounds: each round is read once, for all that looks at it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import lru_cache

from engine.analysis.checks.failed_rounds import failed_checks, with_failed
from engine.analysis.incidents.detect import looks_at_records, with_unlike
from engine.analysis.incidents.incident import Incidents
from engine.store.read import Run


class InRecords:
    """Rewards and observations unlike those before, and failed checks: as far as the rounds have been read.

    >>> import engine
    >>> found = InRecords(engine.open_run("sample_runs/FrozenLake-v1"), cache=False)
    >>> found.progress
    (0, 30)
    >>> found.advance(only=[5, 6])
    >>> found.progress, len(found.missing)
    ((2, 30), 28)

    Args:
        run: of any kind.
        replays: also replay every update and step the environment again, as `failed_checks` says.
        cache: read and write the run's `derived/`.

    Raises:
        BadInputError: `replays`, and what this kind of run needs is not installed.
    """

    def __init__(self, run: Run, *, replays: bool = False, cache: bool = True) -> None:
        # Both look at a round, one after the other; a check also at the one before.
        read = lru_cache(maxsize=2)(run.snapshot)
        self._takes_long = replays
        self.looks = looks_at_records(run, cache=cache, read=read)
        self.checks = failed_checks(run, replays=replays, cache=cache, read=read)

    @property
    def missing(self) -> list[int]:
        """Rounds that were not looked at or not checked, from coarse to fine."""
        return list(dict.fromkeys([*self.looks.missing, *self.checks.missing]))

    @property
    def progress(self) -> tuple[int, int]:
        """(rounds done, rounds in all)."""
        stored, missing = len(self.looks.numbers), {*self.looks.missing, *self.checks.missing}
        return stored - len(missing), stored

    def advance(self, seconds: float = math.inf, only: Sequence[int] | None = None) -> None:
        """Read rounds for that long, one of them at least, and keep what was found, as `RoundByRound` does; of replays all."""
        until = time.monotonic() + seconds
        for k in self.missing if only is None else only:
            self.looks.look_at(k)
            self.checks.look_at(k)
            if time.monotonic() >= until:
                break
        if self._takes_long:
            self.keep()
        else:
            self.looks.keep_if_worth_it()
            self.checks.keep_if_worth_it()

    def keep(self) -> None:
        """Write what is new to the cache."""
        self.looks.keep()
        self.checks.keep()

    def added_to(self, found: Incidents) -> Incidents:
        """The incidents of a run's metrics, with those of the records; what could not be read is in `missing`."""
        return with_unlike(with_failed(found, self.checks), self.looks)

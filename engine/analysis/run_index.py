"""An index of the runs in a folder: what a list says of each, kept beside them and brought up to date.

A row is made of all commits of a run, which takes a while for long ones. Rows are kept in one table under `<folder>/derived/`,
each with the run's stamp: which files its `run.json`, its folder of commits and its last commit are, and when they changed. A
row counts only where the run has the same stamp now; one that was copied or received with the folder never has. The table may
be deleted at any time, and a damaged one is as none.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from threading import Lock

import pyarrow as pa

from engine.analysis.compared_runs import setting
from engine.analysis.incidents.detect import of_metrics
from engine.analysis.incidents.falls import Drop
from engine.analysis.incidents.incident import NOT_FINITE, Incidents
from engine.errors import BadInputError, DamagedRunError, EngineError
from engine.store.chain import commit_name
from engine.store.derived import load_table, update_table
from engine.store.read import Run, open_run
from engine.store.sound_files import identity
from engine.store.strict_json import parse_json
from engine.typed import Count, Finite, typed

VERSION = 1
"""Of the rows: those of another version are made anew."""
POINTS = 60
"""Returns that a row has at most."""
TABLE = sha256(f"an index of runs, version {VERSION}".encode()).hexdigest()[:32]
SCHEMA = pa.schema({"run": pa.string(), "stamp": pa.string(), "row": pa.string()})
KEEP_SECONDS = 5.0
"""While runs are being read the table is written that often."""
SETTLED_SECONDS = 60.0
"""A run that grew within that time is likely to grow again, so that its row is not worth keeping."""


@dataclass(frozen=True)
class Branched:
    """Where a branch left its parent."""

    run: str
    round: int
    removed: Count
    """How many records the update went without."""
    repaired: Count = 0
    """How many were repaired before it."""


@dataclass(frozen=True)
class Worst:
    """The largest incident of a run, or where there is none its largest fall."""

    short: str
    update: int
    """The update that it is the doing of."""
    incident: bool
    """False of a fall that is within noise, or can't be told from it."""
    stored: bool
    """Whether the records of that update and the parameters after it are there."""
    finite: bool
    """False where a metric stopped being a number, which counts before all falls."""
    size: Finite
    """The fall, as a share of the range of the run's returns; 0 of what is no fall."""

    @property
    def rank(self) -> tuple[bool, bool, bool, float]:
        """The largest is the worst; an incident that can be examined comes before one that can't."""
        return self.incident, self.stored, not self.finite, self.size


@dataclass(frozen=True)
class RunRow:
    """What a list says of a run."""

    kind: str
    env_id: str
    trainer: str
    """Empty where it was trained here."""
    seed: int
    setting: str
    """Equal for runs that differ in nothing but their seed and their number of rounds; empty of a branch."""
    rounds: Count
    last: int | None
    """The number of the last commit; None without one."""
    finished: bool
    has_records: bool
    returns: tuple[Finite, ...]
    """Mean returns over the rounds, at most `POINTS` of them: the extremes of equal stretches where there are more."""
    final_return: Finite | None
    best_return: Finite | None
    optimizer: str
    filter_name: str
    incidents: Count
    first_incident: str
    too_few: str
    """A sentence where there are too few episodes to tell."""
    worst: Worst | None
    parent: Branched | None
    created: str


def row_of(run: Run) -> RunRow:
    """The row of a run, from its manifest and its commits; no record is read.

    >>> row = row_of(open_run("sample_runs/FrozenLake-v1"))
    >>> row.env_id, row.rounds, row.incidents, len(row.returns)
    ('FrozenLake-v1', 30, 0, 30)
    """
    manifest, found = run.manifest, of_metrics(run)
    returns = [info.metrics["mean_return"] for info in run.rounds if info.metrics.get("mean_return") is not None]
    parent = manifest.parent
    commits = [*run.rounds, *((run.final,) if run.final else ())]
    return RunRow(
        kind=run.kind,
        env_id=manifest.env_id,
        trainer=manifest.trainer,
        seed=run.config.seed,
        setting="" if parent else setting(run),
        rounds=len(run.rounds),
        last=commits[-1].round if commits else None,
        finished=run.final is not None,
        has_records=bool(run.stored_rounds),
        returns=tuple(float(value) for value in extremes(returns, POINTS)),
        final_return=float(returns[-1]) if returns else None,
        best_return=float(max(returns)) if returns else None,
        optimizer=f"{run.config.optimizer} {run.config.learning_rate:g}",
        filter_name=run.config.filter_name,
        incidents=len(found),
        first_incident=found[0].short if found else "",
        too_few=found.too_few,
        worst=_worst(run, found, returns),
        parent=Branched(parent.run, parent.round, len(parent.removed), len(parent.repaired)) if parent else None,
        created=manifest.created,
    )


def extremes(values: Sequence[float], most: int) -> list[float]:
    """At most so many values: the lowest and the highest of equal stretches, in the order in which they came.

    >>> extremes([3, 1, 2, 9, 4, 5], 4), extremes([3, 1], 4)
    ([3, 1, 9, 4], [3, 1])
    """
    if len(values) <= most:
        return list(values)
    edges = [len(values) * i // (most // 2) for i in range(most // 2 + 1)]
    found = []
    for begin, end in pairwise(edges):
        positions = range(begin, end)
        both = {min(positions, key=values.__getitem__), max(positions, key=values.__getitem__)}
        found += [values[i] for i in sorted(both)]
    return found


def _worst(run: Run, found: Incidents, returns: Sequence[float]) -> Worst | None:
    if not found:
        return None if found.largest is None else _fall_in_noise(run, found.largest, returns)
    sized = (
        Worst(
            short=incident.short,
            update=incident.update,
            incident=True,
            stored=_is_stored(run, incident.update),
            finite=incident.kind != NOT_FINITE,
            size=_size(incident.drop, returns),
        )
        for incident in found
    )
    return max(sized, key=lambda each: each.rank)


def _fall_in_noise(run: Run, drop: Drop, returns: Sequence[float]) -> Worst:
    update = drop.round - 1
    short = f"{drop.before:.4g} to {drop.after:.4g} at round {drop.round}"
    return Worst(short, update, False, _is_stored(run, update), True, _size(drop, returns))


def _is_stored(run: Run, update: int) -> bool:
    return run.has_records(update) and run.has_checkpoint(update + 1)


def _size(drop: Drop | None, returns: Sequence[float]) -> float:
    span = max(returns, default=0.0) - min(returns, default=0.0)
    size = (drop.before - drop.after) / span if drop is not None and span else 0.0
    return size if math.isfinite(size) else 0.0


class RowReader:
    """Makes rows, and keeps the runs open that go on, so that of those only new commits are read."""

    def __init__(self) -> None:
        self._growing: dict[Path, tuple[int, Run]] = {}

    def __call__(self, path: Path) -> RunRow:
        """The row of the run in a folder.

        Raises:
            EngineError: the run is damaged, or too new.
        """
        changed = (path / "run.json").lstat().st_ctime_ns
        before, run = self._growing.pop(path, (None, None))
        if run is None or before != changed:
            run = open_run(path)
        else:
            run.refresh()
        if run.final is None:
            self._growing[path] = changed, run
        return row_of(run)


@dataclass(frozen=True)
class Entry:
    """A row, and the stamp of the run that it was made of."""

    stamp: str
    row: RunRow


class RunIndex:
    """The rows of the runs in a folder; several threads may share one.

    index = RunIndex(Path("runs"))
    index.look(find_runs("runs"))
    index.advance()  # or index.advance(0.5), as often as there is something in index.missing
    index.rows

    Args:
        folder: in which the runs are.
        read: makes the row of a run from its folder.
    """

    def __init__(self, folder: Path, read: Callable[[Path], RunRow] | None = None) -> None:
        self.folder, self._read, self._lock = folder, read or RowReader(), Lock()
        self.rows: dict[Path, RunRow] = {}
        """The rows that are current."""
        self.problems: dict[Path, str] = {}
        """Why a run has no row, in one line."""
        self.missing: list[Path] = []
        """Runs that are to be read, the newest first."""
        self._entries = _entries_of(load_table(folder, TABLE))
        self._written = {key: entry.stamp for key, entry in self._entries.items()}
        self._kept = time.monotonic()
        self._refused: dict[Path, tuple[str, str]] = {}
        """Runs that could not be read: their stamp, and why."""

    def look(self, paths: Iterable[Path]) -> None:
        """See which runs are there, and which of the rows are current."""
        rows, problems, missing = {}, {}, []
        with self._lock:
            for path in paths:
                entry, refused = self._entries.get(self._key(path)), self._refused.get(path)
                if entry is not None and stamp(path, entry.row.last) == entry.stamp:
                    rows[path] = entry.row
                elif refused is not None and stamp(path) == refused[0]:
                    problems[path] = refused[1]
                else:
                    missing.append(path)
            self.rows, self.problems, self.missing = rows, problems, sorted(missing, key=_newest_first)

    def advance(self, seconds: float = math.inf) -> None:
        """Read missing runs for that long, at least one of them, and keep the rows."""
        until = time.monotonic() + seconds
        with self._lock:
            while self.missing:
                self._make(self.missing.pop(0))
                if time.monotonic() >= until:
                    break
            if not self.missing or time.monotonic() - self._kept > KEEP_SECONDS:
                self._keep()
                self._kept = time.monotonic()

    def _key(self, path: Path) -> str:
        """A run's name in the table: any folder's name, in plain letters."""
        return sha256(os.fsencode(os.path.relpath(path, self.folder))).hexdigest()[:32]

    def _make(self, path: Path) -> None:
        before = stamp(path)
        try:
            row = self._read(path)
        except (EngineError, OSError) as error:
            self._refused[path] = before, str(error)
            self.problems[path] = str(error)
            return
        self.rows[path] = row
        after = stamp(path, row.last)
        if after.startswith(before):  # nothing was written meanwhile
            self._entries[self._key(path)] = Entry(after, row)

    def _keep(self) -> None:
        """Write the rows that are new and will stay as they are for a while."""
        now = time.time()
        worth = {
            key: self._entries[key]
            for path, row in self.rows.items()
            if (key := self._key(path)) in self._entries and (row.finished or now - _changed(path) > SETTLED_SECONDS)
        }
        if any(self._written.get(key) != entry.stamp for key, entry in worth.items()):
            update_table(self.folder, TABLE, lambda table: _table_of(_entries_of(table) | worth))
            self._written |= {key: entry.stamp for key, entry in worth.items()}


def stamp(path: Path, last: int | None = None) -> str:
    """What changes whenever a run does, without reading it: the identities and times of two or three of its files.

    Args:
        path: the run's folder.
        last: the number of its last commit.
    """
    names = ["run.json", "commits", *([] if last is None else [f"commits/{commit_name(last)}"])]
    return " ".join(identity(f"{path}/{name}") for name in names)


def _changed(path: Path) -> float:
    """When the run got its last commit; 0 where that can't be told."""
    try:
        return os.lstat(f"{path}/commits").st_mtime
    except OSError:
        return 0.0


def _newest_first(path: Path) -> tuple[float, str]:
    return -_changed(path), str(path)


def _entries_of(table: pa.Table | None) -> dict[str, Entry]:
    """What a kept table says; rows that can't be understood are passed over."""
    if table is None or not table.schema.equals(SCHEMA):
        return {}
    entries = {}
    for key, kept_stamp, row in zip(*(_texts(table, name) for name in SCHEMA.names), strict=True):
        with suppress(BadInputError, DamagedRunError):
            entries[key] = Entry(kept_stamp, typed(RunRow, parse_json(row.encode(), "an index of runs"), more=True))
    return entries


def _texts(table: pa.Table, name: str) -> list[str]:
    return [str(value) for value in table[name].to_pylist()]


def _table_of(entries: Mapping[str, Entry]) -> pa.Table:
    rows = [json.dumps(asdict(entry.row)) for entry in entries.values()]
    return pa.table([[*entries], [entry.stamp for entry in entries.values()], rows], schema=SCHEMA)

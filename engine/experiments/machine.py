"""The machine behind every experiment: tasks are planned, trained once each, kept on disk and read again.

An experiment is a class that derives from `ExperimentResults` and says what is its own: how its definition is written and
understood, which ways of training it compares, and the columns of its rows. The rest is here.

<folder>/<experiment>/<definition>.json          what is compared, seeds planned, the commands that made it
<folder>/<experiment>/tasks/<way>-<seed>.parquet   one finished task each, while the experiment is not complete
<folder>/<experiment>/results.parquet            all rows, once it is complete; tasks added later lie in tasks/ again
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypedDict, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.errors import BadInputError, DamagedRunError
from engine.executors import Pool, Progress
from engine.experiments.rows import read_rows, task_files
from engine.store.derived import SWEPT_SECONDS
from engine.store.documents import read_json, write_json
from engine.store.files import Files, inside
from engine.store.results_table import write_results
from engine.typed import typed

MOST = 2**31 - 1
"""Rounds and evaluations of an experiment at most."""


class Made(TypedDict):
    """A command that an experiment was made with."""

    command: str
    when: str
    fingerprint: dict[str, Any]


class Task(Protocol):
    """One training run. Its `str` names it in messages; it travels to other processes."""

    @property
    def folder(self) -> str:
        """Name of its experiment."""
        ...

    @property
    def seed(self) -> int:
        """Of the training."""
        ...

    @property
    def cost(self) -> int:
        """How much work it is, beside the others of a campaign."""
        ...


Way = TypeVar("Way", bound=str | tuple[str, str])
"""A way of training: what a row has in the columns that name it."""
Some = TypeVar("Some", bound="ExperimentResults[Any]")


@dataclass(frozen=True, kw_only=True)
class ExperimentResults(ABC, Generic[Way]):
    """One experiment of a campaign: what was planned, and the rows that are there."""

    seeds: Mapping[str, Sequence[int]]
    """Arm -> seeds planned."""
    made: Sequence[Mapping[str, Any]]
    """The commands that made it: `command`, `when` (ISO 8601), `fingerprint`."""
    table: pa.Table
    """Rows of the finished tasks (`schema`), sorted by way, seed, round."""

    definition: ClassVar[str]
    """Name of the file that says what is compared."""
    schema: ClassVar[pa.Schema]
    """Of the rows: one a round of a task, with `seed` and `round`."""
    nullable: ClassVar[Collection[str]]
    """Columns that may be null, or not a number."""
    columns: ClassVar[tuple[str, ...]]
    """Those that name the way in which a row's task was trained."""

    @classmethod
    @abstractmethod
    def from_json(cls, name: str, values: Mapping[str, Any], seeds: Mapping[str, list[int]], made: list[Made]) -> Self:
        """An experiment without rows, from its folder's name and what its definition says.

        Raises:
            KeyError, TypeError or ValueError: no campaign writes such a definition.
        """

    @abstractmethod
    def compared(self) -> dict[str, Any]:
        """What its definition says beside seeds and commands."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Of the experiment and its folder."""

    @property
    @abstractmethod
    def ways(self) -> Mapping[Way, str]:
        """The ways of training that are compared, each with its arm."""

    @property
    @abstractmethod
    def rounds(self) -> range:
        """The rounds that every task has a row of."""

    @abstractmethod
    def task(self, way: Way, seed: int) -> Task:
        """The training run of a way and a seed."""

    @abstractmethod
    def check(self, seed: int) -> None:
        """Refuse with a BadInputError what can't be trained here, with seeds up to this one."""

    @abstractmethod
    def joined(self, asked: Self) -> Self:
        """With the arms of `asked` as well, in their usual order.

        Raises:
            BadInputError: its settings are not those of this experiment; names what differs.
        """

    def check_rows(self, folder: Path) -> None:
        """Refuse rows that no task writes with a DamagedRunError."""

    def agree(self, name: str, here: object, asked: object) -> None:
        """Refuse a setting that is another one here with a BadInputError."""
        if here != asked:
            raise BadInputError(
                f"the campaign {self.name} that is there has {name}={here}, not {asked}; use the same settings, or another --out"
            )

    def to_json(self) -> dict[str, Any]:
        """What its definition says."""
        seeds = {arm: list(seeds) for arm, seeds in self.seeds.items()}
        return {**self.compared(), "seeds": seeds, "made": list(self.made)}

    @cached_property
    def finished(self) -> Mapping[Way, list[int]]:
        """Way -> sorted seeds whose task is finished."""
        found: dict[tuple[str, ...], set[int]] = {_parts(way): set() for way in self.ways}
        names = [self.table[column].to_pylist() for column in self.columns]
        for seed, *way in zip(self.table["seed"].to_pylist(), *names, strict=True):
            found[tuple(way)].add(seed)
        return {way: sorted(found[_parts(way)]) for way in self.ways}

    @property
    def complete(self) -> bool:
        """Whether every planned task is finished."""
        return all(set(self.seeds.get(arm, ())) <= set(self.finished[way]) for way, arm in self.ways.items())

    def column(self, way: Way, name: str) -> NDArray[np.float64]:
        """A numeric column as (seeds, rounds), in the order of `finished[way]`; null is NaN."""
        mine = self.table
        for column, value in zip(self.columns, _parts(way), strict=True):
            mine = mine.filter(pc.equal(mine[column], value))
        return mine[name].to_numpy().astype(np.float64).reshape(len(self.finished[way]), len(self.rounds))

    def planned(self, asked: Self, seeds: Sequence[int]) -> Self:
        """With the arms of `asked`, and these seeds of them, planned as well. Errors as `joined`."""
        joined, added = self.joined(asked), set(asked.ways.values())
        planned = {
            arm: sorted({*self.seeds.get(arm, ()), *(seeds if arm in added else ())})
            for arm in dict.fromkeys(joined.ways.values())
        }
        return replace(joined, seeds=planned)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The experiment in a folder, also while it is being made; None where no definition is in it.

        Raises:
            DamagedRunError: the folder is a link, or a file is damaged; names it.
        """
        document = read_json(_inside(folder, cls.definition))
        if document is None:
            return None
        try:
            values = document.values
            seeds, made = typed(dict[str, list[int]], values["seeds"]), typed(list[Made], values["made"])
            found = cls.from_json(folder.name, values, seeds, made)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedRunError(
                f"{folder / cls.definition} is damaged: it does not define a campaign ({error})"
            ) from error
        known = {
            column: list(dict.fromkeys(_parts(way)[i] for way in found.ways)) for i, column in enumerate(cls.columns)
        }
        table = read_rows(_inside(folder), cls.schema, known, found.rounds, cls.nullable)
        results = replace(found, table=table)
        results.check_rows(folder)
        return results

    def write_definition(self, folder: Path) -> None:
        """Put the definition there, as a whole."""
        Files().make_folder(_inside(folder, "tasks"))
        write_json(_inside(folder, self.definition), self.to_json())

    @classmethod
    def write_task(cls, folder: Path, rows: pa.Table) -> None:
        """Keep a finished task, whole or not at all."""
        way = [re.sub(r"[^\w.]+", "_", rows[column][0].as_py()) for column in cls.columns]
        write_results(_inside(folder, "tasks", f"{'-'.join(way)}-{rows['seed'][0].as_py()}.parquet"), rows)

    def merge(self, folder: Path) -> None:
        """Put all rows into `results.parquet`, then remove the tasks' files. Nothing is written where there are none."""
        files, paths = Files(), task_files(_inside(folder))
        if paths:
            write_results(_inside(folder, "results.parquet"), self.table, files)
            files.sweep(_inside(folder), older_than=SWEPT_SECONDS)
        for path in paths:
            files.remove(path)


def check_campaign(asked: Sequence[Some], seeds: Sequence[int], out: Path, pool: Pool) -> None:
    """Refuse what `run` would refuse, with its errors, before anything is written."""
    pool.check()
    if not seeds:
        raise BadInputError("there are no seeds; at least 1 is needed")
    for one in asked:
        one.check(max(seeds))
        _planned(one, seeds, out)


def run(
    asked: Sequence[Some],
    seeds: Sequence[int],
    out: Path,
    train: Callable[[Any], pa.Table],
    *,
    pool: Pool,
    made_with: Mapping[str, Any],
    command: str,
    report: Progress,
) -> list[Some]:
    """Train every way of the experiments on every seed, but for what is finished in `out`.

    Each finished task is written at once, so that an interrupted campaign loses only the tasks in flight and continues with the
    same call. Arms, seeds and experiments may be added by later calls; other settings are refused.

    Args:
        asked: the experiments, without rows.
        seeds: training seeds.
        out: folder with one folder an experiment.
        train: rows of a task; a module's own function.
        pool: where.
        made_with: the fingerprint of this software and hardware.
        command: what is noted in the definition as its origin.
        report: is told how far it is.

    Returns:
        What is there now of each of them.

    Raises:
        BadInputError: bad settings, an unknown or missing executor, or other settings than those of the campaign in `out`.
            Nothing was written.
        LockedRunError: another process is at one of these experiments.
        DamagedRunError: what is there of one of these experiments is damaged, or a link. Nothing was written.
        EngineError: a task failed; the others were finished first and are kept.
        StorageError: the disk refused.
    """
    check_campaign(asked, seeds, out, pool)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    made = {"command": command, "when": when, "fingerprint": dict(made_with)}
    files = Files()
    with ExitStack() as locks:
        for one in asked:
            files.make_folder(inside(out, one.name))
            locks.callback(files.unlock, files.lock(inside(out, one.name, "lock")))
        plans = [_planned(one, seeds, out) for one in asked]
        tasks, rest = [], []
        for one, plan in zip(asked, plans, strict=True):
            every = [(way, one.task(way, seed)) for seed in seeds for way in one.ways]
            missing = [task for way, task in every if task.seed not in plan.finished[way]]
            tasks += [task for _, task in every]
            rest += missing
            if missing:
                replace(plan, made=[*plan.made, made]).write_definition(out / one.name)
        total = sum(task.cost for task in tasks)
        done, finished = total - sum(task.cost for task in rest), len(tasks) - len(rest)
        report(f"{finished} of {len(tasks)} tasks are finished", done, total)
        kinds = {one.name: type(one) for one in asked}
        for task, rows in pool.run(train, rest):
            kinds[task.folder].write_task(out / task.folder, rows)
            done, finished = done + task.cost, finished + 1
            report(f"{task}: task {finished} of {len(tasks)}", done, total)
        found = [one.read(out / one.name) or plan for one, plan in zip(asked, plans, strict=True)]
        for results in found:
            if results.complete:
                results.merge(out / results.name)
    return found


def finished_tasks(asked: Sequence[Some], seeds: Sequence[int], out: Path) -> tuple[int, int]:
    """How many of the tasks that a call of `run` asks for are finished, and how many it asks for."""
    done = total = 0
    for one in asked:
        results = one.read(out / one.name)
        for way in one.ways:
            total += len(seeds)
            done += len(set(seeds) & set(results.finished.get(way, ()))) if results else 0
    return done, total


def _planned(one: Some, seeds: Sequence[int], out: Path) -> Some:
    return (one.read(out / one.name) or one).planned(one, seeds)


def _parts(way: Way) -> tuple[str, ...]:
    """One name for each of the columns that name a way."""
    return (way,) if isinstance(way, str) else way


def _inside(folder: Path, *names: str) -> Path:
    """A path in an experiment's folder, which must be no link either: a received campaign may hold links to anything."""
    return inside(folder.parent, folder.name, *names)

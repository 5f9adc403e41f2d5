"""What a campaign left on disk: its definition, finished tasks and merged results, written and read.

<folder>/<experiment>/campaign.json            definition, settings, seeds planned, the commands that made it
<folder>/<experiment>/tasks/<arm>-<seed>.parquet   one finished task each, while the campaign is not complete
<folder>/<experiment>/results.parquet          all rows, once it is complete; tasks that were added later lie in tasks/ again
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.errors import BadInputError, DamagedRunError
from engine.experiments.plans import Arm, Experiment, in_order
from engine.store.documents import read_json, write_json
from engine.store.files import Files, inside
from engine.store.find import find_folders
from engine.store.parquet import from_parquet, to_parquet
from engine.typed import typed

SCHEMA = pa.schema(
    {
        "experiment": pa.string(),
        "arm": pa.string(),
        "seed": pa.int32(),
        "round": pa.int32(),  # updates so far, from 1
        "test_return": pa.float64(),  # mean over the evaluation episodes; null where the round was not evaluated
        "test_std": pa.float64(),  # their standard deviation (population)
        "test_episodes": pa.int32(),
        "train_return": pa.float64(),  # mean over the episodes that ended while collecting; null where none did
        "seconds": pa.float64(),  # CPU time of collect, filter and update
        "filter_seconds": pa.float64(),  # the filter's part of it
        "evaluation_seconds": pa.float64(),  # CPU time of the evaluation, not part of `seconds`
        "dropped": pa.int32(),  # records that the filter left out of the update
        "records": pa.int32(),  # records collected in this round
        "steps_trained": pa.int64(),  # records collected so far
        "explained_variance": pa.float64(),  # of the critic, over the collected records; null where it is undefined
    }
)
"""One row a round of a task."""
DEFINITION = "campaign.json"


class Definition(TypedDict):
    """What `campaign.json` says, see `Results`."""

    experiment: dict[str, Any]
    config: dict[str, Any]
    seeds: dict[str, list[int]]
    made: list[dict[str, Any]]


@dataclass(frozen=True)
class Results:
    """One experiment of a campaign: what was planned, and the rows that are there."""

    experiment: Experiment
    """Its definition; `arms` are those that were ever asked for."""
    config: TrainConfig
    """Settings that all arms share, with seed 0 and without a filter."""
    seeds: Mapping[str, Sequence[int]]
    """Arm -> seeds planned."""
    made: Sequence[Mapping[str, Any]]
    """The commands that made it: `command`, `when` (ISO 8601), `fingerprint`."""
    table: pa.Table
    """Rows of the finished tasks (`SCHEMA`), sorted by arm, seed, round."""

    @cached_property
    def finished(self) -> Mapping[str, list[int]]:
        """Arm -> sorted seeds whose task is finished."""
        found: dict[str, set[int]] = {arm.name: set() for arm in self.experiment.arms}
        for arm, seed in zip(self.table["arm"].to_pylist(), self.table["seed"].to_pylist(), strict=True):
            found[arm].add(seed)
        return {arm: sorted(seeds) for arm, seeds in found.items()}

    @property
    def complete(self) -> bool:
        """Whether every planned task is finished."""
        return all(set(seeds) <= set(self.finished[arm]) for arm, seeds in self.seeds.items())

    def column(self, arm: str, name: str) -> NDArray[np.float64]:
        """A numeric column of an arm as (seeds, rounds), in the order of `finished[arm]`; null is NaN."""
        values = self.table.filter(pc.equal(self.table["arm"], arm))[name].to_numpy().astype(np.float64)
        return values.reshape(len(self.finished[arm]), self.experiment.rounds)

    def curves(self, arm: str) -> NDArray[np.float64]:
        """(seeds, rounds) test return after each round; NaN where it was not evaluated."""
        return self.column(arm, "test_return")

    def planned(self, experiment: Experiment, seeds: Sequence[int]) -> Self:
        """With the arms of `experiment` and `seeds` planned as well.

        Raises:
            BadInputError: its settings are not those of this campaign; names what differs.
        """
        where = f"the campaign {self.experiment.name} that is there"
        again = "use the same settings, or another --out"
        for name in ("env_id", "episodes", "evaluate_every"):
            _check(getattr(self.experiment, name), getattr(experiment, name), name, where, again)
        asked = experiment.config(Arm(""), 0)
        for field in fields(TrainConfig):
            _check(getattr(self.config, field.name), getattr(asked, field.name), field.name, where, again)
        arms = {arm.name: arm for arm in self.experiment.arms}
        for arm in experiment.arms:
            _check(arms.setdefault(arm.name, arm).settings, arm.settings, f"arm {arm.name!r}", where, again)
        added = {arm.name: seeds for arm in experiment.arms}
        order = in_order(arms)
        return replace(
            self,
            experiment=replace(self.experiment, arms=tuple(arms[name] for name in order)),
            seeds={name: sorted({*self.seeds.get(name, ()), *added.get(name, ())}) for name in order},
        )

    def to_json(self) -> dict[str, Any]:
        """What `campaign.json` says."""
        return {
            "experiment": self.experiment.to_json(),
            "config": self.config.to_json(),
            "seeds": {arm: list(seeds) for arm, seeds in self.seeds.items()},
            "made": list(self.made),
        }


def _check(old: object, new: object, name: str, where: str, again: str) -> None:
    if old != new:
        raise BadInputError(f"{where} has {name}={old}, not {new}; {again}")


@dataclass(frozen=True)
class Campaign:
    """All experiments below a folder."""

    folder: Path
    experiments: Mapping[str, Results]
    """By name; those with a definition, finished or not."""


def begin(experiment: Experiment) -> Results:
    """An experiment of which nothing is there yet."""
    empty = replace(experiment, arms=())
    return Results(empty, experiment.config(Arm(""), 0), {}, (), SCHEMA.empty_table())


def find_campaigns(directory: str | Path) -> list[Path]:
    """The campaigns' folders: `directory` itself and what is below it, sorted."""
    return sorted({folder.parent for folder in find_folders(directory, DEFINITION)})


def read_campaign(folder: str | Path) -> Campaign:
    """Read a campaign, also one that is being written or was interrupted: what is there is there.

    Raises:
        BadInputError: there is no campaign in `folder`.
        DamagedRunError: a file is damaged; names it.
    """
    folder = Path(folder)
    below = (path.parent for path in sorted(folder.glob(f"*/{DEFINITION}")) if not path.parent.is_symlink())
    found = {place.name: read_results(place) for place in below}
    experiments = {name: results for name, results in found.items() if results is not None}
    if not experiments:
        raise BadInputError(
            f"{folder} holds no campaign; make one with: python -m engine reproduce NAME --out {folder}"
        )
    return Campaign(folder, experiments)


def read_results(folder: Path) -> Results | None:
    """One experiment's folder; None where there is no definition in it.

    Raises:
        DamagedRunError: a file is damaged; names it.
    """
    document = read_json(inside(folder, DEFINITION))
    if document is None:
        return None
    try:
        about = typed(Definition, document.values)
        experiment, config = Experiment.from_json(about["experiment"]), TrainConfig.from_json(about["config"])
    except ValueError as error:
        raise DamagedRunError(f"{folder / DEFINITION} is damaged: it does not define a campaign ({error})") from error
    seeds, made = about["seeds"], about["made"]
    return Results(experiment, config, seeds, made, _rows(folder, experiment))


def write_definition(folder: Path, results: Results) -> None:
    """Put `campaign.json` there, as a whole."""
    Files().make_folder(inside(folder, "tasks"))
    write_json(inside(folder, DEFINITION), results.to_json())


def write_task(folder: Path, rows: pa.Table) -> None:
    """Keep a finished task, whole or not at all."""
    arm, seed = rows["arm"][0].as_py(), rows["seed"][0].as_py()
    name = re.sub(r"[^\w.]+", "_", arm)
    Files().replace(inside(folder, "tasks", f"{name}-{seed}.parquet"), to_parquet(rows))


def merge(folder: Path, results: Results) -> None:
    """Put all rows into `results.parquet`, then remove the tasks' files. Nothing is written where there are none."""
    files, paths = Files(), _task_files(folder)
    if paths:
        files.replace(inside(folder, "results.parquet"), to_parquet(results.table))
    for path in paths:
        files.remove(path)


def _task_files(folder: Path) -> list[Path]:
    return sorted(path for path in inside(folder, "tasks").glob("*.parquet") if not path.name.startswith("."))


def _rows(folder: Path, experiment: Experiment) -> pa.Table:
    """Rows of `results.parquet` and of the tasks' files; a task that is in both (a merge was cut short) counts once."""
    parts = [SCHEMA.empty_table()]
    for path in (*_task_files(folder), folder / "results.parquet"):
        with suppress(
            FileNotFoundError
        ):  # a task's file that is gone by now was merged into results.parquet, read last
            parts.append(_read_rows(path))
    table = pa.concat_tables(parts)
    order = {arm.name: i for i, arm in enumerate(experiment.arms)}
    keys = zip(table["arm"].to_pylist(), table["seed"].to_pylist(), table["round"].to_pylist(), strict=True)
    rows = {(order[arm], seed, round): i for i, (arm, seed, round) in enumerate(keys) if arm in order}
    tasks = {(arm, seed) for arm, seed, _ in rows}
    if set(rows) != {(*task, round) for task in tasks for round in range(1, experiment.rounds + 1)}:
        raise DamagedRunError(f"{folder} is damaged: a task in it does not have the rounds 1 to {experiment.rounds}")
    return table.take(pa.array([rows[key] for key in sorted(rows)], pa.int64()))


def _read_rows(path: Path) -> pa.Table:
    table = from_parquet(Files().read(path), path.name)
    if not table.schema.equals(SCHEMA):
        raise DamagedRunError(f"{path} is damaged: its columns are not {', '.join(SCHEMA.names)}")
    return table

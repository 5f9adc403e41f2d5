"""What a campaign left on disk: its definition, finished tasks and merged results, written and read.

<folder>/<experiment>/campaign.json            definition, settings, seeds planned, the commands that made it
<folder>/<experiment>/tasks/<arm>-<seed>.parquet   one finished task each, while the campaign is not complete
<folder>/<experiment>/results.parquet          all rows, once it is complete; tasks that were added later lie in tasks/ again
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.errors import BadInputError, DamagedRunError, StorageError
from engine.experiments.plans import Arm, Experiment, in_order
from engine.experiments.rows import read_rows, task_files
from engine.named_worlds import names as worlds
from engine.store.derived import SWEPT_SECONDS
from engine.store.documents import read_json, write_json
from engine.store.files import Files, inside
from engine.store.find import find_folders
from engine.store.results_table import write_results
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


NULLABLE = ("test_return", "test_std", "train_return", "explained_variance")
RESERVED = ("all", *worlds())
"""Names that stand for all experiments together, and for those of the named worlds, which are kept beside them."""
MOST = 2**31 - 1
"""Rounds and evaluation episodes of an experiment at most."""


class Made(TypedDict):
    """A command that an experiment was made with."""

    command: str
    when: str
    fingerprint: dict[str, Any]


class Definition(TypedDict):
    """What `campaign.json` says, see `Results`."""

    experiment: dict[str, Any]
    config: dict[str, Any]
    seeds: dict[str, list[int]]
    made: list[Made]


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
        for setting in fields(TrainConfig):
            _check(getattr(self.config, setting.name), getattr(asked, setting.name), setting.name, where, again)
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
    damaged: Mapping[str, str] = field(default_factory=dict)
    """Name -> a line on what is wrong, of those that can't be read."""


def begin(experiment: Experiment) -> Results:
    """An experiment of which nothing is there yet."""
    empty = replace(experiment, arms=())
    return Results(empty, experiment.config(Arm(""), 0), {}, (), SCHEMA.empty_table())


def find_campaigns(directory: str | Path) -> list[Path]:
    """The campaigns' folders: `directory` itself and what is below it, sorted."""
    return sorted({folder.parent for folder in find_folders(directory, DEFINITION)})


def experiment_names(folder: Path) -> list[str]:
    """The folders in a campaign's folder that hold a definition, sorted; a link among them is damage."""
    return sorted(path.name for path in folder.glob("*") if path.name[0] != "." and os.path.lexists(path / DEFINITION))


def read_campaign(folder: str | Path) -> Campaign:
    """Read a campaign, also one that is being written or was interrupted: what is there is there.

    An experiment that can't be read takes no other with it, see `Campaign.damaged`.

    Raises:
        BadInputError: there is no campaign in `folder`.
    """
    folder = Path(folder)
    experiments, damaged = {}, {}
    for name in experiment_names(folder):
        try:
            results = read_results(folder / name)
        except (DamagedRunError, StorageError) as error:
            damaged[name] = str(error)
            continue
        if results is not None:
            experiments[name] = results
    if not experiments and not damaged:
        raise BadInputError(
            f"{folder} holds no campaign; make one with: python -m engine reproduce NAME --out {folder}"
        )
    return Campaign(folder, experiments, damaged)


def read_results(folder: Path) -> Results | None:
    """One experiment's folder; None where there is no definition in it.

    Raises:
        DamagedRunError: the folder is a link, or a file is damaged; names it.
    """
    document = read_json(_inside(folder, DEFINITION))
    if document is None:
        return None
    try:
        about = typed(Definition, document.values)
        experiment, config = Experiment.from_json(about["experiment"]), TrainConfig.from_json(about["config"])
        _check_definition(folder.name, experiment, config, about["seeds"])
    except ValueError as error:
        raise DamagedRunError(f"{folder / DEFINITION} is damaged: it does not define a campaign ({error})") from error
    return Results(experiment, config, about["seeds"], about["made"], _rows(folder, experiment))


def _check_definition(name: str, experiment: Experiment, config: TrainConfig, seeds: Mapping[str, Any]) -> None:
    """Refuse what no campaign writes with a ValueError."""
    if experiment.name != name or name in RESERVED:
        raise ValueError(f"the experiment {experiment.name!r} does not belong into the folder {name!r}")
    for number in ("rounds", "episodes", "evaluate_every"):
        if not 1 <= getattr(experiment, number) <= MOST:
            raise ValueError(f"{number} is not between 1 and {MOST}")
    arms = [arm.name for arm in experiment.arms]
    if len(set(arms)) < len(arms):
        raise ValueError("it has an arm twice")
    if unknown := sorted(set(seeds) - set(arms)):
        raise ValueError(f"it has seeds of an arm {unknown[0]!r}, which it does not have")
    for arm in experiment.arms:
        TrainConfig.from_json({**config.to_json(), **arm.settings})


def write_definition(folder: Path, results: Results) -> None:
    """Put `campaign.json` there, as a whole."""
    Files().make_folder(_inside(folder, "tasks"))
    write_json(_inside(folder, DEFINITION), results.to_json())


def write_task(folder: Path, rows: pa.Table) -> None:
    """Keep a finished task, whole or not at all."""
    arm, seed = rows["arm"][0].as_py(), rows["seed"][0].as_py()
    name = re.sub(r"[^\w.]+", "_", arm)
    write_results(_inside(folder, "tasks", f"{name}-{seed}.parquet"), rows)


def merge(folder: Path, results: Results) -> None:
    """Put all rows into `results.parquet`, then remove the tasks' files. Nothing is written where there are none."""
    files, paths = Files(), task_files(_inside(folder))
    if paths:
        write_results(_inside(folder, "results.parquet"), results.table, files)
        files.sweep(folder, older_than=SWEPT_SECONDS)
    for path in paths:
        files.remove(path)


def _inside(folder: Path, *names: str) -> Path:
    """A path in an experiment's folder, which must be no link either: a received campaign may hold links to anything."""
    return inside(folder.parent, folder.name, *names)


def _rows(folder: Path, experiment: Experiment) -> pa.Table:
    """All rows of the finished tasks (`SCHEMA`); evaluated are just those rounds that the experiment evaluates."""
    arms = {"arm": [arm.name for arm in experiment.arms]}
    table = read_rows(_inside(folder), SCHEMA, arms, range(1, experiment.rounds + 1), NULLABLE)
    evaluated = [experiment.evaluated(round) for round in table["round"].to_pylist()]
    if np.isfinite(table["test_return"].to_numpy()).tolist() != evaluated:
        raise DamagedRunError(f"{folder} is damaged: a test_return is missing in it, or is there without an evaluation")
    for name in ("seconds", "records"):
        if table.num_rows and pc.min(table[name]).as_py() <= 0:
            raise DamagedRunError(f"{folder} is damaged: a round in it has no {name}")
    return table

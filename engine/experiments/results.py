"""What a campaign of control tasks left on disk, read and written: `campaign.json` is the definition of an experiment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import nan
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.envs import find, with_settings
from engine.errors import BadInputError, DamagedRunError, StorageError
from engine.experiments.machine import MOST, ExperimentResults, Made
from engine.experiments.plans import Arm, Experiment, in_order
from engine.kinds.control.exact_return import transitions_of
from engine.named_worlds import names as worlds
from engine.store.find import find_folders
from engine.typed import typed

SCHEMA = pa.schema(
    {
        "experiment": pa.string(),
        "arm": pa.string(),
        "seed": pa.int32(),
        "round": pa.int32(),  # updates so far, from 1
        "test_return": pa.float64(),  # mean over the evaluation episodes; null where the round was not evaluated
        "test_std": pa.float64(),  # their standard deviation (population); 0 where the return is exact
        "test_episodes": pa.int32(),  # 0 where the round was not evaluated, or exactly
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


@dataclass(frozen=True)
class ControlTask:
    """One training run of an experiment."""

    experiment: Experiment
    arm: Arm
    seed: int

    def __str__(self) -> str:
        return f"{self.folder}, {self.arm.name}, seed {self.seed}"

    @property
    def folder(self) -> str:
        """Name of the experiment."""
        return self.experiment.name

    @property
    def cost(self) -> int:
        """Rough tenths of a second of work."""
        return 1 + round(10 * self.experiment.rounds * self.experiment.round_seconds)


@dataclass(frozen=True, kw_only=True)
class Results(ExperimentResults[str]):
    """One experiment on a control task; it is trained in the way of each arm."""

    experiment: Experiment
    """Its definition; `arms` are those that were ever asked for."""
    config: TrainConfig
    """Settings that all arms share, with seed 0 and without a filter."""

    definition, schema, nullable, columns = DEFINITION, SCHEMA, NULLABLE, ("arm",)

    @classmethod
    def from_json(cls, name: str, values: Mapping[str, Any], seeds: Mapping[str, list[int]], made: list[Made]) -> Self:
        """See `ExperimentResults`."""
        experiment = Experiment.from_json(values["experiment"])
        config = TrainConfig.from_json(typed(dict[str, Any], values["config"]))
        # Kept in folders of these names: all experiments together, and those of named worlds.
        if experiment.name != name or name in ("all", *worlds()):
            raise ValueError(f"the experiment {experiment.name!r} does not belong in the folder {name!r}")
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
        return cls(experiment=experiment, config=config, seeds=seeds, made=made, table=SCHEMA.empty_table())

    def compared(self) -> dict[str, Any]:
        """See `ExperimentResults`."""
        return {"experiment": self.experiment.to_json(), "config": self.config.to_json()}

    @property
    def name(self) -> str:
        """The experiment's."""
        return self.experiment.name

    @property
    def ways(self) -> Mapping[str, str]:
        """The arms."""
        return {arm.name: arm.name for arm in self.experiment.arms}

    @property
    def rounds(self) -> range:
        """Updates so far."""
        return range(1, self.experiment.rounds + 1)

    def task(self, way: str, seed: int) -> ControlTask:
        """An arm, trained on a seed."""
        (arm,) = (arm for arm in self.experiment.arms if arm.name == way)
        return ControlTask(self.experiment, arm, seed)

    def check(self, seed: int) -> None:
        """Refuse bad settings, and an environment that is not to be had or has no table, with a BadInputError."""
        for arm in self.experiment.arms:
            self.experiment.config(arm, seed)
        environment = find(self.experiment.env_id)
        environment.spaces()
        if self.experiment.exact:
            transitions_of(environment)

    def joined(self, asked: Self) -> Self:
        """See `ExperimentResults`."""
        here, other = self.experiment, asked.experiment
        for name in ("env_id", "exact", "episodes", "evaluate_every"):
            self.agree(name, getattr(here, name), getattr(other, name))
        for setting in fields(TrainConfig):
            self.agree(setting.name, getattr(self.config, setting.name), getattr(asked.config, setting.name))
        arms = {arm.name: arm for arm in here.arms}
        for arm in other.arms:
            self.agree(f"arm {arm.name!r}", arms.setdefault(arm.name, arm).settings, arm.settings)
        return replace(self, experiment=replace(here, arms=tuple(arms[name] for name in in_order(arms))))

    def check_rows(self, folder: Path) -> None:
        """Evaluated are just those rounds that the experiment evaluates, and every round took time and has records."""
        evaluated = [self.experiment.evaluated(round) for round in self.table["round"].to_pylist()]
        if np.isfinite(self.table["test_return"].to_numpy()).tolist() != evaluated:
            raise DamagedRunError(
                f"{folder} is damaged: a test_return is missing in it, or is there without an evaluation"
            )
        for name in ("seconds", "records"):
            if self.table.num_rows and pc.min(self.table[name]).as_py() <= 0:
                raise DamagedRunError(f"{folder} is damaged: a round in it has no {name}")

    @property
    def preset(self) -> str:
        """The preset that has these settings now: what a campaign calls it may have got another name since it was made."""
        called, settings = self.experiment.preset, {**self.experiment.settings, "rounds": self.config.rounds}
        try:
            presets = find(self.experiment.env_id).presets
            names = [name for name in (called, "v0.1", *presets) if name in presets]
            return next((n for n in names if with_settings(self.config.env_id, n, settings) == self.config), called)
        except BadInputError:
            return called

    @property
    def evaluation_error(self) -> float:
        """Standard error of an evaluation, in units of return: the root mean square over all of them; NaN without any."""
        if self.experiment.exact:
            return 0.0
        played = self.table.filter(pc.greater(self.table["test_episodes"], 1))
        spread, episodes = (played[name].to_numpy() for name in ("test_std", "test_episodes"))
        return float(np.sqrt(np.mean(spread**2 / (episodes - 1)))) if len(spread) else nan

    def curves(self, arm: str) -> NDArray[np.float64]:
        """(seeds, rounds) test return after each round; NaN where it was not evaluated."""
        return self.column(arm, "test_return")


def begin(experiment: Experiment) -> Results:
    """An experiment of which nothing is there yet."""
    config = experiment.config(Arm(""), 0)
    return Results(experiment=experiment, config=config, seeds={}, made=(), table=SCHEMA.empty_table())


@dataclass(frozen=True)
class Campaign:
    """All experiments below a folder."""

    folder: Path
    experiments: Mapping[str, Results]
    """By name; those with a definition, finished or not."""
    damaged: Mapping[str, str] = field(default_factory=dict)
    """Name -> a line on what is wrong, of those that can't be read."""


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
            results = Results.read(folder / name)
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

"""What the experiment left on disk, read and written: `courtesy/plan.json` in a campaign's folder is its definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from engine.demos.courtesy.experiment.plan import ARMS, CONDITIONS, NAME, Plan
from engine.experiments.machine import MOST, ExperimentResults, Made
from engine.experiments.plans import STANDARD
from engine.store.find import find_folders

DEFINITION = "plan.json"
SCHEMA = pa.schema(
    {
        "condition": pa.string(),
        "arm": pa.string(),
        "seed": pa.int32(),
        "round": pa.int32(),  # updates so far; 0 is before the first one
        "rude": pa.float64(),  # share of the judged responses that the lexicon calls rude
        "fluency": pa.float64(),  # share of them that the grammar can make
        "variety": pa.float64(),  # share of different ones
        "reward": pa.float64(),  # mean of the learned reward, unflipped
        "kl": pa.float64(),  # mean KL of a response to the policy before training
        "seconds": pa.float64(),  # CPU time of collecting, filtering and updating
        "filter_seconds": pa.float64(),  # the filter's part of it
        "sequences": pa.int32(),  # responses generated in this round to train on, those to validation prompts among them
        "dropped": pa.int32(),  # records that the filter left out of the update
        "flips": pa.int32(),  # records with a flipped reward
        "flips_dropped": pa.int32(),  # how many of them the filter left out
        "auc_influence": pa.float64(),  # how well influence tells flipped from other records; null where not computed
        "auc_reward": pa.float64(),  # the same for the reward that training saw
    }
)
"""One row a round of a training run. `auc_...`: the chance that a flipped record has less than one that is not."""

NULLABLE = ("auc_influence", "auc_reward")

ConditionAndArm = tuple[str, str]
"""Condition and arm."""


@dataclass(frozen=True)
class CourtesyTask:
    """One training run."""

    plan: Plan
    condition: str
    arm: str
    seed: int
    folder: str = NAME
    cost: int = 1

    def __str__(self) -> str:
        return f"{NAME} {self.condition}, {self.arm}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class CourtesyResults(ExperimentResults[ConditionAndArm]):
    """What was planned, and the rows that are there: each arm is trained in both conditions."""

    plan: Plan

    definition, schema, nullable, columns = DEFINITION, SCHEMA, NULLABLE, ("condition", "arm")
    name = NAME

    @classmethod
    def from_json(cls, name: str, values: Mapping[str, Any], seeds: Mapping[str, list[int]], made: list[Made]) -> Self:
        """See `ExperimentResults`."""
        plan = Plan.from_json(values["plan"])
        if not (1 <= plan.rounds < MOST and 1 <= plan.responses <= MOST):
            raise ValueError(f"rounds or responses are not between 1 and {MOST}")
        if len(set(plan.arms)) < len(plan.arms):
            raise ValueError("it has an arm twice")
        if unknown := sorted({*plan.arms} - {*ARMS} | {*seeds} - {*plan.arms}):
            raise ValueError(f"it has no arm {unknown[0]!r}")
        plan.configs("clean", STANDARD, 0)
        return cls(plan=plan, seeds=seeds, made=made, table=SCHEMA.empty_table())

    def compared(self) -> dict[str, Any]:
        """The plan, and its settings in full."""
        config, language = self.plan.configs("clean", "iif", 0)
        return {"plan": self.plan.to_json(), "config": config.to_json(), "language": language.to_json()}

    @property
    def ways(self) -> Mapping[ConditionAndArm, str]:
        """Each arm in each condition."""
        return {(condition, arm): arm for condition in CONDITIONS for arm in self.plan.arms}

    @property
    def rounds(self) -> range:
        """Updates so far; 0 is before the first one."""
        return range(self.plan.rounds + 1)

    def task(self, way: ConditionAndArm, seed: int) -> CourtesyTask:
        """An arm in a condition, trained on a seed."""
        return CourtesyTask(self.plan, *way, seed)

    def check(self, seed: int) -> None:
        """Refuse bad settings with a BadInputError."""
        self.plan.configs("clean", self.plan.arms[0], seed)

    def joined(self, asked: Self) -> Self:
        """See `ExperimentResults`."""
        for name in ("rounds", "responses", "settings"):
            self.agree(name, getattr(self.plan, name), getattr(asked.plan, name))
        return replace(self, plan=self.plan.changed([*self.plan.arms, *asked.plan.arms]))


def begin(plan: Plan) -> CourtesyResults:
    """A campaign of which nothing is there yet."""
    return CourtesyResults(plan=plan, seeds={}, made=(), table=SCHEMA.empty_table())


def find_results(directory: str | Path) -> list[Path]:
    """Folders that hold results of the demonstration: `directory` itself and what is below it, sorted."""
    return sorted({path.parent for path in find_folders(directory, DEFINITION) if path.name == NAME})


def read_results(folder: str | Path) -> CourtesyResults | None:
    """The results in a campaign's folder, also while they are being made; None where there are none.

    Raises:
        DamagedRunError: a file is damaged; names it.
    """
    return CourtesyResults.read(Path(folder) / NAME)

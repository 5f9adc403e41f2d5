"""What the experiment left on disk, written and read.

<folder>/courtesy/plan.json                 plan, its settings in full, seeds planned, the commands that made it
<folder>/courtesy/tasks/<arm>-<seed>.parquet    one finished task each, while the experiment is not complete
<folder>/courtesy/results.parquet           all rows, once it is complete
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.demos.courtesy.experiment.plan import ARMS, CONDITIONS, NAME, Plan
from engine.errors import BadInputError, DamagedRunError
from engine.experiments.plans import STANDARD
from engine.experiments.results import MOST, Made
from engine.experiments.rows import read_rows, task_files
from engine.store.derived import SWEPT_SECONDS
from engine.store.documents import read_json, write_json
from engine.store.files import Files, inside
from engine.store.find import find_folders
from engine.store.results_table import write_results
from engine.typed import typed

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


@dataclass(frozen=True)
class CourtesyResults:
    """What was planned, and the rows that are there."""

    plan: Plan
    seeds: Mapping[str, Sequence[int]]
    """Arm -> seeds planned."""
    made: Sequence[Mapping[str, Any]]
    """The commands that made it: `command`, `when` (ISO 8601), `fingerprint`."""
    table: pa.Table
    """Rows of the finished tasks (`SCHEMA`), sorted by condition, arm, seed, round."""

    @cached_property
    def finished(self) -> Mapping[tuple[str, str], list[int]]:
        """(condition, arm) -> sorted seeds whose task is finished."""
        found: dict[tuple[str, str], set[int]] = {(c, arm): set() for c in CONDITIONS for arm in self.plan.arms}
        for condition, arm, seed in zip(
            *(self.table[n].to_pylist() for n in ("condition", "arm", "seed")), strict=True
        ):
            found[condition, arm].add(seed)
        return {key: sorted(seeds) for key, seeds in found.items()}

    @property
    def complete(self) -> bool:
        """Whether every planned task is finished."""
        return all(set(seeds) <= set(self.finished[c, arm]) for arm, seeds in self.seeds.items() for c in CONDITIONS)

    def column(self, condition: str, arm: str, name: str) -> NDArray[np.float64]:
        """A column as (seeds, rounds + 1), in the order of `finished`; null is NaN."""
        mine = pc.and_(pc.equal(self.table["condition"], condition), pc.equal(self.table["arm"], arm))
        values = self.table.filter(mine)[name].to_numpy().astype(np.float64)
        return values.reshape(len(self.finished[condition, arm]), self.plan.rounds + 1)

    def planned(self, plan: Plan, seeds: Sequence[int]) -> CourtesyResults:
        """With the arms of `plan` and these seeds planned as well.

        Raises:
            BadInputError: other settings than those that are there.
        """
        for name in ("rounds", "responses", "settings"):
            old, new = getattr(self.plan, name), getattr(plan, name)
            if old != new:
                raise BadInputError(
                    f"the campaign {NAME} that is there has {name}={old}, not {new}; use the same settings, or another --out"
                )
        added = dict.fromkeys(plan.arms, seeds)
        arms = Plan().changed([*self.plan.arms, *plan.arms]).arms
        planned = {arm: sorted({*self.seeds.get(arm, ()), *added.get(arm, ())}) for arm in arms}
        return replace(self, plan=replace(plan, arms=arms), seeds=planned)


def begin(plan: Plan) -> CourtesyResults:
    """A campaign of which nothing is there yet."""
    return CourtesyResults(plan, {}, (), SCHEMA.empty_table())


def find_results(directory: str | Path) -> list[Path]:
    """Folders that hold results of the demonstration: `directory` itself and what is below it, sorted."""
    return sorted({path.parent for path in find_folders(directory, DEFINITION) if path.name == NAME})


def read_results(folder: str | Path) -> CourtesyResults | None:
    """The results in a campaign's folder, also while they are being made; None where there are none.

    Raises:
        DamagedRunError: a file is damaged; names it.
    """
    document = read_json(inside(Path(folder), NAME, DEFINITION))
    if document is None:
        return None
    path = Path(folder) / NAME / DEFINITION
    try:
        about = document.values
        plan = Plan.from_json(about["plan"])
        seeds, made = typed(dict[str, list[int]], about["seeds"]), typed(list[Made], about["made"])
        _check_definition(plan, seeds)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedRunError(f"{path} is damaged: it does not define a campaign ({error})") from error
    known = {"condition": list(CONDITIONS), "arm": plan.arms}
    table = read_rows(inside(Path(folder), NAME), SCHEMA, known, range(plan.rounds + 1), NULLABLE)
    return CourtesyResults(plan, seeds, made, table)


def _check_definition(plan: Plan, seeds: Mapping[str, Any]) -> None:
    """Refuse what no campaign writes with a ValueError."""
    if not (1 <= plan.rounds < MOST and 1 <= plan.responses <= MOST):
        raise ValueError(f"rounds or responses are not between 1 and {MOST}")
    if len(set(plan.arms)) < len(plan.arms):
        raise ValueError("it has an arm twice")
    if unknown := sorted({*plan.arms} - {*ARMS} | {*seeds} - {*plan.arms}):
        raise ValueError(f"it has no arm {unknown[0]!r}")
    plan.configs("clean", STANDARD, 0)


def write_definition(folder: str | Path, results: CourtesyResults) -> None:
    """Put the definition there, as a whole."""
    Files().make_folder(inside(Path(folder), NAME, "tasks"))
    config, language = results.plan.configs("clean", "iif", 0)
    about = {
        "plan": results.plan.to_json(),
        "config": config.to_json(),
        "language": language.to_json(),
        "seeds": {arm: list(seeds) for arm, seeds in results.seeds.items()},
        "made": list(results.made),
    }
    write_json(inside(Path(folder), NAME, DEFINITION), about)


def write_task(folder: str | Path, rows: pa.Table) -> None:
    """Keep a finished task, whole or not at all."""
    condition, arm, seed = (rows[name][0].as_py() for name in ("condition", "arm", "seed"))
    write_results(inside(Path(folder), NAME, "tasks", f"{condition}-{arm}-{seed}.parquet"), rows)


def merge(folder: str | Path, results: CourtesyResults) -> None:
    """Put all rows into `results.parquet`, then remove the tasks' files. Nothing is written where there are none."""
    files, paths = Files(), task_files(inside(Path(folder), NAME))
    if paths:
        write_results(inside(Path(folder), NAME, "results.parquet"), results.table, files)
        files.sweep(inside(Path(folder), NAME), older_than=SWEPT_SECONDS)
    for path in paths:
        files.remove(path)

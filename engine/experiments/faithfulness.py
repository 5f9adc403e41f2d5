"""Where does which estimator predict what removal does? `validate` over environments, stages of training and targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.core.chosen_targets import action_target, return_target
from engine.core.effort import Effort
from engine.core.estimators.registry import ESTIMATORS
from engine.core.faithfulness.measure import Measurement, validate_targets
from engine.core.faithfulness.result import Validation
from engine.core.influence import influence
from engine.core.targets.functions import Target
from engine.core.training import rounds
from engine.errors import BadInputError, ZeroGradientError
from engine.executors import Pool, Progress
from engine.experiments.plans import EXPERIMENTS, Experiment
from engine.store.files import Files
from engine.store.parquet import check_schema
from engine.store.read import Run, open_run
from engine.store.results_table import read_results_table, write_results
from engine.store.snapshot import Snapshot

STAGES: Mapping[str, float] = {"early": 0.1, "middle": 0.5, "late": 0.9}
"""Stage of training -> the share of the rounds before it."""
FRACTIONS = (0.5, 0.1)
PRESET = "v0.1"
"""Of the runs that are measured; the study goes on with those that it began with."""
ACTION_TARGETS = 3
"""Records of a round, drawn at random, whose action is a target."""
SCHEMA = pa.schema(
    {
        "experiment": pa.string(),
        "env_id": pa.string(),
        "stage": pa.string(),
        "round": pa.int32(),
        "mean_return": pa.float64(),
        "explained_variance": pa.float64(),
        "target": pa.string(),
        "record": pa.int32(),
        "fraction": pa.float64(),
        "subsets": pa.int32(),
        "orders": pa.int32(),
        "estimator": pa.string(),
        "lds": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "slope": pa.float64(),
        "r2": pa.float64(),
        "ceiling": pa.float64(),
        "ceiling_low": pa.float64(),
        "ceiling_high": pa.float64(),
        "metasmoothness": pa.float64(),
        "verdict": pa.string(),
        "command": pa.string(),
    }
)
"""One row an estimator of a cell; a cell is a round, a target and a fraction. Null: not defined."""
CELL = ("experiment", "stage", "target", "record", "fraction")
"""What makes rows belong to one cell."""


@dataclass(frozen=True)
class Scale:
    """How much is replayed."""

    subsets: int = Effort.subsets
    orders: int = Effort.orders
    fractions: tuple[float, ...] = FRACTIONS
    action_targets: int = ACTION_TARGETS


def study(
    name: str,
    out: str | Path,
    runs: str | Path,
    scale: Scale = Scale(),
    *,
    rounds: int | None = None,
    estimators: Sequence[str] = tuple(ESTIMATORS),
    executor: str = "processes",
    workers: int | None = None,
    command: str = "",
    report: Progress = lambda doing, done, total: None,
) -> Path:
    """Train one environment with plain PPO, and validate every estimator early, in the middle and late.

    An interrupted study leaves the rounds that it finished, and continues with the same call: the run goes on where it
    stopped, and finished replays are kept in it. A cell that was measured before stays until it is measured again.

    Args:
        name: an experiment of `plans.EXPERIMENTS`.
        out: folder of the results.
        runs: folder of the run that is measured.
        scale: how much is replayed.
        rounds: to train; by default the experiment's.
        estimators: names in `registry.ESTIMATORS`.
        executor: as `validate`.
        workers: as `validate`.
        command: what made it, for the record.
        report: told what is being done, how many replays of it are done, and of how many.

    Returns:
        `<out>/<name>.parquet`, with rows of `SCHEMA`.

    Raises:
        BadInputError: no such experiment, or a bad scale.
    """
    if name not in EXPERIMENTS:
        raise BadInputError(f"unknown experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    experiment = EXPERIMENTS[name].changed(rounds=rounds, preset=PRESET)
    run = _trained(experiment, Path(runs) / f"{name}-{experiment.rounds}", report)
    rows: list[dict[str, Any]] = []
    path, files = Path(out) / f"{name}.parquet", Files()
    files.make_folder(path.parent)
    earlier = read_cells(path) if path.exists() else []
    for stage, share in STAGES.items():
        snapshot = run.snapshot(int(share * experiment.rounds))
        targets = chosen_targets(snapshot, scale.action_targets)
        for fraction in scale.fractions:

            def told(
                doing: str,
                done: int,
                total: int,
                where: str = f"{name}, round {snapshot.round}, {fraction:.0%} removed",
            ) -> None:
                report(f"{where}: {doing}", done, total)

            found = validate_targets(
                snapshot,
                list(targets.values()),
                Measurement(subsets=scale.subsets, orders=scale.orders, fraction=fraction),
                estimators,
                pool=Pool(executor, workers),
                report=told,
            )
            cell = {
                "experiment": name,
                "env_id": experiment.env_id,
                "stage": stage,
                "mean_return": snapshot.metrics["mean_return"],
                "explained_variance": snapshot.metrics["explained_variance"],
                "command": command,
            }
            for record, measured in zip(targets, found, strict=True):
                rows += ({**cell, "record": record, **row} for row in _rows(measured))
            write_results(path, pa.Table.from_pylist(_beside(earlier, rows), SCHEMA), files)
    return path


def read_cells(path: Path) -> list[dict[str, Any]]:
    """Rows of `SCHEMA`, as `study` wrote them.

    Raises:
        DamagedRunError: the file is none of a study.
    """
    table, _ = read_results_table(path)
    check_schema(table, SCHEMA, path.name)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def cell_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The cell that a row belongs to."""
    return tuple(row[name] for name in CELL)


def _beside(earlier: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells measured now, and those measured earlier that were not measured again, in the order of a whole study."""
    measured = {cell_of(row) for row in rows}
    joined = [row for row in earlier if cell_of(row) not in measured] + [*rows]
    return sorted(joined, key=lambda row: ([*STAGES].index(row["stage"]), -row["fraction"]))


def chosen_targets(snapshot: Snapshot, action_targets: int) -> dict[int | None, Target]:
    """The targets of a round: by None the return, by record number the action targets, drawn among the records used.

    Those without a gradient are left out.
    """
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round, 5])
    drawn = rng.choice(np.flatnonzero(snapshot.buffer.kept), action_targets, replace=False)
    targets: dict[int | None, Target] = {None: return_target(snapshot)}
    targets |= {int(record): action_target(snapshot, record=int(record)) for record in np.sort(drawn)}
    return {record: target for record, target in targets.items() if _moves(snapshot, target)}


def _moves(snapshot: Snapshot, target: Target) -> bool:
    """Whether the target has a gradient: where the policy is certain, an action's has none."""
    try:
        influence(snapshot, target)
    except ZeroGradientError:
        return False
    return True


def _trained(experiment: Experiment, folder: Path, report: Progress) -> Run:
    """The environment's run of plain PPO with seed 0; an unfinished one is continued."""
    config = experiment.config(experiment.arm("ppo"), seed=0)
    done = 0
    if (folder / "run.json").exists():
        done = len(open_run(folder).rounds)
    for _ in rounds(config, folder, resume=done > 0):
        report(f"{experiment.name}: training", done, experiment.rounds)
        done += 1
    return open_run(folder)


def _rows(measured: Validation) -> Iterator[dict[str, Any]]:
    for estimator, found in measured.estimators.items():
        yield {
            "round": measured.round,
            "target": measured.target["target"],
            "fraction": measured.fraction,
            "subsets": measured.subsets,
            "orders": measured.orders,
            "estimator": estimator,
            "lds": found.lds,
            "low": found.low,
            "high": found.high,
            "slope": found.slope,
            "r2": found.r2,
            "ceiling": measured.ceiling,
            "ceiling_low": measured.ceiling_low,
            "ceiling_high": measured.ceiling_high,
            "metasmoothness": measured.metasmoothness,
            "verdict": measured.verdict(estimator),
        }

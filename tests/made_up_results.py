"""A campaign's results with made-up curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.experiments.plans import EXPERIMENTS, Experiment
from engine.experiments.results import SCHEMA, Campaign, Results, begin
from engine.store.results_table import write_results

PPO = [[0.0, 0.0, 0.2, 0.4, 0.6, 0.6], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], [0.0, 0.2, 0.1, 0.3, 0.5, 0.4]]


BETTER = [[0.2, 0.6, 0.8, 0.9, 0.9, 0.9], [0.3, 0.7, 0.7, 0.8, 0.9, 0.9], [0.1, 0.5, 0.6, 0.8, 0.9, 1.0]]


WORSE = [[0.0, 0.0, 0.0, 0.1, 0.0, 0.1], [0.0, 0.1, 0.1, 0.0, 0.1, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]


def results(name: str, curves: dict[str, list[list[float]]], planned_seeds: int = 3) -> Results:
    """An experiment with made-up curves, two seconds a round."""
    experiment: Experiment = EXPERIMENTS[name].changed(list(curves), rounds=6)
    rows: list[dict[str, Any]] = []
    for arm, seeds in curves.items():
        for seed, curve in enumerate(seeds):
            for round, value in enumerate(curve, 1):
                row = dict.fromkeys(SCHEMA.names, 0) | {"experiment": name, "arm": arm, "seed": seed, "round": round}
                rows.append(row | {"test_return": value, "seconds": 2, "records": 64, "dropped": 16 * (arm != "ppo")})
    asked = begin(experiment)
    return replace(asked.planned(asked, range(planned_seeds)), table=pa.Table.from_pylist(rows, SCHEMA))


def write(part: Results, folder: Path) -> None:
    """Put an experiment into a campaign's folder."""
    part.write_definition(folder / part.name)
    write_results(folder / part.name / "results.parquet", part.table)


def campaign(*parts: Results) -> Campaign:
    return Campaign(Path("nowhere"), {part.experiment.name: part for part in parts})


LAKE = results("frozenlake", {"ppo": PPO, "iif 0.25": PPO, "iif 0.5": BETTER, "guarded 1": BETTER, "random": WORSE})

"""What a campaign says: the paper's metrics and reliable statistics, per arm, per seed, and over all environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa

from engine.experiments.metrics import area, final_return, log_ratios, runtime_peak, sample_efficiency
from engine.experiments.plans import STANDARD, in_order
from engine.experiments.results import Campaign, Results
from engine.experiments.statistics import (
    Floats,
    improvement,
    iqm_difference,
    iqm_interval,
    normalizer,
    symmetric_efficiency,
)
from engine.intervals import Interval

ALL = "all"
"""Stands for the experiment in the rows over all environments."""
OUTCOMES = ("final", "area")
SYMMETRIC = "se_sym"
"""The headline: its zero is what no effect reads."""
EFFICIENCIES = ("se_ave", "se_peak", "rt_peak")
"""The paper's, whose zero is not: PPO's own row says where it lies."""

SEEDS_SCHEMA = pa.schema(
    {
        "experiment": pa.string(),
        "arm": pa.string(),
        "seed": pa.int32(),
        "final": pa.float64(),  # metrics.final_return
        "area": pa.float64(),  # metrics.area
        "se_ave": pa.float64(),  # these are against PPO of the same seed; null for PPO itself and where it is missing
        "se_peak": pa.float64(),
        "rt_peak": pa.float64(),
        "levels": pa.int32(),  # of PPO's curve
        "never": pa.int32(),  # of those, never reached by this arm
    }
)
"""One row a finished task."""

SCHEMA = pa.schema(
    [
        ("experiment", pa.string()),
        ("arm", pa.string()),
        ("environments", pa.int32()),  # behind this row: 1, or more where experiment is "all"
        ("seeds", pa.int32()),  # finished tasks behind this row
        *((f"{SYMMETRIC}{bound}", pa.float64()) for bound in ("", "_low", "_high")),
        *((f"{name}{part}", pa.float64()) for name in EFFICIENCIES for part in ("", "_error", "_median")),
        ("never", pa.float64()),  # share of PPO's levels that were never reached
        *(
            (f"{name}{statistic}{bound}", pa.float64())
            for name in OUTCOMES
            for statistic in ("", "_gain", "_better")
            for bound in ("", "_low", "_high")
        ),
        ("worst", pa.float64()),  # smallest final return of a seed
        ("below", pa.int32()),  # seeds whose final return is below that of PPO's worst seed
        ("dropped", pa.float64()),  # share of the records that the filter left out
        ("round_seconds", pa.float64()),  # mean training time of a round
        ("filter_share", pa.float64()),  # of it, the filter's share
    ]
)
"""One row an arm: `se_sym` over all pairs of seeds of the arm and of PPO; `final` and `area` are interquartile means with their
intervals, `_gain` their differences to PPO, `_better` the probability of improvement over PPO. In PPO's own row the efficiencies
are PPO against PPO: `se_sym` of all pairs of seeds, the others of all ordered pairs of different seeds, without an error."""


def per_seed(results: Results) -> pa.Table:
    """The metrics of every finished task (`SEEDS_SCHEMA`)."""
    rows = []
    standard_seeds = results.finished.get(STANDARD, [])
    standard = results.curves(STANDARD) if standard_seeds else None
    for arm in (arm.name for arm in results.experiment.arms):
        if not results.finished[arm]:
            continue
        curves, seconds = results.curves(arm), results.column(arm, "seconds")
        for i, seed in enumerate(results.finished[arm]):
            row: dict[str, Any] = {"experiment": results.experiment.name, "arm": arm, "seed": seed}
            row |= {"final": final_return(curves[i]), "area": area(curves[i])}
            if standard is not None and arm != STANDARD and seed in standard_seeds:
                j = standard_seeds.index(seed)
                saved = sample_efficiency(standard[j], curves[i])
                row |= {"se_ave": saved.ave, "se_peak": saved.peak, "levels": saved.levels, "never": saved.never}
                times = results.column(STANDARD, "seconds")[j], seconds[i]
                row["rt_peak"] = runtime_peak(standard[j], curves[i], *times)
            rows.append(row)
    return pa.Table.from_pylist(rows, SEEDS_SCHEMA)


def against_itself(results: Results) -> dict[str, float | None]:
    """What the paper's efficiencies read where nothing differs: PPO against another seed of PPO, over all ordered pairs.

    Below 0: the levels are the first run's own records, its luck among them, and a reduction is at most 1 but has no lower bound.

    Returns:
        Mean and median of `EFFICIENCIES`, and the share of levels that were never reached; empty without two seeds of PPO.
    """
    curves, seconds = results.curves(STANDARD), results.column(STANDARD, "seconds")
    pairs = list(permutations(range(len(curves)), 2))
    if not pairs:
        return {}
    saved = [sample_efficiency(curves[i], curves[j]) for i, j in pairs]
    times = [runtime_peak(curves[i], curves[j], seconds[i], seconds[j]) for i, j in pairs]
    found = [[one.ave for one in saved], [one.peak for one in saved], times]
    row: dict[str, float | None] = {"never": sum(one.never for one in saved) / sum(one.levels for one in saved)}
    for name, values in zip(EFFICIENCIES, found, strict=True):
        row |= {name: float(np.mean(values)), f"{name}_median": float(np.median(values))}
    return row


def summary(campaign: Campaign, seed: int = 0) -> pa.Table:
    """One row an arm of every experiment, then, where there are several, one an arm over all of them (`SCHEMA`).

    Over all: `final` and `area` are normalised per environment by PPO's worst and best evaluation there
    (`statistics.normalizer`), and taken over those experiments that have the arm and PPO. SE and RT are means over these
    experiments' means, SE_sym that of the mean logarithm.

    Args:
        campaign: also an unfinished one; arms without a finished task have no row.
        seed: seeds the bootstrap. Every row draws from a generator of its own, so that no number depends on which other arms
            and experiments there are.
    """
    rows = [row for results in campaign.experiments.values() for row in _arms(results, seed)]
    over_all = _over_all(campaign, rows, seed) if len(campaign.experiments) > 1 else []
    return pa.Table.from_pylist(rows + over_all, SCHEMA)


def _arms(results: Results, bootstrap_seed: int) -> list[dict[str, Any]]:
    tasks = per_seed(results).to_pylist()
    by_arm = {arm: [task for task in tasks if task["arm"] == arm] for arm in results.finished}
    standard = by_arm.get(STANDARD, [])
    rows = []
    for arm, own in by_arm.items():
        if not own:
            continue
        row: dict[str, Any] = {"experiment": results.experiment.name, "arm": arm, "environments": 1, "seeds": len(own)}
        row |= _outcomes([own], [standard] if arm != STANDARD else [], bootstrap_seed)
        row |= _symmetric([results], arm, bootstrap_seed) if standard else {}
        row |= against_itself(results) if arm == STANDARD else {}
        compared = [task for task in own if task["se_ave"] is not None]
        for name in EFFICIENCIES if compared else ():
            row |= _mean(name, [task[name] for task in compared])
        if compared:
            row["never"] = sum(task["never"] for task in compared) / sum(task["levels"] for task in compared)
        finals = [task["final"] for task in own]
        row["worst"] = min(finals)
        if standard:
            floor = min(task["final"] for task in standard)
            row["below"] = sum(final < floor for final in finals)
        seconds = results.column(arm, "seconds").sum()
        row["dropped"] = results.column(arm, "dropped").sum() / results.column(arm, "records").sum()
        row["round_seconds"] = results.column(arm, "seconds").mean()
        row["filter_share"] = results.column(arm, "filter_seconds").sum() / seconds if seconds else 0.0
        rows.append(row)
    return rows


def _over_all(campaign: Campaign, rows: list[dict[str, Any]], bootstrap_seed: int) -> list[dict[str, Any]]:
    with_standard = {k: v for k, v in campaign.experiments.items() if v.finished.get(STANDARD)}
    scores: dict[str, list[dict[str, Any]]] = {}
    for name, results in with_standard.items():
        normalize = normalizer(results.curves(STANDARD))
        scores[name] = [
            {**task, **{k: float(normalize(task[k])) for k in OUTCOMES}} for task in per_seed(results).to_pylist()
        ]

    def strata(arm: str, names: Sequence[str]) -> list[list[dict[str, Any]]]:
        return [[task for task in scores[name] if task["arm"] == arm] for name in names]

    found = []
    for arm in in_order(row["arm"] for row in rows):
        names = [name for name in scores if any(task["arm"] == arm for task in scores[name])]
        if not names:
            continue
        own = strata(arm, names)
        row: dict[str, Any] = {"experiment": ALL, "arm": arm, "environments": len(names)}
        row["seeds"] = sum(map(len, own))
        row |= _outcomes(own, strata(STANDARD, names) if arm != STANDARD else [], bootstrap_seed)
        row |= _symmetric([with_standard[name] for name in names], arm, bootstrap_seed)
        means = [r for r in rows if r["arm"] == arm and r["experiment"] in names and r.get("se_ave") is not None]
        for name in EFFICIENCIES if means else ():
            row |= _mean(name, [r[name] for r in means])
        row["below"] = sum(r["below"] for r in rows if r["arm"] == arm and r["experiment"] in names)
        found.append(row)
    return found


def _outcomes(
    own: list[list[dict[str, Any]]], standard: list[list[dict[str, Any]]], bootstrap_seed: int
) -> dict[str, float | None]:
    """Statistics of the tasks of one arm, and against PPO's where there are any; one list of tasks an environment."""
    rng = np.random.default_rng(bootstrap_seed)
    row: dict[str, float | None] = {}
    for name in OUTCOMES:
        x, y = _scores(own, name), _scores(standard, name)
        row |= _bounds(name, iqm_interval(x, rng))
        if y and all(map(len, y)):
            row |= _bounds(f"{name}_gain", iqm_difference(x, y, rng))
            row |= _bounds(f"{name}_better", improvement(x, y, rng))
    return row


def _symmetric(experiments: Sequence[Results], arm: str, bootstrap_seed: int) -> Mapping[str, float | None]:
    """SE_sym of an arm against PPO, from a generator of its own."""
    ratios = [log_ratios(results.curves(STANDARD), results.curves(arm)) for results in experiments]
    return _bounds(SYMMETRIC, symmetric_efficiency(ratios, np.random.default_rng(bootstrap_seed)))


def _scores(tasks: list[list[dict[str, Any]]], name: str) -> list[Floats]:
    return [np.array([task[name] for task in stratum]) for stratum in tasks]


def _bounds(name: str, interval: Interval) -> Mapping[str, float | None]:
    low, high = (None if isnan(bound) else bound for bound in (interval.low, interval.high))
    return {name: interval.value, f"{name}_low": low, f"{name}_high": high}


def _mean(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """Mean, standard error of the mean (None of a single value) and median."""
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return {name: float(np.mean(values)), f"{name}_error": error, f"{name}_median": float(np.median(values))}

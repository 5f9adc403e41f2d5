"""Several runs beside one another: which differ in nothing but their seed, what else differs, and curves with bands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInputError
from engine.intervals import t_reach
from engine.store.read import Run

NOT_SETTINGS = ("seed", "rounds")
"""In which two runs of one setting may differ."""
FEWEST_SEEDS = 3
"""An interval over fewer runs says next to nothing: over two it is 9 times as wide as they are apart."""
Band = Literal["no band", "95 % t interval", "lowest to highest"]


@dataclass(frozen=True, eq=False)
class Curve:
    """A metric over training, of one run or over the runs that differ in nothing but their seed."""

    round: NDArray[np.int64]
    """(m,) the rounds in which a run has a value."""
    steps: NDArray[np.int64]
    """(m,) environment steps made by the end of that round, since the beginning of training."""
    raw: NDArray[np.float64]
    """(m,) mean over the runs, as measured."""
    mean: NDArray[np.float64]
    """(m,) mean over the runs, each smoothed."""
    low: NDArray[np.float64]
    """(m,) NaN where there is no band: where none is asked for, or fewer than `FEWEST_SEEDS` runs have a value."""
    high: NDArray[np.float64]
    """(m,)"""
    runs: NDArray[np.int64]
    """(m,) how many runs have a value."""
    extent: tuple[float, float] | None
    """The lowest and the highest value of any of the runs, as measured; None where there is none."""


def by_seed(runs: Mapping[str, Run]) -> list[list[str]]:
    """Names of the runs, those together that differ in nothing but their seed.

    A branch stays alone, since other records were removed from it or other seeds went before; so does a run with the
    settings and the seed of an earlier one, since it is no further seed.
    """
    groups: dict[Any, list[str]] = {}
    for name, run in runs.items():
        alike = groups.get(replace(run.config, seed=0), [])
        further = run.manifest.parent is None and all(runs[other].config.seed != run.config.seed for other in alike)
        groups.setdefault(replace(run.config, seed=0) if further else name, []).append(name)
    return list(groups.values())


def differing_settings(runs: Mapping[str, Run]) -> dict[str, dict[str, Any]]:
    """The settings in which the runs differ: setting -> name of a run -> its value."""
    settings = {name: run.config.to_json() for name, run in runs.items()}
    fields = next(iter(settings.values()), {})
    rows = {field: {name: values[field] for name, values in settings.items()} for field in fields}
    return {field: row for field, row in rows.items() if any(value != row[next(iter(row))] for value in row.values())}


def check_same_environment(run: Run, other: Run) -> None:
    """Refuse two runs whose returns can't be held against one another.

    Raises:
        BadInputError: they are of two environments; names them.
    """
    of_run, of_other = (each.manifest for each in (run, other))
    same = ("kind", "env_id", "environment", "observation_space", "action_space")
    if any(getattr(of_run, name) != getattr(of_other, name) for name in same):
        raise BadInputError(
            f"{run.path} is a {run.kind} run of {of_run.env_id} and {other.path} a {other.kind} run of {of_other.env_id}, "
            "or their spaces or wrappers differ; name two runs of one environment"
        )


def differing(run: Run, other: Run) -> dict[str, tuple[Any, Any]]:
    """The settings that are not the same, but for the seed and the number of rounds: value in one, and in the other."""
    config = differing_settings({"run": run, "other": other})
    found = {name: (row["run"], row["other"]) for name, row in config.items() if name not in NOT_SETTINGS}
    own, others = (_leaves(each.manifest.settings) for each in (run, other))
    return found | {
        name: (own.get(name), others.get(name))
        for name in sorted({*own, *others})
        if own.get(name) != others.get(name) and name.rpartition(".")[2] not in NOT_SETTINGS
    }


def setting(run: Run) -> str:
    """A digest that is equal for runs that differ in nothing but their seed, their number of rounds, and machine and day."""
    said = run.manifest.to_json()
    kept = {
        name: said[name] for name in sorted(said) if name not in ("schema_version", "fingerprint", "parent", "created")
    }
    leaves = {name: value for name, value in _leaves(kept).items() if name.rpartition(".")[2] not in NOT_SETTINGS}
    return sha256(json.dumps(leaves, sort_keys=True).encode()).hexdigest()[:16]


def _leaves(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """All that is in it, by the names on the way: {"a": {"b": 1}} -> {"a.b": 1}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _leaves(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found


def curve(runs: Sequence[Run], metric: str, smoothing: float = 0.0, band: Band = "95 % t interval") -> Curve:
    """One curve over runs that differ in nothing but their seed.

    Args:
        runs: one or more.
        metric: a metric of the rounds; a round without it (no episode ended) is left out.
        smoothing: in [0, 1); see `smooth`. Every run is smoothed by itself, before the mean and the band are taken.
        band: what `low` and `high` are.
    """
    measured = [
        {info.round: float(info.metrics[metric]) for info in run.rounds if _is_number(info.metrics.get(metric))}
        for run in runs
    ]
    rounds = np.array(sorted(set().union(*measured)), np.int64)
    values = np.array([[one.get(int(k), np.nan) for k in rounds] for one in measured]).reshape(len(runs), len(rounds))
    smoothed = np.array([smooth(row, smoothing) for row in values]).reshape(values.shape)
    count = (~np.isnan(values)).sum(axis=0)
    bounds = t_interval(smoothed) if band == "95 % t interval" else _range(smoothed)
    low, high = (np.where((count >= FEWEST_SEEDS) & (band != "no band"), bound, np.nan) for bound in bounds)
    extent = (float(np.nanmin(values)), float(np.nanmax(values))) if count.any() else None
    steps = (rounds + 1) * (runs[0].config.records_per_round if runs else 0)
    return Curve(rounds, steps, _mean(values), _mean(smoothed), low, high, count, extent)


def smooth(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Exponential moving average that counts the values so far alone, as TensorBoard's; NaN stays NaN and counts nothing.

    weight 0.5: [1, 4] -> [1, (4 + 0.5 * 1) / 1.5] = [1, 3].

    Args:
        values: (m,)
        weight: of the past, in [0, 1); 0 changes nothing.
    """
    found, total, weights = np.full(len(values), np.nan), 0.0, 0.0
    for i in np.flatnonzero(~np.isnan(values)):
        total, weights = weight * total + values[i], weight * weights + 1
        found[i] = total / weights
    return found


def t_interval(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Student's 95 % interval of every column's mean: (n, m), NaN where there is no value -> (m,) low and (m,) high.

    A column [1, 3] -> 2 -+ 12.7; a column with a single value -> NaN.
    """
    count, mean = (~np.isnan(values)).sum(axis=0), _mean(values)
    squares = np.where(np.isnan(values), 0, values - mean) ** 2
    freedom = np.maximum(count - 1, 1)
    error = np.sqrt(squares.sum(axis=0) / freedom / np.maximum(count, 1))
    spread = np.where(count > 1, error * t_reach(freedom), np.nan)
    return mean - spread, mean + spread


def _range(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    several = (~np.isnan(values)).sum(axis=0) > 1
    low, high = (np.where(np.isnan(values), end, values) for end in (np.inf, -np.inf))
    return np.where(several, low.min(axis=0), np.nan), np.where(several, high.max(axis=0), np.nan)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, m) -> (m,), over the values that are there; there is one in every column."""
    return np.where(np.isnan(values), 0, values).sum(axis=0) / np.maximum((~np.isnan(values)).sum(axis=0), 1)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))

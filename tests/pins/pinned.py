"""Pinned answers as files, and how far new ones may lie from them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tests.pins.questions import Answers

DATA = Path(__file__).parent / "data"
THETA, SCORES, OUTCOMES, MACHINE = "theta.parquet", "scores.parquet", "outcomes.json", "machine.json"


def names() -> list[str]:
    """The pinned runs; each is the folder `run` in a folder of its name, beside its answers."""
    return sorted(path.parent.name for path in DATA.glob("*/run"))


def save(folder: Path, found: Answers, machine: Mapping[str, str]) -> None:
    """Write answers beside a pinned run."""
    for name, columns in ((THETA, found.theta), (SCORES, found.scores)):
        pq.write_table(_table(columns), folder / name, compression="zstd")
    for name, values in ((OUTCOMES, found.outcomes), (MACHINE, dict(machine))):
        (folder / name).write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")


def load(folder: Path) -> tuple[Answers, dict[str, str]]:
    """The answers beside a pinned run, and the machine that gave them."""
    theta, scores = (_columns(pq.read_table(folder / name)) for name in (THETA, SCORES))
    outcomes, machine = (json.loads((folder / name).read_text()) for name in (OUTCOMES, MACHINE))
    return Answers(theta, scores, outcomes), machine


def _table(columns: Mapping[str, NDArray[np.float32]]) -> pa.Table:
    """One row a vector: their lengths differ."""
    return pa.table({"name": list(columns), "values": [values.tolist() for values in columns.values()]}, _SCHEMA)


_SCHEMA = pa.schema({"name": pa.string(), "values": pa.list_(pa.float32())})


def _columns(table: pa.Table) -> dict[str, NDArray[np.float32]]:
    rows = table.to_pylist()
    return {row["name"]: np.array(row["values"], np.float32) for row in rows}


def distances(now: Answers, pinned: Answers) -> dict[str, float]:
    """How far every answer lies from the pinned one: 0 for the same bits, infinity where they can't be compared.

    A theta(k+1) is measured by the largest change of a parameter in the recorded update, scores by the largest score of
    their question, numbers of an outcome by the largest one beside them. Texts and counts are equal, or can't be compared.
    """
    update = pinned.outcomes["update"]
    found = {f"theta, {name}": _apart(*pair, update) for name, pair in _pairs(now.theta, pinned.theta)}
    found |= {f"scores, {name}": _apart(*pair) for name, pair in _pairs(now.scores, pinned.scores)}
    # The pinned outcomes have been through JSON, where a tuple is a list; so are those that are compared with them.
    return found | dict(_outcomes("outcomes", json.loads(json.dumps(now.outcomes)), pinned.outcomes))


def _pairs(now: Mapping[str, Any], pinned: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """What both say by name; None for the one that says nothing."""
    for name in sorted(now.keys() | pinned.keys()):
        yield name, (now.get(name), pinned.get(name))


def _apart(now: Any, pinned: Any, scale: float | None = None) -> float:
    """The largest difference of two vectors, in units of `scale`, by default of the largest pinned number."""
    if now is None or pinned is None or now.shape != pinned.shape or now.dtype != pinned.dtype:
        return math.inf
    if now.tobytes() == pinned.tobytes():
        return 0.0
    scale = float(np.abs(pinned).max()) if scale is None else scale
    difference = float(np.abs(now.astype(np.float64) - pinned).max())
    return difference / scale if scale and math.isfinite(difference) else math.inf


def _outcomes(place: str, now: Any, pinned: Any, scale: float = 0.0) -> Iterator[tuple[str, float]]:
    """The distances of all that two trees of JSON say; `scale` is the largest number beside the one looked at."""
    if isinstance(now, dict | list) and type(now) is type(pinned):
        old, new = (dict(enumerate(tree)) if isinstance(tree, list) else tree for tree in (pinned, now))
        if old.keys() != new.keys():
            yield place, math.inf
            return
        beside = max((abs(value) for value in old.values() if _is_measured(value)), default=0.0)
        for key in old:
            yield from _outcomes(f"{place}, {key}", new[key], old[key], beside)
    elif _is_measured(now) and _is_measured(pinned):
        yield place, 0.0 if now == pinned else abs(now - pinned) / (scale or 1.0)
    else:  # texts, counts, and NaN, which has one spelling
        yield place, 0.0 if json.dumps(now) == json.dumps(pinned) else math.inf


def _is_measured(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)

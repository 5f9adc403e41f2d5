"""Where validations are kept: beside the run, by round and target."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa

from engine.core.chosen_targets import chosen_target
from engine.core.estimators.registry import ESTIMATORS
from engine.core.faithfulness.measured_rounds import note_measured
from engine.core.faithfulness.result import ScoredBy, Validation
from engine.core.targets.functions import Described, Target
from engine.core.targets.question import Question, TargetName, averaged_name
from engine.errors import BadInputError, DamagedRunError
from engine.store.derived import load_table, update_table
from engine.store.snapshot import Snapshot
from engine.store.strict_json import parse_json
from engine.typed import typed

VALIDATION_VERSION = 3
"""Part of every key; raise it whenever a validation's numbers change."""


def read_validation(
    snapshot: Snapshot,
    target: Target | TargetName | Question | str | None = None,
    estimator: str | None = None,
    *,
    design: str | None = "random",
    fraction: float | None = None,
    device: str | None = "cpu",
) -> Validation | None:
    """The largest stored validation of this round and target, without computing anything; None if there is none.

    Of those with equally many replays it is the newest.

    Args:
        snapshot: round k.
        target: as `validate`; a `Question` says the estimator and its orders, too.
        estimator: only validations that measured it; of scores averaged over orders its `averaged_name`.
        design: only those of this design; None: any.
        fraction: only those that removed this share.
        device: only those that were replayed there, by default exactly; None: any.

    Raises:
        BadInputError: as `chosen_targets.chosen_target`.
    """
    if isinstance(target, Question):
        asked = target.alone(beside=estimator is not None)
        estimator = averaged_name(asked.estimator, asked.orders)
    fitting = [
        found
        for found in _kept(snapshot, chosen_target(snapshot, target))
        if (estimator is None or estimator in found.estimators)
        and (design is None or found.design == design or found.design.partition(" of ")[0] == design)
        and (fraction is None or found.fraction == fraction)
        and (device is None or found.device == device)
    ]
    return max(fitting, key=lambda found: found.subsets * found.orders, default=None)


def keep_validation(snapshot: Snapshot, target: Described, measured: Validation) -> None:
    """Store a validation; one with the same settings keeps what it measured of other estimators."""
    if snapshot.path is None or not snapshot.hash:
        return

    def settings(v: Validation) -> tuple[Any, ...]:
        return v.design, v.fraction, v.subsets, v.orders, v.device

    def beside(kept: pa.Table | None) -> pa.Table:
        newest, others = measured, _validations(kept)
        for same in (other for other in others if settings(other) == settings(newest)):
            newest = replace(newest, estimators={**same.estimators, **newest.estimators})
        stored = [newest, *(other for other in others if settings(other) != settings(newest))]
        return pa.table(
            {
                "validation": [json.dumps(v.to_json()) for v in stored],
                "scored": [
                    [asdict(ScoredBy(name, each.estimator, each.orders)) for name, each in v.estimators.items()]
                    for v in stored
                ],
            }
        )

    update_table(snapshot.path, _key(snapshot, target), beside)
    note_measured(snapshot, str(measured.target["target"]))


def _kept(snapshot: Snapshot, target: Described) -> list[Validation]:
    """Newest first."""
    if snapshot.path is None or not snapshot.hash:
        return []
    return _validations(load_table(snapshot.path, _key(snapshot, target)))


def _validations(table: pa.Table | None) -> list[Validation]:
    """Newest first; none where they are not such."""
    if table is None:
        return []
    try:
        texts = typed(list[str], table.column("validation").to_pylist())
        scored = typed(list[list[ScoredBy]], _scored(table))
        found = [
            Validation.from_json(parse_json(text.encode(), "derived"), by)
            for text, by in zip(texts, scored, strict=True)
        ]
        return sorted(found, key=lambda v: -v.created)
    except (KeyError, BadInputError, DamagedRunError):
        return []


def _scored(table: pa.Table) -> list[Any]:
    """Earlier versions kept no such column; there a name stands for scores of one order where it is an estimator's."""
    if "scored" in table.column_names:
        return list(table.column("scored").to_pylist())
    return [[{"name": name, "estimator": name, "orders": 1} for name in ESTIMATORS]] * len(table)


def _key(snapshot: Snapshot, target: Described) -> str:
    question = {"validation": VALIDATION_VERSION, "snapshot": snapshot.hash, "target": target.describe()}
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()

"""Made-up results of the demonstration."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from engine.demos.courtesy.experiment.plan import Plan
from engine.demos.courtesy.experiment.results import SCHEMA, CourtesyResults

FAST = [0.5, 0.2, 0.04, 0.01, 0.01]
SLOW = [0.5, 0.4, 0.2, 0.1, 0.04]
NEVER = [0.5, 0.5, 0.4, 0.4, 0.4]
CURVES = {
    ("clean", "ppo"): [FAST, FAST],
    ("clean", "iif"): [FAST, FAST],
    ("flipped", "ppo"): [SLOW, SLOW],
    ("flipped", "iif"): [FAST, FAST],
    ("flipped", "random"): [SLOW, NEVER],
}


def rows(condition: str, arm: str, seed: int, curve: list[float]) -> pa.Table:
    common = {"condition": condition, "arm": arm, "seed": seed, "fluency": 0.5 if arm == "random" else 0.97}
    made: list[dict[str, Any]] = []
    for round, rude in enumerate(curve):
        row = dict.fromkeys(SCHEMA.names, 0) | common | {"round": round, "rude": rude, "variety": 0.8}
        row |= {"seconds": 2.0 * (round > 0), "sequences": (64 if arm == "ppo" else 128) * (round > 0)}
        found = condition == "flipped" and arm == "iif" and round > 0
        row |= {"auc_influence": 0.8 + 0.1 * seed if found else None, "auc_reward": 0.5 if found else None}
        row |= {"flips": 12 * (condition == "flipped"), "dropped": 32, "flips_dropped": 8 * (condition == "flipped")}
        made.append(row)
    return pa.Table.from_pylist(made, SCHEMA)


def made_up() -> CourtesyResults:
    """Two seeds of each curve, four rounds; `random` has no run with clean rewards."""
    plan = Plan(arms=("ppo", "iif", "random"), rounds=4)
    tables = [rows(*key, seed, curve) for key, curves in CURVES.items() for seed, curve in enumerate(curves)]
    made = [{"command": "python -m engine reproduce courtesy", "when": "2026-01-01", "fingerprint": {"torch": "2"}}]
    seeds = {arm: [0, 1] for arm in plan.arms}
    return CourtesyResults(plan=plan, seeds=seeds, made=made, table=pa.concat_tables(tables))

"""The arms of an intervention, replayed one after the other, and what every result says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from engine.core.kind import recorded_here
from engine.core.replays.replay import Replayed, replay
from engine.intervention.comparison import change
from engine.intervention.plan import Intervention, ProgressMeter, draws, intervened
from engine.store.snapshot import Snapshot

OrderValues = Mapping[str, Sequence[float]]
"""Arm -> a number for each minibatch order."""


class ReplayedArm(NamedTuple):
    """One arm in one minibatch order."""

    order: int
    arm: str
    """`original`, `counterfactual` or `control`."""
    replayed: Replayed


def replayed_arms(snapshot: Snapshot, plan: Intervention, meter: ProgressMeter) -> Iterator[ReplayedArm]:
    """Every arm in every order, the original first; whoever asks for the next one is done with what it made of the last."""
    for order in range(plan.orders):
        for arm, records in draws(snapshot, plan, order).items():
            meter.say(f"{arm}, minibatch order {order + 1} of {plan.orders}")
            yield ReplayedArm(order, arm, replay(intervened(snapshot, plan, records, order), on_step=meter.step))
            meter.evaluated()


def about(snapshot: Snapshot) -> dict[str, Any]:
    """What a result says of the round that was replayed."""
    return {"env_id": snapshot.config.env_id, "same_machine": recorded_here(snapshot)}


def carried_out(plan: Intervention, records: int, target_values: OrderValues) -> dict[str, Any]:
    """What a result says of the plan, and of how the measured target changed.

    Args:
        plan: the intervention.
        records: in the round.
        target_values: f(theta(k+1)) of the measured target.
    """
    named = plan.measured.plain()
    return {
        "round": plan.round,
        "removed": list(plan.removed),
        **({"repair": True} if plan.repair else {}),
        "records": records,
        "mode": plan.mode,
        "orders": plan.orders,
        "target": {
            "name": named["target"],
            "about": named["about"],
            "action": named["action"],
            "of_round": named["of_round"],
            "counterfactual": change(target_values["counterfactual"], target_values["original"]).to_json(),
            "control": change(target_values["control"], target_values["original"]).to_json(),
            "order_values": dict(target_values),
        },
    }

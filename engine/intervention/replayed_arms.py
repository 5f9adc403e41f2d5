"""The arms of an intervention, replayed in every minibatch order, and what every result says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from engine.core.kind import recorded_here
from engine.core.replays.replay import Replayed, replay
from engine.executors import Pool
from engine.intervention.comparison import change
from engine.intervention.here_or_elsewhere import done
from engine.intervention.plan import ARMS, Intervention, ProgressMeter, draws, intervened
from engine.store.snapshot import Snapshot

T = TypeVar("T")

OrderValues = Mapping[str, Sequence[float]]
"""Arm -> a number for each minibatch order."""


@dataclass(frozen=True)
class OrderTask:
    """All arms in one minibatch order."""

    order: int
    of: int

    def __str__(self) -> str:
        return f"minibatch order {self.order + 1} of {self.of}"


def replayed_arms(
    snapshot: Snapshot, plan: Intervention, task: OrderTask, meter: ProgressMeter
) -> Iterator[tuple[str, Replayed]]:
    """Every arm in an order, the original first; whoever asks for the next one is done with what it made of the last."""
    for arm, records in draws(snapshot, plan, task.order).items():
        meter.say(f"{arm}, {task}")
        yield arm, replay(intervened(snapshot, plan, records, task.order), on_step=meter.step)
        meter.evaluated()


def in_every_order(
    here: Callable[[OrderTask, ProgressMeter], T],
    elsewhere: Callable[[OrderTask], T],
    plan: Intervention,
    meter: ProgressMeter,
    pool: Pool,
) -> list[T]:
    """What is made of the arms in each minibatch order, in this process or in others; the same in either case.

    Args:
        here: makes it in this process.
        elsewhere: makes it in another one.
        plan: the intervention.
        meter: told of the progress.
        pool: where.
    """

    def finished(task: OrderTask) -> None:
        for arm in ARMS:
            meter.finished(f"{arm}, {task} is finished", updates=1)

    tasks = [OrderTask(order, plan.orders) for order in range(plan.orders)]
    return done(tasks, here, elsewhere, pool, meter, doing="replaying and evaluating the arms", finished=finished)


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

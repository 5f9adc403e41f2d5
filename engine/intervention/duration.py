"""How long a removal takes, from what its round took to make when it was recorded."""

from __future__ import annotations

from engine.core.kind import kind_of
from engine.executors import default_workers
from engine.intervention.across import Series
from engine.intervention.plan import Intervention, episodes_per_order
from engine.store.snapshot import Snapshot

START_SECONDS = 4.0
"""Until a worker has begun."""
ARMS = 3


def intervention_seconds(snapshot: Snapshot, plan: Intervention) -> float | None:
    """Seconds that an intervention takes, its worker's start counted; None where the round does not say what it took.

    Args:
        snapshot: the round.
        plan: what is removed and how it is looked at.
    """
    work = _seconds_of_work(snapshot, plan)
    return None if work is None else START_SECONDS + work


def series_seconds(snapshot: Snapshot, series: Series) -> float | None:
    """The same of a series, on all cores, if every round takes what this one takes."""
    plan = Intervention(round=snapshot.round, removed=(0,), orders=series.orders, episodes=series.episodes)
    work = _seconds_of_work(snapshot, plan)
    if work is None:
        return None
    return START_SECONDS + work * len(series.rounds) / min(default_workers(), len(series.rounds))


def _seconds_of_work(snapshot: Snapshot, plan: Intervention) -> float | None:
    kind, metrics = kind_of(snapshot), snapshot.metrics
    collect, update, records = (metrics.get(name) for name in ("collect_seconds", "update_seconds", "records"))
    an_episode = metrics.get("mean_length") if kind.has_states else 1
    played = not kind.unplayed(snapshot)
    if collect is None or update is None or not records or (played and an_episode is None):
        return None
    episodes = ARMS * episodes_per_order(plan) * plan.orders if played else 0
    branches = 0
    if plan.continue_rounds:
        branches = 2 + ARMS * (plan.seeds - 1) + (plan.seeds > 1)  # the original is trained on where there are seeds
        episodes += ARMS * plan.episodes if plan.seeds > 1 else 0
    playing = episodes * (an_episode or 0) * collect / records
    return float(ARMS * plan.orders * update + playing + branches * plan.continue_rounds * (collect + update))

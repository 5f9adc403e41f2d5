"""How long a removal takes, from what its round took to make when it was recorded and how busy this machine is now."""

from __future__ import annotations

import os

from engine.core.kind import kind_of
from engine.executors import default_workers
from engine.intervention.across import Series
from engine.intervention.plan import Intervention, episodes_per_order
from engine.store.snapshot import Snapshot

START_SECONDS = 5.0
"""Until a worker has begun, and at the end until its result is seen; on a core of its own."""
ARMS = 3


def intervention_seconds(snapshot: Snapshot, plan: Intervention) -> float | None:
    """Seconds that an intervention takes on this machine as it is now, its worker's start counted.

    None where the round does not say what it took.

    Args:
        snapshot: the round.
        plan: what is removed and how it is looked at.
    """
    work = _seconds_of_work(snapshot, plan)
    return None if work is None else (START_SECONDS + work) * crowding(1)


def series_seconds(snapshot: Snapshot, series: Series) -> float | None:
    """The same of a series, on all cores, if every round takes what this one takes."""
    plan = Intervention(round=snapshot.round, removed=(0,), orders=series.orders, episodes=series.episodes)
    work = _seconds_of_work(snapshot, plan)
    if work is None:
        return None
    workers = min(default_workers(), len(series.rounds))
    return (START_SECONDS + work * len(series.rounds) / workers) * crowding(workers)


def crowding(processes: int) -> float:
    """How many times as long so many more processes take as on cores of their own: 1 where that many are idle."""
    try:
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
    except (AttributeError, OSError):  # this system doesn't tell
        return 1.0
    return max(1.0, (load + processes) / cores)


def _seconds_of_work(snapshot: Snapshot, plan: Intervention) -> float | None:
    kind, metrics = kind_of(snapshot), snapshot.metrics
    collect, update, records = (metrics.get(name) for name in ("collect_seconds", "update_seconds", "records"))
    an_episode = metrics.get("mean_length") if kind.has_states else 1
    played = not kind.unplayed(snapshot)
    if collect is None or update is None or not records or (played and an_episode is None):
        return None
    episodes = ARMS * episodes_per_order(plan) * plan.orders if played else 0
    replays, further = ARMS * plan.orders + 1, 0  # the branch that is kept is replayed once more
    if plan.continue_rounds:
        replays += 1
        further = 2 + ARMS * (plan.seeds - 1) + (plan.seeds > 1)  # the original is trained on where there are seeds
        episodes += ARMS * plan.episodes if plan.seeds > 1 else 0
    playing = episodes * (an_episode or 0) * collect / records
    return float(replays * update + playing + further * plan.continue_rounds * (collect + update))

"""How long a removal takes, from what its round took to make when it was recorded and how busy this machine is now."""

from __future__ import annotations

import os
from typing import NamedTuple

from engine.core.kind import kind_of
from engine.core.replays.many import replay_seconds
from engine.executors import INLINE, PROCESSES, Pool
from engine.intervention.across import Series
from engine.intervention.plan import ARMS, Intervention, episodes_per_order
from engine.store.snapshot import Snapshot

START_SECONDS = 5.0
"""Until a worker has begun, and at the end until its result is seen; on a core of its own."""


class Work(NamedTuple):
    """Seconds of work, one after the other."""

    alone: float
    """In one process: what is recorded."""
    shared: float
    """What others may do."""


def intervention_seconds(snapshot: Snapshot, plan: Intervention, pool: Pool = INLINE) -> float | None:
    """Seconds that an intervention takes on this machine as it is now, its worker's start counted.

    None where the round does not say what it took.

    Args:
        snapshot: the round.
        plan: what is removed and how it is looked at.
        pool: where it is carried out; see `worth`.
    """
    work = work_of(snapshot, plan)
    if work is None:
        return None
    where = pool.worth(work.shared)
    return (START_SECONDS + work.alone + where.seconds(work.shared)) * crowding(where.at_a_time)


def worth(pool: Pool, snapshot: Snapshot, plan: Intervention) -> Pool:
    """Where an intervention is best carried out: a pool, or this process where it takes seconds.

    Of a round that does not say what it took, replays alone are counted.
    """
    work = work_of(snapshot, plan)
    return pool.worth(len(ARMS) * plan.orders * replay_seconds(snapshot) if work is None else work.shared)


def series_seconds(snapshot: Snapshot, series: Series, pool: Pool = PROCESSES) -> float | None:
    """The same of a series, if every round takes what this one takes."""
    plan = Intervention(round=snapshot.round, removed=(0,), orders=series.orders, episodes=series.episodes)
    work = work_of(snapshot, plan)
    if work is None:
        return None
    workers = min(pool.at_a_time, len(series.rounds))
    return (START_SECONDS + sum(work) * len(series.rounds) / workers) * crowding(workers)


def crowding(processes: int) -> float:
    """How many times as long so many more processes take as on cores of their own: 1 where that many are idle."""
    try:
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
    except (AttributeError, OSError):  # this system doesn't tell
        return 1.0
    return max(1.0, (load + processes) / cores)


def work_of(snapshot: Snapshot, plan: Intervention) -> Work | None:
    """What an intervention takes; None where the round does not say what it took."""
    kind, metrics = kind_of(snapshot), snapshot.metrics
    collect, update, records = (metrics.get(name) for name in ("collect_seconds", "update_seconds", "records"))
    an_episode = metrics.get("mean_length") if kind.has_states else 1
    played = not kind.unplayed(snapshot)
    if collect is None or update is None or not records or (played and an_episode is None):
        return None
    episodes = len(ARMS) * episodes_per_order(plan) * plan.orders if played else 0
    branches, further = 1, 0
    if plan.continue_rounds:
        branches = 2
        if plan.seeds > 1:
            further = len(ARMS) * plan.seeds - branches  # the first seed of the branches is recorded
            episodes += len(ARMS) * plan.episodes
    going_on = plan.continue_rounds * (collect + update)
    playing = episodes * (an_episode or 0) * collect / records
    return Work(
        alone=float(branches * (update + going_on)),
        shared=float(len(ARMS) * plan.orders * update + playing + further * going_on),
    )

"""Monte Carlo advantages: what taking a in s was really worth, as far as rollouts can tell (paper, section 4.1).

A-bar(s, a) = mean return of rollouts that take a in s and then follow pi_theta(k), minus the mean return of rollouts from s
that follow pi_theta(k) at once.

* s is the state of the environment, not only what it shows: the simulator's, with the steps that the time limit has counted.
* The return is sum_j gamma^j r_j with the run's gamma and its rewards (normalised where the run normalises them, by the
  statistics as the update found them). It ends where the episode terminates. Where a time limit cuts the episode off, and
  where gamma^j has fallen to 0.01, gamma^j V(s_j) by the recorded critic is added: as the run's own advantages have it. So
  A-bar is what A-hat estimates, without the critic's error in s and without the luck of a single trajectory.
* Random numbers of environment and policy are fresh in every rollout, and those of the two means are shared.
* Records of the same state and time limit (where the state can be read, in practice those of a discrete environment) have
  rollouts of the same distribution, and share them: a state of m records gets m times as many, up to 16 times.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from engine.analysis.restoring import CannotRestoreError, Point, points
from engine.analysis.rollouts import ROLLOUT_SEED, Floats, RolloutTask, RoundPolicy, Start, horizon, parts, run_rollouts
from engine.errors import BadInputError
from engine.executors import Progress, check_executor, default_workers, run_tasks
from engine.kinds.control.blueprint import Blueprint, policy_of
from engine.kinds.control.control_only import control_only
from engine.kinds.control.recorded_environment import environment_of
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.derived import kept_columns, load_table, save_table
from engine.store.snapshot import check_records

ADVANTAGES_VERSION = 1
"""Part of every cache key; raise it whenever the numbers change."""
ROLLOUTS = 32
MOST_SHARED = 16
"""Records whose rollouts a shared state gets at most."""
TIMED = 6
"""States, and rollouts of each mean there, that are timed to say how long all would take."""
WORKER_SECONDS = 4.0
"""What a worker needs to start."""
PART, PARTS = 128, 64
"""Rollouts of a task at least, and about how many tasks there are where there is more to do."""


@dataclass(frozen=True, eq=False)
class MonteCarlo:
    """Monte Carlo estimates for some records of a round; NaN for a record whose state can't be restored."""

    record: NDArray[np.int64]
    """(m,) their numbers, ascending."""
    advantage: Floats
    """(m,) A-bar."""
    error: Floats
    """(m,) its standard error, from the paired differences of the rollouts."""
    value: Floats
    """(m,) V-bar(s), the mean return of pi_theta(k) from s."""
    rollouts: NDArray[np.int64]
    """(m,) rollouts of each of the two means."""

    @property
    def restored(self) -> NDArray[np.bool_]:
        """(m,) whether the environment came back to the record's state."""
        return ~np.isnan(self.advantage)

    @property
    def reliability(self) -> float:
        """Share of the variance of A-bar over the records that is not noise of the rollouts; NaN without variance."""
        known = self.restored
        total = float(self.advantage[known].var()) if known.any() else 0.0
        return max(0.0, 1 - float((self.error[known] ** 2).mean()) / total) if total > 0 else math.nan

    def spread(self, n: int) -> tuple[Floats, Floats, Floats]:
        """A-bar, its error and V-bar as (n,) columns of the round, NaN where nothing is known."""
        columns = np.full((3, n), math.nan)
        columns[:, self.record] = self.advantage, self.error, self.value
        return columns[0], columns[1], columns[2]


@control_only
def monte_carlo(
    snapshot: ControlSnapshot,
    records: Any = None,
    rollouts: int = ROLLOUTS,
    *,
    executor: str = "processes",
    workers: int | None = None,
    report: Progress = lambda doing, done, total: None,
) -> MonteCarlo:
    """A-bar of some records of a round.

    What is finished is kept in the run's `derived/`, also when the work is cancelled; a record's numbers do not depend on
    which others are asked for.

    Args:
        snapshot: round k.
        records: their numbers; by default all.
        rollouts: of each of the two means, at least 2.
        executor: `processes`, `inline` or `ray`; `processes` needs a main module that can be imported again.
        workers: processes at a time; by default one a core.
        report: told the rollouts that are done, of about how many; raise from it to cancel.

    Raises:
        BadInputError: bad settings; nothing was played.
        CannotRestoreError: the environment can't be made on this machine, its states were not recorded, or the policy is not
            played from them.
    """
    check_settings(rollouts, executor, workers)
    asked = check_records(np.arange(len(snapshot.buffer)) if records is None else records, len(snapshot.buffer))
    kept = _Kept(snapshot, rollouts)
    missing = [record for record in asked.tolist() if record not in kept.rows]
    if missing:
        if why := getattr(policy_of(snapshot), "no_rollouts", ""):  # another trainer's
            raise CannotRestoreError(why)
        restored = points(snapshot)
        kept.add((record, math.nan, math.nan, math.nan, 0) for record in missing if restored[record] is None)
        shared = _Shared(snapshot, restored, rollouts)
        starts = shared.starts([record for record in missing if restored[record] is not None])
        total = sum(_count(start) for start in starts)
        done = 0
        report("playing rollouts", done, total)
        tasks = [RolloutTask(number, part) for number, part in enumerate(parts(starts, max(PART, total // PARTS)))]
        play = partial(run_rollouts, _policy(snapshot))
        try:
            for task, outcomes in run_tasks(play, tasks, executor, workers):
                for start, (policy, actions) in zip(task.starts, outcomes, strict=True):
                    for action, returns in zip(start.actions, actions, strict=True):
                        row = _estimates(policy, returns)
                        kept.add((record, *row) for record in shared.records(start, action))
                done += sum(_count(start) for start in task.starts)
                report("playing rollouts", done, total)
        finally:
            kept.save()
    return kept.of(asked)


def kept_estimates(snapshot: ControlSnapshot, rollouts: int = ROLLOUTS) -> MonteCarlo | None:
    """What `monte_carlo` has kept of a round, of all records that were ever asked for; None where that is nothing."""
    kept = _Kept(snapshot, rollouts)
    return kept.of(np.array(sorted(kept.rows), np.int64)) if kept.rows else None


@control_only
def monte_carlo_seconds(
    snapshot: ControlSnapshot, records: ArrayLike, rollouts: int = ROLLOUTS, workers: int | None = None
) -> float:
    """How long `monte_carlo` would take for what is not kept, from the time of a few rollouts.

    Raises:
        CannotRestoreError: as `monte_carlo`.
    """
    begun = time.perf_counter()
    kept = _Kept(snapshot, rollouts).rows
    restored = points(snapshot)
    missing = [record for record in np.asarray(records).tolist() if record not in kept and restored[record] is not None]
    starts = _Shared(snapshot, restored, rollouts).starts(missing)
    if not starts:
        return 0.0
    found = time.perf_counter()
    some = [starts[i]._replace(streams=TIMED) for i in np.unique(np.linspace(0, len(starts) - 1, TIMED).astype(int))]
    run_rollouts(_policy(snapshot), RolloutTask(0, some))
    a_rollout = (time.perf_counter() - found) / sum(_count(start) for start in some)
    at_a_time = min(workers or default_workers(), len(starts))
    return found - begun + WORKER_SECONDS + a_rollout * sum(_count(start) for start in starts) / at_a_time


def check_settings(rollouts: int, executor: str, workers: int | None) -> None:
    """Refuse settings that `monte_carlo` can't work with.

    Raises:
        BadInputError: fewer than two rollouts; or as `executors.check_executor`.
    """
    check_executor(executor, workers)
    if rollouts < 2:
        raise BadInputError(f"rollouts is {rollouts}; it must be at least 2, for a standard error")


def _count(start: Start) -> int:
    return start.streams * (1 + len(start.actions))


def _estimates(policy: Floats, returns: Floats) -> tuple[float, float, float, int]:
    """A-bar, its standard error, V-bar and the number of rollouts."""
    difference = returns - policy
    error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
    return float(difference.mean()), error, float(policy.mean()), len(difference)


class _Shared:
    """Which records of a round were made in the same state, or in the same state with the same action."""

    def __init__(self, snapshot: ControlSnapshot, restored: list[Point | None], rollouts: int) -> None:
        self.snapshot, self.restored, self.rollouts = snapshot, restored, rollouts
        self.by_state: dict[Any, list[int]] = {}
        for record, point in enumerate(restored):
            if point is not None:
                self.by_state.setdefault(record if point.key is None else point.key, []).append(record)

    def starts(self, wanted: list[int]) -> list[Start]:
        """What must be played to know the wanted records; streams depend on the round, not on what is wanted."""
        buffer, chosen = self.snapshot.buffer, set(wanted)
        found = []
        for records in self.by_state.values():
            asked = [record for record in records if record in chosen]
            if asked:
                point = self.restored[records[0]]
                assert point is not None
                actions = np.unique(buffer.action[asked], axis=0)
                streams = self.rollouts * min(len(records), MOST_SHARED)
                found.append(Start(records[0], point, buffer.observation[records[0]], actions, streams))
        return found

    def records(self, start: Start, action: Any) -> list[int]:
        """Those that were made in this state with this action."""
        same = self.by_state[start.record if start.point.key is None else start.point.key]
        taken = self.snapshot.buffer.action
        return [record for record in same if np.array_equal(taken[record], action)]


def _policy(snapshot: ControlSnapshot) -> RoundPolicy:
    needed = {
        name: tensor for name, tensor in snapshot.checkpoint.items() if not name.startswith(("environment/", "rng/"))
    }
    seed = (snapshot.config.seed, snapshot.round, ROLLOUT_SEED)
    outside = environment_of(snapshot) if snapshot.environment else None
    return RoundPolicy(seed, Blueprint.of(snapshot), needed, outside)


class _Kept:
    """Estimates of a snapshot's records in the run's `derived/`; only in memory where it is not committed."""

    def __init__(self, snapshot: ControlSnapshot, rollouts: int) -> None:
        question = {
            "advantages": ADVANTAGES_VERSION,
            "snapshot": snapshot.hash,
            "rollouts": rollouts,
            "horizon": horizon(snapshot.config.gamma),
        }
        self.question = json.dumps(question, sort_keys=True)
        self.key = hashlib.sha256(self.question.encode()).hexdigest()
        self.path = snapshot.path if snapshot.hash else None
        table = None if self.path is None else load_table(self.path, self.key)
        columns = None if table is None else kept_columns(table, _COLUMNS)
        self.rows: dict[int, tuple[float, float, float, int]] = {}
        if columns is not None:
            rows = zip(*(columns[name].tolist() for name in _COLUMNS), strict=True)
            self.add(row for row in rows if 0 <= row[0] < len(snapshot.buffer))

    def of(self, records: NDArray[np.int64]) -> MonteCarlo:
        """The estimates of these records, which are all there."""
        columns = np.array([self.rows[record] for record in records.tolist()], np.float64).reshape(-1, 4).T
        return MonteCarlo(records, columns[0], columns[1], columns[2], columns[3].astype(np.int64))

    def add(self, rows: Iterable[tuple[int, float, float, float, int]]) -> None:
        self.rows |= {record: tuple(row) for record, *row in rows}  # type: ignore[misc]

    def save(self) -> None:
        if self.path is None or not self.rows:
            return
        columns = zip(*((record, *row) for record, row in sorted(self.rows.items())), strict=True)
        table = pa.table(dict(zip(_COLUMNS, map(list, columns), strict=True)))
        save_table(self.path, self.key, table, {"advantages": self.question})


_COLUMNS = {
    "record": pa.int64(),
    "advantage": pa.float64(),
    "error": pa.float64(),
    "value": pa.float64(),
    "rollouts": pa.int64(),
}

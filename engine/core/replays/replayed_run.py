"""Does a replay of a recorded round lead to the checkpoint that was recorded after it, and its policy say what was recorded?"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.core.checkpoint import one_thread
from engine.core.kind import kind_of, recorded_here
from engine.core.replays.rebuilt_policy import rebuilt_policy
from engine.core.replays.replay import check_replayable, replay
from engine.errors import BadInputError, DamagedRunError
from engine.known_kinds import kind_named
from engine.store.derived import kept_columns, load_table, save_table
from engine.store.read import Run
from engine.store.snapshot import Snapshot, parameters_of

REPLAYED_VERSION = 1
"""Part of every key; raise it whenever what is kept of a replay changes."""
HERE = "though with the same software, on the same kind of machine"
ELSEWHERE = "recorded on another machine or with other versions"
_KEPT: dict[str, pa.DataType] = {
    "equal": pa.bool_(),
    "largest": pa.float64(),
    "moved": pa.float64(),
    "why": pa.string(),
    "log_prob": pa.float64(),
    "same_policy": pa.bool_(),
}


@dataclass(frozen=True)
class ReplayedRound:
    """What came of one round."""

    round: int
    equal: bool
    """Bit for bit."""
    largest: float | None
    """Largest difference of a parameter; None where the round could not be replayed."""
    moved: float | None
    """How far the update moved a parameter at most, to hold the difference against."""
    why: str = ""
    """Where it was recorded, if not here; else, if it is not equal, that it should be; or why it could not be replayed."""
    log_prob: float | None = None
    """Largest difference of a log-probability by the policy that the files make; None where it can't be made."""
    same_policy: bool = False
    """Whether that policy is the recorded one, up to rounding."""

    @property
    def words(self) -> str:
        """What came of it, without its number.

        >>> ReplayedRound(3, False, 2e-9, 0.01, ELSEWHERE).words
        'largest difference 2e-09; the update moved 0.01 (recorded on another machine or with other versions)'
        """
        if self.equal:
            return f"replay verified, equal bit for bit{f' ({self.why})' if self.why else ''}"
        if self.largest is None:
            return f"not replayed: {self.why}"
        verdict = "replay differs: " if self.why == HERE else ""
        return f"{verdict}largest difference {self.largest:.2g}; the update moved {self.moved:.2g} ({self.why})"

    @property
    def sentence(self) -> str:
        """In words, for a line of its own.

        >>> ReplayedRound(3, True, 0.0, 0.01, log_prob=1e-7).sentence
        'round 3: replay verified, equal bit for bit; log-probabilities differ by 1e-07 at most'
        """
        policy = "" if self.log_prob is None else f"; log-probabilities differ by {self.log_prob:.2g} at most"
        return f"round {self.round}: {self.words}{policy}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; None for a number that is not finite."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


def replay_round(
    run: Run, k: int, report: Callable[[int, int], None] | None = None, read: Callable[[int], Snapshot] | None = None
) -> ReplayedRound:
    """Replay round k from its files, and compare its parameters with the next checkpoint's.

    >>> import engine
    >>> found = replay_round(engine.open_run("sample_runs/FrozenLake-v1"), 3)  # recorded on another machine
    >>> found.largest < 1e-5 < found.moved
    True

    Args:
        run: the run.
        k: a round whose records are there.
        report: told optimizer steps done and in all, before each; raise from it to cancel.
        read: reads the round, where somebody does it who has it already; by default the run.
    """
    try:
        snapshot = (read or run.snapshot)(k)
    except BadInputError as error:  # dropped by now
        return ReplayedRound(k, False, None, None, str(error))
    policy = rebuilt_policy(snapshot)

    def outcome(largest: float | None, moved: float | None, why: str) -> ReplayedRound:
        return ReplayedRound(k, largest == 0, largest, moved, why, policy.largest, policy.near)

    if why := why_not_replayed(run, snapshot):
        return outcome(None, None, why)
    try:
        found = parameters_of(replay(snapshot, on_step=None if report is None else _steps(snapshot, report)).checkpoint)
    except BadInputError as error:
        return outcome(None, None, str(error))
    recorded = parameters_of(run.checkpoint(k + 1))
    largest, moved = farthest(found, recorded), farthest(recorded, snapshot.parameters)
    return outcome(largest, moved, _where(snapshot, largest == 0))


def why_not_replayed(run: Run, snapshot: Snapshot) -> str:
    """Why a round can't be replayed and compared; empty where it can, as far as can be told before."""
    if not run.has_checkpoint(snapshot.round + 1):
        return "the parameters after it were not recorded"
    try:
        check_replayable(snapshot)
        kind_of(snapshot).check_loadable(snapshot)
    except BadInputError as error:
        return str(error)
    return ""


def _where(snapshot: Snapshot, equal: bool) -> str:
    """Where it was recorded, as far as that says something of the outcome."""
    return ELSEWHERE if not recorded_here(snapshot) else "" if equal else HERE


def _steps(snapshot: Snapshot, report: Callable[[int, int], None]) -> Callable[[], None]:
    """Counts optimizer steps."""
    done = count()
    total = len(snapshot.minibatches) * len(snapshot.config.cuts(len(snapshot.buffer)))
    return lambda: report(next(done), total)


def farthest(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> float:
    """The largest difference of a parameter; infinite where it is not finite, and 0 where all are equal, NaN to NaN.

    >>> farthest({"w": np.array([1.0, np.nan])}, {"w": np.array([3.0, np.nan])})
    2.0

    Raises:
        DamagedRunError: they are not the parameters of one policy.
    """
    if {name: tensor.shape for name, tensor in one.items()} != {name: tensor.shape for name, tensor in other.items()}:
        raise DamagedRunError("the checkpoint after the update has other parameters than the one before it")
    return max((_apart(tensor, other[name]) for name, tensor in one.items()), default=0.0)


def _apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    differ = ~((one == other) | (np.isnan(one) & np.isnan(other)))
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.abs(one[differ].astype(np.float64) - other[differ])
    return float(np.nan_to_num(size, nan=math.inf, posinf=math.inf).max(initial=0))


def replay_run(run: Run) -> Iterator[ReplayedRound]:
    """Every round whose records are there, one after the other."""
    for k in run.stored_rounds:
        yield replay_round(run, k)


def kept_replay(run: Run, k: int) -> ReplayedRound | None:
    """What `verified_round` kept of a round by the software and on the machine that are here now; None if it kept nothing."""
    key = _key(run, k)
    table = None if key is None else load_table(run.path, key)
    columns = None if table is None or table.num_rows != 1 else kept_columns(table, _KEPT)
    if columns is None:
        return None
    equal, largest, moved, why, log_prob, same_policy = (column.tolist()[0] for column in columns.values())
    return ReplayedRound(k, equal, largest, moved, why, None if math.isnan(log_prob) else log_prob, same_policy)


def verified_round(
    run: Run, k: int, report: Callable[[int, int], None] | None = None, read: Callable[[int], Snapshot] | None = None
) -> ReplayedRound:
    """`replay_round`, kept in the run's `derived/` where it came to an end, so that it is made once. Args as there."""
    kept = kept_replay(run, k)
    if kept is not None:
        return kept
    found, key = replay_round(run, k, report, read), _key(run, k)
    if key is not None and found.largest is not None:
        values = {**asdict(found), "log_prob": math.nan if found.log_prob is None else found.log_prob}
        table = pa.table({name: pa.array([values[name]], kind) for name, kind in _KEPT.items()})
        save_table(run.path, key, table)
    return found


def _key(run: Run, k: int) -> str | None:
    return update_key(run, k, {"version": REPLAYED_VERSION, "replayed": k})


def update_key(run: Run, k: int, question: Mapping[str, Any]) -> str | None:
    """Name in the cache of something about the update of round k: of the question, both commits, and what replays it here.

    None where nothing can be kept, because what the kind needs is not installed.
    """
    one_thread()
    commits = [info.hash for info in (*run.rounds, *([run.final] if run.final else ())) if info.round in (k, k + 1)]
    try:
        here = kind_named(run.kind).fingerprint()
    except BadInputError:
        return None
    whole = {**question, "commits": commits, "here": here}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

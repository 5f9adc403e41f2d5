"""The update again: from a snapshot of any kind, with some records removed, repaired, re-weighted or reshuffled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.core.checkpoint import Tensors, one_thread
from engine.core.kind import kind_of
from engine.core.objective import UpdateMetrics
from engine.core.policy import Policy, with_gradients
from engine.errors import BadInputError
from engine.store.snapshot import Float32s, Snapshot, check_records
from engine.store.words import counted
from engine.typed import whole

Mode = Literal["mask", "rebatch"]
MODES: tuple[Mode, ...] = ("mask", "rebatch")
DEVICES = ("cpu", "cuda")


def mode_name(mode: object) -> str:
    """A mode that comes from a file, or that it is none; plain text."""
    return str(mode) if mode in MODES else f"unknown mode {mode!r}"


@dataclass(frozen=True)
class Replayed:
    """The outcome of a replayed update."""

    snapshot: Any
    """What was replayed, with its removed records and minibatches."""
    agent: Any
    """At theta(k+1), with the optimizer's state after the update."""
    metrics: UpdateMetrics

    def __repr__(self) -> str:
        return f"Replayed({self.snapshot!r}, {counted(self.metrics.steps, 'optimizer step')})"

    @property
    def checkpoint(self) -> Tensors:
        """`parameter/...` and `optimizer/...` after the update, as copies."""
        return self.agent.tensors()

    @property
    def policy(self) -> Policy:
        """pi_theta(k+1) as a torch module, for targets."""
        return self.agent.policy


@with_gradients
def replay(
    snapshot: Snapshot,
    drop: Sequence[int] | NDArray[Any] | None = None,
    *,
    mode: Mode = "mask",
    order: int = 0,
    repair: Sequence[int] | NDArray[Any] | None = None,
    weights: Sequence[float] | NDArray[Any] | None = None,
    on_step: Callable[[], None] | None = None,
) -> Replayed:
    """Replay the update of a round, by default exactly.

    >>> import engine
    >>> snapshot = engine.open_run("sample_runs/FrozenLake-v1").snapshot(3)
    >>> replayed = engine.replay(snapshot, drop=[17, 40])
    >>> replayed.metrics.steps, int(replayed.snapshot.buffer.kept.sum())
    (320, 2046)

    Args:
        snapshot: round k; records that it marks as not kept stay out.
        drop: records to remove as well.
        mode: `mask` leaves removed records out of their minibatches, the others stay where they were: the result
            differs from the original by the removal alone. `rebatch` draws new permutations of the records that are
            left, as the paper's filtering trains.
        order: 0 replays the recorded permutations (or, with `rebatch`, the first new ones); q > 0 draws the q-th
            other order, the same for every call with the same snapshot, so that results can be averaged over orders.
        repair: records that go on training with their TD error r + gamma V(s') - V(s) in the place of their advantage; what
            the critic is drawn to stays.
        weights: (n,) how often each record counts, 1 by default; see `kind.Agent.update`. A record of weight 0 is
            dropped.
        on_step: called before every optimizer step; raise from it to cancel.

    Returns:
        theta(k+1). With nothing removed and order 0 it is the original bit for bit, on an equal fingerprint.

    Raises:
        BadInputError: a record is out of range, all would be removed, mode or order is unknown, there is not one weight of
            at least 0 a record, the round was recorded without its minibatches, or records are to be repaired whose
            advantages follow from no rewards and values.
    """
    check_replayable(snapshot)
    if repair is not None:
        snapshot = kind_of(snapshot).repaired(snapshot, check_records(repair, len(snapshot.buffer)))
    dropped = np.asarray(() if drop is None else drop)
    given = None if weights is None else check_weights(weights, len(snapshot.buffer))
    if given is not None and not given.all():
        dropped = np.concatenate([dropped, np.flatnonzero(given == 0)]).astype(np.int64)
    snapshot = intervene(snapshot, dropped, mode=mode, order=order)
    one_thread()
    agent = kind_of(snapshot).agent(snapshot)
    metrics = agent.update(snapshot.buffer, snapshot.minibatches, weights=given, on_step=on_step)
    return Replayed(snapshot, agent, metrics)


def check_weights(weights: Sequence[float] | NDArray[Any], n: int) -> Float32s:
    """The weights of n records.

    Raises:
        BadInputError: they are not n numbers of at least 0.
    """
    given = np.asarray(weights, np.float32)
    if given.shape != (n,) or not (np.isfinite(given) & (given >= 0)).all():
        raise BadInputError(f"weights must be {n} finite numbers of at least 0, one a record")
    return given


def intervene(snapshot: Snapshot, drop: Sequence[int] | NDArray[Any], *, mode: Mode = "mask", order: int = 0) -> Any:
    """The snapshot with records removed and minibatches to match; `replay` says what the arguments mean."""
    check_mode(mode)
    if whole(order, "order") < 0:
        raise BadInputError(f"order is {order}; it must be 0 (as recorded) or more")
    if len(drop):
        snapshot = kind_of(snapshot).removed(snapshot, np.asarray(drop))
    rebatch = mode == "rebatch" and len(drop) > 0
    if order == 0 and not rebatch:
        return snapshot
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round, order])
    kept = snapshot.buffer.critic_kept if rebatch else np.ones(len(snapshot.buffer), bool)
    left, gone = np.flatnonzero(kept), np.flatnonzero(~kept)
    permutations = kind_of(snapshot).draw_minibatches(snapshot, rng, left)
    # An epoch names every record (the run format asks for it); those that are gone come last and thin out no minibatch.
    tail = np.tile(gone, (len(permutations), 1))
    return snapshot.changed(minibatches=np.concatenate([permutations, tail], axis=1).astype(np.int32))


def check_replayable(snapshot: Snapshot, device: str = "cpu") -> None:
    """Refuse a round that can't be replayed, or not on this device: `cpu` is exact, `cuda` to rounding.

    Raises:
        BadInputError: it was recorded without its minibatches, or the kind of run has no such device.
    """
    check_device(device)
    kind = kind_of(snapshot)
    if not snapshot.minibatches.size:
        raise BadInputError(
            f"round {snapshot.round} was recorded without its minibatches, so its update can't be replayed; first_order "
            "influence needs none"
        )
    kind.check_replayable(snapshot, device)


def check_device(device: str) -> None:
    """Refuse a device that nothing is replayed on.

    Raises:
        BadInputError: it is one.
    """
    if device not in DEVICES:
        raise BadInputError(f"the device is {device!r}; it must be {' or '.join(DEVICES)}")


def check_mode(mode: str) -> Mode:
    """The mode of that name.

    Raises:
        BadInputError: there is none.
    """
    for known in MODES:
        if mode == known:
            return known
    raise BadInputError(f"unknown mode {mode!r}; it must be mask or rebatch")

"""The values that a run is made of, in memory: rollout buffer and snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.errors import BadInputError
from engine.spaces import Space

Float32s = NDArray[np.float32]


@dataclass(frozen=True)
class RolloutBuffer:
    """B(k): the records of one round as columns of equal length n.

    Record number i = t * n_envs + env is the position in every column.
    """

    env: NDArray[np.int16]
    """(n,) which environment."""
    t: NDArray[np.int32]
    """(n,) step within the round."""
    episode: NDArray[np.int64]
    """(n,) episode number, unique within the run."""
    observation: NDArray[Any]
    """(n, *shape) before the encoder, as the policy received it (normalised, where observations are normalised);
    (n,) int64 for a discrete space."""
    action: NDArray[Any]
    """(n,) int64, or (n, d) float32: the raw Gaussian sample, not clipped."""
    reward: Float32s
    """(n,) raw, without the truncation bootstrap."""
    terminated: NDArray[np.bool_]
    """(n,) the episode ended in a terminal state at this step."""
    truncated: NDArray[np.bool_]
    """(n,) the episode was cut off at this step."""
    value: Float32s
    """(n,) V(s) at theta(k)."""
    log_prob: Float32s
    """(n,) log pi(a|s) at theta(k)."""
    advantage: Float32s
    """(n,) GAE, not normalised."""
    returns: Float32s
    """(n,) advantage + value; the column on disk is called `return`."""
    kept: NDArray[np.bool_]
    """(n,) False where a filter or an intervention dropped the record from the update."""
    critic_kept: NDArray[np.bool_]
    """(n,) as `kept`, but True where the record was dropped from the actor's loss alone and still trains the critic."""

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def record(self) -> NDArray[np.int32]:
        """(n,) record numbers, 0 to n - 1."""
        return np.arange(len(self), dtype=np.int32)


@dataclass(frozen=True)
class Snapshot:
    """Round k as it stood between collect and update: everything that the update needs, and nothing later.

    From a snapshot alone the update theta(k) -> theta(k+1) can be replayed exactly.
    """

    round: int
    config: TrainConfig
    observation_space: Space
    action_space: Space
    buffer: RolloutBuffer
    checkpoint: Mapping[str, NDArray[Any]]
    """Tensor name -> array: `parameter/...`, `optimizer/...`, `rng/...`, `normalizer/...`,
    `environment/...`."""
    minibatches: NDArray[np.int32]
    """(n_epochs, n) one permutation of all records an epoch; minibatch b is columns b*batch_size to
    (b+1)*batch_size - 1."""
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    """Software and hardware that made it; replay is bit-exact only on an equal one."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Round metrics; those of the update are there only once the round is committed."""
    hash: str = ""
    """sha256 of the commit; empty until the round is committed."""
    path: Path | None = None
    """The run's folder; None until the round is committed."""

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """theta(k) by state_dict name."""
        return {
            name.removeprefix("parameter/"): tensor
            for name, tensor in self.checkpoint.items()
            if name.startswith("parameter/")
        }

    def without(self, drop: Any, *, actor_only: bool = False) -> Snapshot:
        """The same snapshot with the records `drop` marked as not kept.

        Args:
            drop: record numbers.
            actor_only: the critic still trains on them.

        Raises:
            BadInputError: a record number is out of range, or no record would be left.
        """
        kept, critic_kept = self.buffer.kept.copy(), self.buffer.critic_kept.copy()
        records = check_records(drop, len(self.buffer))
        kept[records] = False
        if not actor_only:
            critic_kept[records] = False
        if not kept.any():
            raise BadInputError(f"all {len(kept)} records would be removed; keep at least one")
        return self.changed(buffer=replace(self.buffer, kept=kept, critic_kept=critic_kept))

    def gathered(self) -> Snapshot:
        """The same snapshot with every epoch's removed records moved to its end, so that they thin out no minibatch.

        The others stay in the order that was drawn: a permutation of all records, restricted to those that are left.
        """
        gone = ~self.buffer.critic_kept[self.minibatches]
        order = np.argsort(gone, axis=1, kind="stable")
        return self.changed(minibatches=np.take_along_axis(self.minibatches, order, axis=1))

    def changed(self, **changes: Any) -> Snapshot:
        """A copy with other contents. It is no longer the committed round, so it has neither hash nor path."""
        return replace(self, **changes, hash="", path=None)


class AnyBuffer(Protocol):
    """The records of a round, of whatever kind."""

    @property
    def kept(self) -> NDArray[np.bool_]:
        """(n,) False where a record was dropped from the update."""
        ...

    def __len__(self) -> int: ...


class AnySnapshot(Protocol):
    """What the snapshots of control tasks and of language models have in common."""

    @property
    def round(self) -> int:
        """Its number, k."""
        ...

    @property
    def config(self) -> TrainConfig:
        """Settings that all runs have."""
        ...

    @property
    def buffer(self) -> AnyBuffer:
        """B(k)."""
        ...

    @property
    def checkpoint(self) -> Mapping[str, NDArray[Any]]:
        """Tensor name -> array, before the update."""
        ...

    @property
    def minibatches(self) -> NDArray[np.int32]:
        """(n_epochs, n) one permutation of all records an epoch."""
        ...

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Software and hardware that made it."""
        ...

    @property
    def hash(self) -> str:
        """Of the commit; empty until the round is committed."""
        ...

    @property
    def path(self) -> Path | None:
        """The run's folder."""
        ...


def check_records(record: Any, n: int) -> NDArray[np.int64]:
    """Record numbers as a sorted, unique array.

    Raises:
        BadInputError: a number is not an integer or not in 0..n-1.
    """
    numbers = np.asarray(record)
    if numbers.size == 0:
        return np.zeros(0, np.int64)
    if numbers.dtype.kind not in "iu":
        raise BadInputError(f"record numbers must be integers from 0 to {n - 1}")
    outside = numbers[(numbers < 0) | (numbers >= n)]
    if outside.size:
        raise BadInputError(f"record {outside[0]} is out of range; this round has records 0 to {n - 1}")
    return np.unique(numbers.astype(np.int64))

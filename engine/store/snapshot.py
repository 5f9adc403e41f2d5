"""The values that a run is made of, in memory: a round of any kind, as it stood between collect and update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.errors import BadInputError
from engine.store.words import round_of, tally

Float32s = NDArray[np.float32]


class Buffer(Protocol):
    """B(k): the records of one round, of whatever kind. Record number i is the position in every column of length n."""

    @property
    def record(self) -> NDArray[np.int32]:
        """(n,) record numbers, 0 to n - 1."""
        ...

    @property
    def kept(self) -> NDArray[np.bool_]:
        """(n,) False where a filter or an intervention dropped the record from the update."""
        ...

    @property
    def critic_kept(self) -> NDArray[np.bool_]:
        """(n,) as `kept`, but True where the record was dropped from the actor's loss alone and still trains the critic."""
        ...

    def __len__(self) -> int: ...


class Records:
    """What a `Buffer` has that is all columns of length n, and whose records train everything or nothing.

    A kind's buffer is a frozen dataclass that derives from this, `kept` among its columns.
    """

    kept: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def record(self) -> NDArray[np.int32]:
        """(n,) record numbers, 0 to n - 1."""
        return np.arange(len(self), dtype=np.int32)

    @property
    def critic_kept(self) -> NDArray[np.bool_]:
        """(n,) `kept`."""
        return self.kept


@dataclass(frozen=True, kw_only=True, repr=False)
class Snapshot:
    """Round k as it stood between collect and update: everything that the update needs, and nothing later.

    From a snapshot alone the update theta(k) -> theta(k+1) can be replayed exactly. `engine.core.kind.kind_of` says what can
    be done with one.
    """

    kind: ClassVar[str]
    """Name of the kind of run that it is a round of."""
    round: int
    config: TrainConfig
    """Settings that all runs have."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The kind's own settings in plain values, where `run.json` has them so."""
    in_force: Mapping[str, Any] = field(default_factory=dict)
    """What of the settings is this round's own, where a trainer changes them from round to round; plain values."""
    buffer: Any
    """B(k), a `Buffer` of the kind."""
    checkpoint: Mapping[str, NDArray[Any]]
    """Tensor name -> array, before the update: `parameter/...`, `optimizer/...`, `rng/...` and what else the kind has."""
    minibatches: NDArray[np.int32]
    """(n_epochs, n) one permutation of all records an epoch; `config.cuts(n)` says which columns are a minibatch. What is
    after the last one is not taken in that epoch."""
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    """Software and hardware that made it; replay is bit-exact only on an equal one."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Round metrics; those of the update are there only once the round is committed."""
    hash: str = ""
    """sha256 of the commit; empty until the round is committed."""
    path: Path | None = None
    """The run's folder; None where it is in none."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({round_of(self.round, self.path, self.hash)}: {tally(self.buffer.kept)})"

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """theta(k) by state_dict name; of a model with frozen weights only those that are trained."""
        return parameters_of(self.checkpoint)

    def without(self, drop: Any, *, actor_only: bool = False) -> Self:
        """The same snapshot with the records `drop` marked as not kept.

        Args:
            drop: record numbers.
            actor_only: the critic still trains on them, where a kind knows records that do so.

        Raises:
            BadInputError: a record number is out of range, no record would be left, or the actor alone is to go without them.
        """
        if actor_only:
            raise BadInputError(f"a record goes from the whole update in a run of the kind {self.kind}")
        kept = remaining(self.buffer.kept, check_records(drop, len(self.buffer)))
        return self.changed(buffer=replace(self.buffer, kept=kept))

    def gathered(self) -> Self:
        """The same snapshot with every epoch's removed records moved to its end, so that they thin out no minibatch.

        The others stay in the order that was drawn: a permutation of all records, restricted to those that are left.
        """
        gone = ~self.buffer.critic_kept[self.minibatches]
        order = np.argsort(gone, axis=1, kind="stable")
        return self.changed(minibatches=np.take_along_axis(self.minibatches, order, axis=1))

    def changed(self, **changes: Any) -> Self:
        """A copy with other contents. It is no longer the committed round, so it has no hash."""
        return replace(self, **changes, hash="")


def parameters_of(checkpoint: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """`parameter/<name>` of a checkpoint by state_dict name."""
    prefix = "parameter/"
    return {name.removeprefix(prefix): tensor for name, tensor in checkpoint.items() if name.startswith(prefix)}


def remaining(kept: NDArray[np.bool_], removed: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) `kept` without the records `removed`.

    Raises:
        BadInputError: no record would be left.
    """
    left = kept.copy()
    left[removed] = False
    if not left.any():
        raise BadInputError(f"all {len(left)} records would be removed; keep at least one")
    return left


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

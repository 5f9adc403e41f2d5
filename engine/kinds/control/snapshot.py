"""The values that a control task's round is made of, in memory: rollout buffer and snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.environment_spec import EnvironmentSpec
from engine.spaces import Space
from engine.store.snapshot import Float32s, Snapshot, check_records, remaining
from engine.store.words import counted, tally


@dataclass(frozen=True, repr=False)
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
    """(n,) what the update trains on: GAE, not normalised, or where the record is repaired what its repair put there."""
    returns: Float32s
    """(n,) GAE + value, which the critic is drawn to; the column on disk is called `return`."""
    kept: NDArray[np.bool_]
    """(n,) False where a filter or an intervention dropped the record from the update."""
    critic_kept: NDArray[np.bool_]
    """(n,) as `kept`, but True where the record was dropped from the actor's loss alone and still trains the critic."""
    repaired: NDArray[np.bool_]
    """(n,) True where a filter or an intervention put something else in the place of the record's advantage (`core.repairs`)."""

    def __len__(self) -> int:
        return len(self.reward)

    def __repr__(self) -> str:
        return f"RolloutBuffer({tally(self.kept)}, {counted(len(np.unique(self.episode)), 'episode')})"

    @property
    def record(self) -> NDArray[np.int32]:
        """(n,) record numbers, 0 to n - 1."""
        return np.arange(len(self), dtype=np.int32)

    @property
    def estimated(self) -> Float32s:
        """(n,) the advantages by GAE, also of records that were repaired."""
        return np.where(self.repaired, self.returns - self.value, self.advantage)


@dataclass(frozen=True, kw_only=True, repr=False)
class ControlSnapshot(Snapshot):
    """Round k of a control task. Its checkpoint also has `normalizer/...` and `environment/...`."""

    kind = "control"
    observation_space: Space
    action_space: Space
    environment: EnvironmentSpec | None = None
    """What Gymnasium calls the environment; None: it is the catalogue's entry `config.env_id`."""
    buffer: RolloutBuffer

    @property
    def extra(self) -> Mapping[str, NDArray[Any]]:
        """Name -> (n,) of what was recorded beside the records; nothing in a run that was trained here."""
        return {}

    @property
    def shown(self) -> tuple[Space, Any]:
        """Space and (n, ...) observations as people know them, without what the policy remembered beside."""
        return self.observation_space, self.buffer.observation

    @property
    def from_environment(self) -> tuple[Space, Any]:
        """Of that, what the environment gives as its observation."""
        return self.shown

    def without(self, drop: Any, *, actor_only: bool = False) -> Self:
        """The same snapshot with the records `drop` marked as not kept.

        Args:
            drop: record numbers.
            actor_only: the critic still trains on them.

        Raises:
            BadInputError: a record number is out of range, or no record would be left.
        """
        records = check_records(drop, len(self.buffer))
        kept, critic_kept = remaining(self.buffer.kept, records), self.buffer.critic_kept.copy()
        if not actor_only:
            critic_kept[records] = False
        return self.changed(buffer=replace(self.buffer, kept=kept, critic_kept=critic_kept))

    def changed(self, **changes: Any) -> Self:
        """A copy with other contents. It is no longer the committed round, so it has neither hash nor path."""
        return replace(self, **{"path": None, **changes}, hash="")

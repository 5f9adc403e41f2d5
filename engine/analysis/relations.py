"""How the records of a round relate to a behaviour: did they take its action, in a similar state, with success?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.roughness import unit_vectors
from engine.core.targets.of_records import ActionTarget
from engine.kinds.control.snapshot import RolloutBuffer
from engine.spaces import Space

MOST_STATES = 64
"""States of a discrete observation up to which each of them is a group."""
BANDS = {"nearest 10 %": 0.1, "10 to 30 %": 0.3, "30 to 60 %": 0.6, "farthest 40 %": 1.0}
"""Bands of states by similarity to the behaviour's: name -> share of the round's records up to its end."""
ROUNDING = 1e-5
"""Cosine similarities that differ by less are equal: those of a state to itself are not exactly 1."""


@dataclass(frozen=True, eq=False)
class Relations:
    """The records of one round, seen from one state and action."""

    embedding: NDArray[np.float32]
    """(n, h) the records' states as the round's policy sees them."""
    similarity: NDArray[np.float32]
    """(n,) cosine similarity of the record's state to the behaviour's, in that embedding."""
    band: NDArray[np.int64]
    """(n,) which of `BANDS` it falls into. Of equally similar states all are in the nearer band."""
    same_action: NDArray[np.bool_]
    """(n,) took the behaviour's action; of continuous ones, within one standard deviation of the policy (root mean square
    over the components)."""
    positive: NDArray[np.bool_]
    """(n,) advantage above 0."""

    @property
    def similar(self) -> NDArray[np.bool_]:
        """(n,) in a similar state: in the nearest tenth."""
        return self.band == 0


def relations(policy: Any, buffer: RolloutBuffer, target: ActionTarget) -> Relations:
    """How the records of a buffer relate to the one state and action of a target.

    Args:
        policy: theta(k) of the buffer's round.
        buffer: n records.
        target: of one state and action.
    """
    embedding = policy.actor_features(buffer.observation)
    similarity = unit_vectors(embedding) @ unit_vectors(policy.actor_features(target.observation))[0]
    ends = np.quantile(similarity, [1 - share for share in BANDS.values()]) - ROUNDING
    band = (similarity[:, None] < ends[None, :-1]).sum(axis=1)
    action = target.action[0]
    _, deviations = policy.action_parameters(target.observation)
    if deviations is None:
        same = buffer.action == action
    else:
        deviation = deviations[0].numpy()
        same = (((buffer.action - action) / deviation) ** 2).mean(axis=1) <= 1
    return Relations(embedding, similarity, band, same, buffer.advantage > 0)


@dataclass(frozen=True)
class Grouping:
    """A way to divide a round's records into groups."""

    name: str
    labels: tuple[str, ...]

    def of(self, related: Relations, buffer: RolloutBuffer) -> NDArray[np.int64]:
        """(n,) the group of each record, a position in `labels`."""
        match self.name:
            case "action":
                return buffer.action
            case "state":
                return buffer.observation
            case "similarity of the state":
                return related.band
            case "same or other action":
                return (~related.same_action).astype(np.int64)
            case "sign of the advantage":
                return (~related.positive).astype(np.int64)
        return 2 * (~related.same_action).astype(np.int64) + (~related.positive)


def groupings(observation_space: Space, action_space: Space) -> tuple[Grouping, ...]:
    """The ways to group the records of a run; those by action and by state need discrete ones."""
    same = "same" if action_space.kind == "discrete" else "similar"
    found = [
        Grouping(
            "action and advantage",
            tuple(f"{word} action, advantage {sign}" for word in (same, "other") for sign in ("+", "−")),
        ),
        Grouping("same or other action", (f"{same} action", "other action")),
        Grouping("similarity of the state", tuple(BANDS)),
        Grouping("sign of the advantage", ("advantage above 0", "advantage 0 or below")),
    ]
    if action_space.kind == "discrete":
        found.append(Grouping("action", _names(action_space)))
    if observation_space.kind == "discrete" and observation_space.n <= MOST_STATES:
        found.append(Grouping("state", _names(observation_space)))
    return tuple(found)


def _names(space: Space) -> tuple[str, ...]:
    return space.names if len(space.names) == space.n else tuple(str(i) for i in range(space.n))

"""Is the replay itself to be trusted? The null control, and how smoothly the update responds to its records' weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.faithfulness.lds import metasmoothness
from engine.core.replays.replay import replay
from engine.store.read import open_run
from engine.store.snapshot import Snapshot, parameters_of

NULL_TOLERANCE = 0.01
"""How far a replay on another machine may end from the recorded theta(k+1), as a share of the update's length."""
DIRECTIONS, WEIGHT_STEP = 2, 0.1
"""Metasmoothness: random directions u of the records' weights, and the step h along them."""
CONTROL_REPLAYS = 1 + 1 + 2 * DIRECTIONS
"""Replays that the controls of a validation take."""


def null_control(snapshot: Snapshot) -> tuple[bool | None, float | None]:
    """Replay with nothing removed against the recorded theta(k+1).

    Args:
        snapshot: round k.

    Returns:
        Whether parameters and optimizer state are equal bit for bit, and the distance of the parameters as a share of the
        recorded update's length; None and None where the run has no such checkpoint.
    """
    recorded = _next_checkpoint(snapshot)
    if recorded is None:
        return None, None
    replayed = replay(snapshot).checkpoint
    learned = [name for name in recorded if name.startswith(("parameter/", "optimizer/"))]
    exact = set(learned) == set(replayed) and all(
        replayed[name].tobytes() == recorded[name].tobytes() for name in learned
    )
    before, after, again = (
        _flat(parameters_of(tensors)) for tensors in (dict(snapshot.checkpoint), recorded, replayed)
    )
    length = float(np.linalg.norm(after - before))
    distance = float(np.linalg.norm(again - after))
    return exact, distance / length if length > 0 else distance


def smoothness(snapshot: Snapshot, rng: np.random.Generator) -> float:
    """Mean metasmoothness over random directions u in {-1, 1}^n of the records' weights, in the recorded order."""

    def theta(step: float, u: NDArray[np.float64]) -> NDArray[np.float64]:
        return _flat(parameters_of(replay(snapshot, weights=1 + step * u).checkpoint))

    directions = rng.choice([-1.0, 1.0], size=(DIRECTIONS, len(snapshot.buffer)))
    start = theta(0, directions[0])
    return float(np.mean([metasmoothness(start, theta(WEIGHT_STEP, u), theta(2 * WEIGHT_STEP, u)) for u in directions]))


def _next_checkpoint(snapshot: Snapshot) -> dict[str, NDArray[Any]] | None:
    if snapshot.path is None or not snapshot.hash:
        return None
    run = open_run(snapshot.path)
    following = snapshot.round + 1
    return run.checkpoint(following) if run.has_checkpoint(following) else None


def _flat(parameters: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    return np.concatenate([parameters[name].ravel() for name in sorted(parameters)]).astype(np.float64)

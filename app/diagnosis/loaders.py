"""Cached computations about the bottom records. Cached values are shared between sessions: treat them as read-only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.shell.cached import cached
from engine.analysis.concentration import Concentration, concentration_of
from engine.analysis.diagnosis import Diagnosis, about_rollouts, compare
from engine.analysis.embedding import Projection, policy_features, principal_components
from engine.analysis.features import features, rollout_features
from engine.analysis.places import WorldMap, places, world_map
from engine.analysis.rollout_advantages import MonteCarlo, kept_estimates, monte_carlo_seconds
from engine.core.features import Feature
from engine.core.kind import kind_of
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.envs import Place
from engine.errors import BadInputError, EngineError
from engine.jobs.launch import jobs_pool
from engine.kinds.control.snapshot import ControlSnapshot

ROLLOUTS = 32
"""Of each mean that A-bar is made of."""


def load_estimates(snapshot: ControlSnapshot, rollouts: int) -> MonteCarlo | None:
    """The Monte Carlo advantages that are kept by now."""
    return kept_estimates(snapshot, rollouts)


@cached(max_entries=64, show_spinner="timing a few rollouts …")
def rollout_seconds(snapshot: ControlSnapshot, records: NDArray[np.int64], rollouts: int) -> float:
    """How long it would take to estimate A-bar of these records.

    Raises:
        CannotRestoreError: it can't be estimated at all.
    """
    return monte_carlo_seconds(snapshot, records, rollouts, jobs_pool().at_a_time)


@cached(max_entries=16, show_spinner="comparing the bottom records with the rest …")
def load_diagnosis(
    snapshot: Any, target: Target, scores: Scores, fraction: float, estimated: MonteCarlo | None
) -> Diagnosis:
    """The bottom records compared with the rest, with what is known of A-bar.

    Raises:
        BadInputError: the target is about an action that the policy never takes.
    """
    kind_of(snapshot).check_possible(snapshot, target)
    found = _features(snapshot)
    if estimated is None:
        return compare(snapshot, scores, found, fraction)
    notes = about_rollouts(estimated, len(snapshot.buffer))
    return compare(snapshot, scores, [*rollout_features(snapshot, estimated), *found], fraction, estimated, notes)


@cached(max_entries=16, show_spinner="mapping the policy's features …")
def load_projection(snapshot: ControlSnapshot) -> Projection:
    """The policy's features of a round, seen in two dimensions."""
    return principal_components(policy_features(snapshot))


def _of_world(snapshot: ControlSnapshot) -> tuple[object, ...]:
    """What tells worlds apart: the catalogue's by their names, others by their runs."""
    outside = snapshot.environment
    return (snapshot.config.env_id,) if outside is None else (snapshot.config.env_id, repr(outside), snapshot.path)


@cached(max_entries=16, by=_of_world)
def load_world(snapshot: ControlSnapshot) -> WorldMap | None:
    """The map of a round's environment; None where its states do not lie on one, or nothing here says how they do."""
    try:
        return world_map(snapshot)
    except BadInputError:
        return None


@cached(max_entries=16)
def load_placed_world(snapshot: ControlSnapshot) -> WorldMap | None:
    """The map, where it is known of a round's records where on it they were made."""
    world = load_world(snapshot)
    try:
        if world is not None and world.layout.of_state:
            load_places(snapshot)
    except EngineError:
        return None
    return world


@cached(max_entries=8, show_spinner="finding where the records were made …")
def load_places(snapshot: ControlSnapshot) -> list[Place | None]:
    """Where every record of a round with a map was made.

    Raises:
        CannotRestoreError: only states tell, and none can be restored.
    """
    world = load_world(snapshot)
    assert world is not None, "only asked of rounds with a map"
    return places(snapshot, world.layout)


@cached(max_entries=16, show_spinner="computing what is known of the records …")
def _features(snapshot: ControlSnapshot) -> list[Feature]:
    return features(snapshot)


@cached(max_entries=32)
def load_concentration(snapshot: Any, scores: Scores) -> Concentration:
    """Where the influence that lowered the target lies."""
    return concentration_of(snapshot, scores)

"""Cached computations about the bottom records. Cached values are shared between sessions: treat them as read-only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from engine.analysis.advantages import MonteCarlo, estimate_seconds, kept_estimates
from engine.analysis.diagnosis import Diagnosis, about_rollouts, compare
from engine.analysis.embedding import Projection, policy_features, principal_components
from engine.analysis.features import features, rollout_features
from engine.analysis.places import WorldMap, places, world_map
from engine.core.features import Feature
from engine.core.kind import kind_of
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.envs import Place
from engine.errors import BadInputError
from engine.kinds.control.snapshot import ControlSnapshot

ROLLOUTS = 32
"""Of each mean that A-bar is made of."""


def load_estimates(snapshot: ControlSnapshot, rollouts: int) -> MonteCarlo | None:
    """The Monte Carlo advantages that are kept by now."""
    return kept_estimates(snapshot, rollouts)


def rollout_seconds(snapshot: ControlSnapshot, records: NDArray[np.int64], rollouts: int) -> float:
    """How long it would take to estimate A-bar of these records.

    Raises:
        CannotRestoreError: it can't be estimated at all.
    """
    return _seconds(snapshot, records, snapshot.path, snapshot.hash, records.tobytes(), rollouts)


@st.cache_data(max_entries=64, show_spinner="timing a few rollouts …")
def _seconds(
    _snapshot: ControlSnapshot, _records: NDArray[np.int64], path: Path | None, commit: str, which: bytes, rollouts: int
) -> float:
    return estimate_seconds(_snapshot, _records, rollouts)


def load_diagnosis(
    snapshot: Any, target: Target, scores: Scores, fraction: float, estimated: MonteCarlo | None
) -> Diagnosis:
    """The bottom records compared with the rest, with what is known of A-bar.

    Raises:
        BadInputError: the target is about an action that the policy never takes.
    """
    about = json.dumps([scores.target, scores.estimator, scores.orders, fraction], sort_keys=True)
    known = b"" if estimated is None else estimated.record.tobytes() + estimated.advantage.tobytes()
    return _diagnosis(snapshot, target, scores, estimated, snapshot.path, snapshot.hash, about, fraction, known)


@st.cache_resource(max_entries=16, show_spinner="comparing the bottom records with the rest …")
def _diagnosis(
    _snapshot: Any,
    _target: Target,
    _scores: Scores,
    _estimated: MonteCarlo | None,
    path: Path | None,
    commit: str,
    about: str,
    fraction: float,
    known: bytes,
) -> Diagnosis:
    kind_of(_snapshot).check_possible(_snapshot, _target)
    found = _features(_snapshot, path, commit)
    if _estimated is None:
        return compare(_snapshot, _scores, found, fraction)
    notes = about_rollouts(_estimated, len(_snapshot.buffer))
    return compare(_snapshot, _scores, [*rollout_features(_snapshot, _estimated), *found], fraction, _estimated, notes)


def load_projection(snapshot: ControlSnapshot) -> Projection:
    """The policy's features of a round, seen in two dimensions."""
    return _projection(snapshot, snapshot.path, snapshot.hash)


@st.cache_resource(max_entries=16, show_spinner="mapping the policy's features …")
def _projection(_snapshot: ControlSnapshot, path: Path | None, commit: str) -> Projection:
    return principal_components(policy_features(_snapshot))


@st.cache_resource(max_entries=16, show_spinner=False)
def load_world(env_id: str) -> WorldMap | None:
    """The map of an environment; None where its states do not lie on one, or it is not here to say so."""
    try:
        return world_map(env_id)
    except BadInputError:
        return None


def load_places(snapshot: ControlSnapshot) -> list[Place | None]:
    """Where every record of a round was made.

    Raises:
        CannotRestoreError: only states tell, and none can be restored.
    """
    return _places(snapshot, snapshot.path, snapshot.hash)


@st.cache_resource(max_entries=8, show_spinner="finding where the records were made …")
def _places(_snapshot: ControlSnapshot, path: Path | None, commit: str) -> list[Place | None]:
    return places(_snapshot)


@st.cache_resource(max_entries=16, show_spinner="computing what is known of the records …")
def _features(_snapshot: ControlSnapshot, path: Path | None, commit: str) -> list[Feature]:
    return features(_snapshot)

"""Cached computations about the bottom records. Cached values are shared between sessions: treat them as read-only."""

from __future__ import annotations

import json
from pathlib import Path

import streamlit as st

from engine.analysis.advantages import MonteCarlo, kept_estimates
from engine.analysis.diagnosis import Diagnosis, about_rollouts, check_possible, compare
from engine.analysis.features import Feature, features, rollout_features
from engine.attribution.influence import Scores
from engine.attribution.targets import Target
from engine.store.snapshot import Snapshot

ROLLOUTS = 32
"""Of each mean that A-bar is made of."""


def load_estimates(snapshot: Snapshot, rollouts: int) -> MonteCarlo | None:
    """The Monte Carlo advantages that are kept by now."""
    return kept_estimates(snapshot, rollouts)


def load_diagnosis(
    snapshot: Snapshot, target: Target, scores: Scores, fraction: float, estimated: MonteCarlo | None
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
    _snapshot: Snapshot,
    _target: Target,
    _scores: Scores,
    _estimated: MonteCarlo | None,
    path: Path | None,
    commit: str,
    about: str,
    fraction: float,
    known: bytes,
) -> Diagnosis:
    check_possible(_snapshot, _target)
    found = _features(_snapshot, path, commit)
    if _estimated is None:
        return compare(_snapshot, _scores, found, fraction)
    notes = about_rollouts(_estimated, len(_snapshot.buffer))
    return compare(_snapshot, _scores, [*rollout_features(_snapshot, _estimated), *found], fraction, _estimated, notes)


@st.cache_resource(max_entries=16, show_spinner="computing what is known of the records …")
def _features(_snapshot: Snapshot, path: Path | None, commit: str) -> list[Feature]:
    return features(_snapshot)

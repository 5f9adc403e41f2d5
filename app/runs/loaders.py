"""Cached reads of runs beside one another. Cached values are shared between sessions: treat them as read-only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app.shell.cached import cached
from app.shell.filling import Filling
from engine.analysis import policy_difference
from engine.analysis.incidents.detect import name_records, of_metrics
from engine.analysis.incidents.incident import Incidents
from engine.analysis.incidents.not_finite import number
from engine.analysis.incidents_in_records import InRecords
from engine.analysis.policy_difference import Distribution, States
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run


@cached(max_entries=8, show_spinner="looking at the states …")
def shared_states(snapshot: ControlSnapshot) -> States:
    """The states of a round's records, as the environment shows them."""
    return policy_difference.shared_states(snapshot)


@cached(max_entries=32)
def policy_in(run: Run, k: int, states: States) -> Distribution:
    """What the policy of a checkpoint would do in the states."""
    return policy_difference.policy_in(run, k, states)


@cached(max_entries=64)
def difference_over_rounds(first: Run, second: Run, states: States, label: str) -> dict[str, NDArray[Any]]:
    """The mean difference over the states at every common checkpoint: `round`, `kl`, `distance`, `other_action`."""
    total, rows = max(len(policy_difference.common_checkpoints(first, second)), 1), []
    bar = st.progress(0.0, f"{label}: asking the policies, round by round …")
    for k, found in policy_difference.over_rounds(first, second, states):
        rows.append((k, found.kl.mean(), found.distance.mean(), found.other_action.mean()))
        bar.progress(len(rows) / total, f"{label}: {len(rows)} of {total} rounds")
    bar.empty()
    columns = np.array(rows, float).reshape(-1, 4).T
    return dict(zip(("round", "kl", "distance", "other_action"), columns, strict=True))


@cached(max_entries=32)
def metrics_over_rounds(run: Run) -> dict[str, NDArray[np.float64]]:
    """Name -> (rounds,) of every metric that is a number in some round; NaN where it is none."""
    rounds = [info.metrics for info in run.rounds]
    names = dict.fromkeys(name for metrics in rounds for name in metrics)
    columns = {name: _numbers([metrics.get(name) for metrics in rounds]) for name in names}
    return {name: values for name, values in columns.items() if np.isfinite(values).any()}


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    """(n,) of n metrics, NaN where one is no number."""
    if {*map(type, values)} <= {float, int}:  # as most are; one by one they take ten times as long
        column = np.array(values, np.float64)
        return np.where(np.isfinite(column), column, np.nan)
    return np.array([number(value) for value in values])


@cached(max_entries=1024)
def incidents_of_metrics(run: Run) -> Incidents:
    """What the metrics of the commits say alone, for many runs: no record is read."""
    return of_metrics(run)


@cached(max_entries=32)
def named_incidents(run: Run) -> Incidents:
    """The same, with the records that hold what is no number."""
    return name_records(run, incidents_of_metrics(run))


@cached(max_entries=32)
def in_records(run: Run, replays: bool) -> Filling[InRecords]:
    """What a run's records say of its rounds, by what is in memory or in the run's cache; with every update replayed or not."""
    return Filling(InRecords(run, replays=replays))

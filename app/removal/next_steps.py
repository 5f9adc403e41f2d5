"""What to try after a removal or a repair: buttons that take the same records along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from app.removal import start
from app.shell import kinds, loaders, selection, state
from app.shell.glossary import meaning
from app.shell.text import escape
from engine.core.estimators.registry import ESTIMATORS, PRIOR
from engine.core.targets.question import TargetName
from engine.intervention.duration import intervention_seconds
from engine.intervention.plan import Intervention, unrepairable
from engine.intervention.target_and_return import Attempt, to_try
from engine.jobs.interventions import InterventionJob
from engine.jobs.launch import jobs_pool
from engine.store.read import Run
from engine.store.snapshot import Snapshot
from engine.terminal import duration

FURTHER_ROUNDS, SEEDS = 5, 3
MOST_ORDERS = 64


InAddress = Callable[[TargetName], dict[str, str]]
"""What the address of a run's records says of a target."""


def draw(run: Run, job: InterventionJob, result: Mapping[str, Any], in_address: InAddress) -> None:
    """A button for each thing that is worth trying, and can be; the last one repairs what was removed, or removes it.

    Args:
        run: the run.
        job: its finished removal.
        result: what came of it.
        in_address: for the way back to the records, with the target that was asked about.
    """
    if not run.has_records(job.plan.round):
        return
    attempts = to_try(result, job.metadata.get("summed_influence"))
    snapshot = loaders.load_snapshot(run, job.plan.round)
    buttons: dict[Attempt, Callable[[Run, Snapshot, InterventionJob], None]] = {
        "another estimator": partial(_another_estimator, in_address),
        "train on": _train_on,
        "more orders": _more_orders,
    }
    with st.container(key="to_try", horizontal=True, vertical_alignment="center"):
        for attempt in attempts:
            buttons[attempt](run, snapshot, job)
        _instead(run, snapshot, job)


def _instead(run: Run, snapshot: Snapshot, job: InterventionJob) -> None:
    """The same records, repaired where they were removed, and the other way round."""
    if job.plan.repair:
        plan = replace(job.plan, repair=False)
        _start(run, snapshot, job, plan, "Remove them instead", "try_removal", meaning("remove"))
    elif not unrepairable(snapshot, job.plan.removed):
        plan = replace(job.plan, repair=True, mode="mask")
        _start(run, snapshot, job, plan, "Repair them instead", "try_repair", meaning("repair"))


def _another_estimator(in_address: InAddress, run: Run, snapshot: Snapshot, job: InterventionJob) -> None:
    """Back to the records, which are selected, with the scores of an estimator that was not used."""
    used, known = job.metadata.get("estimator"), list(ESTIMATORS.of(snapshot))
    other = next((name for name in (PRIOR, *known) if name != used and name in known), None)
    if other is None or not kinds.shown(run).pages:
        return
    if st.button(
        f"Try {other}",
        key="try_estimator",
        icon=":material/sort:",
        help=f"Shows the records by {other}; those of this intervention are selected there. {meaning(other)}",
    ):
        selection.choose(run, snapshot, job.plan.removed)
        view = kinds.records_page(run).view
        where = {"run": str(state.get("run")), "round": str(snapshot.round), "estimator": other}
        st.switch_page(f"views/{view}.py", query_params=where | in_address(job.plan.measured))


def _train_on(run: Run, snapshot: Snapshot, job: InterventionJob) -> None:
    """The same intervention, and some rounds of training after it."""
    if job.plan.continue_rounds or kinds.cannot_train(run):
        return
    plan = replace(job.plan, continue_rounds=FURTHER_ROUNDS, seeds=min(SEEDS, job.plan.episodes))
    _start(
        run, snapshot, job, plan, f"Train on {FURTHER_ROUNDS} rounds", "try_training",
        f"The same intervention, then {FURTHER_ROUNDS} rounds with data collected anew, each arm with {plan.seeds} seeds: what "
        "one update did may be gone, or grow.",
    )  # fmt: skip


def _more_orders(run: Run, snapshot: Snapshot, job: InterventionJob) -> None:
    """The same intervention in twice as many minibatch orders."""
    orders = 2 * job.plan.orders
    if orders > MOST_ORDERS:
        return
    plan = replace(job.plan, orders=orders, episodes=2 * job.plan.episodes)
    _start(
        run, snapshot, job, plan, f"Replay {orders} minibatch orders", "try_orders",
        "The same intervention with twice as many replays and episodes: the intervals get narrower.",
    )  # fmt: skip


def _start(
    run: Run, snapshot: Snapshot, job: InterventionJob, plan: Intervention, label: str, key: str, why: str
) -> None:
    seconds = intervention_seconds(snapshot, plan, jobs_pool())
    time = "" if seconds is None else f" (about {duration(seconds)})"
    if not st.button(f"{label}{time}", key=key, icon=":material/play_arrow:", help=escape(why)):
        return
    begun = start.start_otherwise(run, job, plan)
    page_of = "compare" if begun.state == "done" else "interventions"
    st.switch_page(f"views/{page_of}.py", query_params={"run": str(state.get("run")), "iv": begun.id})

"""Predicted beside actual: what the scores said that a removal would do to the target, and what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from app import loaders, state
from app.charts import prediction as charts
from app.computing import ORDERS, averaged
from app.sequences import removed
from app.text import escape
from engine.core.estimators import DIRECTION_ONLY, ESTIMATORS
from engine.core.influence import read_influence
from engine.core.kind import named_target
from engine.core.scores import Scores
from engine.intervention.plan import Intervention, random_removal
from engine.jobs.interventions import InterventionJob
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run
from engine.store.snapshot import Float32s


def draw(run: Run, job: InterventionJob, result: dict[str, Any]) -> None:
    """The section of the Compare page."""
    st.subheader("Predicted and actual", anchor=False)
    plan = job.plan
    target = plan.measured.sentence(run.manifest.action_space.value_names)
    kept = _kept(run, plan)
    in_unit = {one.label: one.changes for name, one in kept.items() if name not in DIRECTION_ONLY}
    summed, estimator = job.about.get("summed_influence"), str(job.about.get("estimator"))
    if isinstance(summed, float) and estimator not in DIRECTION_ONLY and estimator not in kept:
        in_unit[estimator] = {"counterfactual": -summed}
    st.plotly_chart(
        charts.predicted_beside_actual(result["target"], in_unit, state.is_dark()),
        key="predicted_beside_actual",
        alt=f"Change of the {target}: what replaying without the chosen records and without random ones did, and what "
        + (f"{', '.join(in_unit)} predicted" if in_unit else "no estimator with the target's unit predicted"),
    )
    for line in _directions(job, result, kept):
        st.markdown(line)
    if not in_unit:
        st.markdown(
            "No estimator in the target's unit was computed for this round and target. Choose tracin_adam"
            + (" on Sequences" if run.is_language else " or replay_gradient on Diagnose")
            + ", and its prediction is shown here."
        )
    st.caption(
        f"Change of the {escape(target)} by the removal. Actual: mean over the minibatch orders with its 95 % interval"
        + (", and every order as a small mark. " if "order_values" in result["target"] else ". ")
        + "Predicted: the removed records' summed influence with the sign turned; for the random removal the mean over its "
        "draws. It is a first-order prediction, as if each record went alone"
        + (
            "; in mode rebatch the rest is reshuffled as well, which no score foresees."
            if plan.mode == "rebatch"
            else "."
        )
    )


@dataclass(frozen=True)
class Kept:
    """What one estimator's scores, which are kept, say of a removal."""

    label: str
    influence: Float32s
    """(n,) of the round's records."""
    changes: dict[str, float]
    """Predicted change of the target without the chosen records, and without random ones on average over their draws."""


def _kept(run: Run, plan: Intervention) -> dict[str, Kept]:
    """The scores that are kept for this round and target, each estimator's with the most minibatch orders."""
    of_round = plan.measured.of_round
    if not {plan.round, plan.round if of_round is None else of_round} <= set(run.stored_rounds):
        return {}
    if run.is_language:
        said = removed.kept_scores(run, plan)
        return {name: Kept(name, scores.influence, removed.changes(run, scores, plan)) for name, scores in said.items()}
    snapshot = loaders.load_snapshot(run, plan.round)
    target = named_target(snapshot, plan.measured)
    found = {}
    for name in ESTIMATORS:
        for orders in reversed(ORDERS):
            scores = read_influence(snapshot, target, name, orders=orders)
            if scores is not None:
                label = f"{name}, {averaged(orders)}" if orders > 1 else name
                found[name] = Kept(label, scores.influence, changes(scores, plan, snapshot))
                break
    return found


def changes(scores: Scores, plan: Intervention, snapshot: ControlSnapshot) -> dict[str, float]:
    """Predicted change of the target without the chosen records, and without random ones on average over their draws."""
    influence = scores.influence.astype(np.float64)
    draws = [influence[random_removal(snapshot, plan, order)].sum() for order in range(plan.orders)]
    return {"counterfactual": -float(influence[list(plan.removed)].sum()), "control": -float(np.mean(draws))}


def _directions(job: InterventionJob, result: dict[str, Any], kept: dict[str, Kept]) -> list[str]:
    """What the estimators without the target's unit said: up or down, and whether it came so."""
    summed = {
        name: float(kept[name].influence[list(job.plan.removed)].sum()) for name in kept if name in DIRECTION_ONLY
    }
    said, estimator = job.about.get("summed_influence"), str(job.about.get("estimator"))
    if isinstance(said, float) and estimator in DIRECTION_ONLY:
        summed[estimator] = said
    actual = result["target"]["counterfactual"]
    clear = actual["low"] is not None and (actual["low"] > 0 or actual["high"] < 0)
    lines = []
    for name, value in summed.items():
        direction = "rise" if value < 0 else "fall" if value > 0 else "stay"
        came = "the orders do not say which way it went"
        if clear:
            came = f"it {'rose' if actual['mean'] > 0 else 'fell'}"
        lines.append(
            f"**{escape(name)}** says the direction, not the size: the removed records' influence sums to {value:+.3g}, so "
            f"without them the target should **{direction}**; {came}."
        )
    return lines

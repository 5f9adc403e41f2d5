"""Predicted beside actual: what the scores said that a removal would do to the target, and what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from app.charts import prediction as charts
from app.scores.background import ORDERS, averaged
from app.shell import kinds, loaders, state
from app.shell.chart import draw_chart
from app.shell.glossary import explained
from app.shell.text import escape
from engine.core.estimators.registry import ESTIMATORS
from engine.core.influence import read_influence
from engine.core.scores import Scores
from engine.intervention.plan import Intervention, draws
from engine.jobs.interventions import InterventionJob
from engine.store.read import Run
from engine.store.snapshot import Float32s, Snapshot


def draw(run: Run, job: InterventionJob, result: Mapping[str, Any]) -> None:
    """The section of the page Outcome."""
    plan = job.plan
    target = plan.measured.sentence(run.manifest.action_space.value_names)
    if plan.repair:
        _draw_repair(target, result)
        return
    st.subheader(
        "Predicted and actual",
        anchor=False,
        help=explained("predicted change", "actual change", "influence", "estimator"),
    )
    kept = _kept(run, plan)
    in_unit = {one.label: one.changes for name, one in kept.items() if in_unit_of_target(name)}
    summed, estimator = job.metadata.get("summed_influence"), str(job.metadata.get("estimator"))
    if isinstance(summed, float) and in_unit_of_target(estimator) and estimator not in kept:
        in_unit[estimator] = {"counterfactual": -summed}
    draw_chart(
        charts.predicted_beside_actual(result["target"], in_unit, state.is_dark()),
        key="predicted_beside_actual",
        alt=f"Change of the {target}: what replaying without the chosen records and without random ones did, and what "
        + (f"{', '.join(in_unit)} predicted" if in_unit else "no estimator with the target's unit predicted"),
    )
    for line in _directions(job, result, kept):
        st.markdown(line)
    if not in_unit:
        st.markdown(
            "No estimator in the target's unit was computed for this round and target. Choose tracin_adam or replay_gradient"
            + (f" on {kinds.records_page(run).title}" if kinds.shown(run).pages else "")
            + ", and its prediction is shown here."
        )
    st.caption(
        f"Change of the {escape(target)} caused by the removal. Actual: mean over the minibatch orders with its 95 % interval"
        + (", and every order as a small mark. " if "order_values" in result["target"] else ". ")
        + "Predicted: the removed records' summed influence with the sign turned; for the random removal the mean over its "
        "draws. This is a first-order prediction, as if each record were removed alone"
        + (
            "; in the mode rebatch the rest is reshuffled as well, which no score foresees."
            if plan.mode == "rebatch"
            else "."
        )
    )


def _draw_repair(target: str, result: Mapping[str, Any]) -> None:
    """What became of the target, which nothing foretold."""
    st.subheader("The target", anchor=False)
    draw_chart(
        charts.predicted_beside_actual(result["target"], {}, state.is_dark(), repair=True),
        key="predicted_beside_actual",
        alt=f"Change of the {target} with the chosen records repaired, and with as many random records repaired",
    )
    st.caption(
        f"Change of the {escape(target)}: mean over the minibatch orders with its 95 % interval. Influence says what becomes "
        "of it without a record; of other advantages it says nothing, so nothing is predicted."
    )


def in_unit_of_target(estimator: str) -> bool:
    """Whether an estimator predicts the size of the change; a name from a file that is not known here is believed to."""
    return estimator not in ESTIMATORS or ESTIMATORS[estimator].in_unit_of_target


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
    snapshot = loaders.load_snapshot(run, plan.round)
    target = loaders.load_target(snapshot, plan.measured)
    found = {}
    for name in ESTIMATORS:
        for orders in reversed(ORDERS):
            scores = read_influence(snapshot, target, name, orders=orders)
            if scores is not None:
                label = f"{name}, {averaged(orders)}" if orders > 1 else name
                found[name] = Kept(label, scores.influence, changes(scores, plan, snapshot))
                break
    return found


def changes(scores: Scores, plan: Intervention, snapshot: Snapshot) -> dict[str, float]:
    """Predicted change of the target without the chosen records, and without random ones on average over their draws."""
    influence = scores.influence.astype(np.float64)
    random = [influence[draws(snapshot, plan, order)["control"]].sum() for order in range(plan.orders)]
    return {"counterfactual": -float(influence[list(plan.removed)].sum()), "control": -float(np.mean(random))}


def _directions(job: InterventionJob, result: Mapping[str, Any], kept: dict[str, Kept]) -> list[str]:
    """What the estimators without the target's unit said: up or down, and whether it came so."""
    summed = {
        name: float(kept[name].influence[list(job.plan.removed)].sum()) for name in kept if not in_unit_of_target(name)
    }
    said, estimator = job.metadata.get("summed_influence"), str(job.metadata.get("estimator"))
    if isinstance(said, float) and not in_unit_of_target(estimator):
        summed[estimator] = said
    actual = result["target"]["counterfactual"]
    clear = actual["low"] is not None and (actual["low"] > 0 or actual["high"] < 0)
    lines = []
    for name, value in summed.items():
        direction = "rise" if value < 0 else "fall" if value > 0 else "stay"
        came = "the minibatch orders do not agree which way it went"
        if clear:
            came = f"it {'rose' if actual['mean'] > 0 else 'fell'}"
        lines.append(
            f"**{escape(name)}** predicts the direction, not the size: the removed records' influence sums to {value:+.3g}, so "
            f"without them the target should **{direction}**; {came}."
        )
    return lines

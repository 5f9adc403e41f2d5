"""Diagnose: which records helped and hurt this round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app import computing, inspector, jobs, loaders, page, state, targets, trust, two_estimators
from app.diagnosis import section
from app.text import escape
from engine.attribution.estimators import top_and_bottom
from engine.attribution.influence import Scores
from engine.attribution.naming import TargetName
from engine.errors import EngineError
from engine.intervention.retrain import Intervention
from engine.intervention.workspace import change_basket, read_basket
from engine.store.read import Run
from engine.store.snapshot import Snapshot

TABLE_ROWS = 20
DRAG = {"lasso": "lasso", "box": "select", "click": "pan"}
AXES = ("step in round", "advantage")


def estimator_controls(run: Run, snapshot: Snapshot, target: TargetName) -> str:
    """The estimator, and a button that computes anew."""
    options = trust.offered(snapshot)
    state.choose("estimator", options, options[0])
    estimator = str(st.selectbox("Estimator", options, key="estimator", width=170))
    st.button(
        "Compute",
        key="compute",
        icon=":material/refresh:",
        help="Influence is computed when you open a round and then kept. This computes it anew.",
        on_click=compute_again,
        args=(run, snapshot, target, estimator),
    )
    return estimator


def chart_controls(fields: Sequence[str]) -> tuple[str, str, str]:
    """The fields across and up, and what dragging does."""
    x, y = axis("x", "Across", AXES[0], fields), axis("y", "Up", AXES[1], fields)
    state.choose("tool", list(DRAG), "lasso")
    tool = st.segmented_control(
        "Select with", list(DRAG), key="tool", required=True,
        help="lasso and box: drag around records. click: click single records; dragging moves the picture.",
    )  # fmt: skip
    return x, y, DRAG[tool or "lasso"]


def axis(key: str, label: str, default: str, fields: Sequence[str]) -> str:
    """Choose the field of one axis."""
    options = [default, *(name for name in fields if name not in ("record", default))]
    state.choose(key, options, default)
    return str(st.selectbox(label, options, key=key, width=150))


@page.careful
def compute_again(run: Run, snapshot: Snapshot, target: TargetName, estimator: str) -> None:
    """Compute what is shown anew (a callback)."""
    chosen = loaders.load_target(snapshot, target)
    computing.compute_again(run, snapshot, chosen, estimator, int(state.get("average_orders", 1)))


def records_chart(fields: dict[str, NDArray[Any]], scores: Scores, x: str, y: str, drag: str) -> list[int]:
    """The scatter; returns the selected records."""
    figure = loaders.scatter_figure(
        scores.snapshot_hash, str(scores.target), scores.estimator, scores.orders, x, y, state.is_dark(), drag, fields
    )
    key = "records_scatter"
    st.plotly_chart(
        figure,
        key=key,
        on_select=lambda: inspect_first(state.selected_records(key)),
        selection_mode=("points", "box", "lasso"),
        config={"displaylogo": False},
        alt=f"Scatter of {len(fields['record'])} records, {y} against {x}, coloured by influence: "
        "blue triangles up raised the target, orange triangles down lowered it",
    )
    return state.selected_records(key)


def ranking(
    key: str,
    title: str,
    help: str,
    records: NDArray[np.int64],
    fields: dict[str, NDArray[Any]],
    action_names: list[str],
) -> list[int]:
    """A table of top or bottom records; returns the selected ones."""
    names = ["record", "influence", "action", "advantage", "reward", "value", "episode", "step in episode"]
    table = pd.DataFrame({name: fields[name][records] for name in names})
    if action_names:
        table["action"] = [action_names[int(i)] for i in table["action"]]
    several = any(name.startswith("action: ") for name in fields)
    st.subheader(title, anchor=False, help=help)
    if len(table) == 0:
        st.info("No record of this round is on this side.", icon=":material/info:")
        return []
    st.dataframe(
        table,
        key=key,
        hide_index=True,
        height=38 * 9,
        on_select=lambda: inspect_first([int(records[row]) for row in state.selected_rows(key)]),
        selection_mode="multi-row",
        column_config={
            "record": st.column_config.NumberColumn(width=56),
            "influence": st.column_config.NumberColumn(format="%+.3g", width=70),
            "action": st.column_config.Column("|action|" if several else None, width=84),
            "advantage": st.column_config.NumberColumn(format="%.3f", width=76),
            "reward": st.column_config.NumberColumn(format="%.3f", width=64),
            "value": st.column_config.NumberColumn(format="%.2f", width=56),
            "episode": st.column_config.NumberColumn(width=62),
            "step in episode": st.column_config.NumberColumn("step", help="step in the episode", width=46),
        },
        alt=f"Table: {title}",
    )
    return [int(records[row]) for row in state.selected_rows(key) if row < len(records)]


def inspect_first(records: list[int]) -> None:
    """Show a just selected record in the inspector (a callback)."""
    if records:
        state.put({"inspect": records[-1]})
        targets.follow(records)


@page.careful
def put_in(run: Run, round: int, records: list[int]) -> None:
    """Add records to the basket on disk (a callback)."""
    change_basket(run, round, add=records)


@page.careful
def take_out(run: Run, round: int, records: list[int] | None) -> None:
    """Take records, or all, out of the basket on disk (a callback)."""
    change_basket(run, round, remove=records)
    state.next_generation("basket_table")


def basket_bar(run: Run, snapshot: Snapshot, scores: Scores, selected: list[int], target: TargetName) -> None:
    """What is chosen for removal, always in sight."""
    kept = [i for i in read_basket(run, snapshot.round) if i < len(snapshot.buffer)]
    new = sorted(set(selected) - set(kept))
    with st.bottom, st.container(key="basket", horizontal=True, vertical_alignment="center"):
        total = float(scores.influence[kept].sum()) if kept else 0.0
        st.markdown(
            f"**Basket of round {snapshot.round}: {len(kept)} record{'' if len(kept) == 1 else 's'}**"
            + (f", summed influence {total:+.3g}" if kept else "")
        )
        st.button(
            f"Add {len(new)} selected" if new else "Add selected",
            key="add_to_basket",
            icon=":material/add_shopping_cart:",
            disabled=not new,
            help="Select records in the chart or in the tables first." if not new else None,
            on_click=put_in,
            args=(run, snapshot.round, new),
        )
        st.button(
            "Ask about selected",
            key="ask_about_selected",
            icon=":material/help:",
            disabled=not selected,
            help="Which records made the agent do what it does in the selected ones? Their actions become the target.",
            on_click=targets.ask_about,
            args=(sorted(set(selected)),),
        )
        with st.popover("Edit", icon=":material/edit:", key="edit_basket"):
            edit_basket(run, snapshot, scores, kept)
        st.button(
            "Clear",
            key="clear_basket",
            icon=":material/remove_shopping_cart:",
            disabled=not kept,
            on_click=take_out,
            args=(run, snapshot.round, None),
        )
        st.button(
            "Retrain without them …",
            key="retrain",
            type="primary",
            icon=":material/replay:",
            on_click=state.put,
            args=({"retrain_open": True},),
        )
    if state.get("retrain_open"):
        retrain_dialog(run, snapshot, scores, kept, target)


def edit_basket(run: Run, snapshot: Snapshot, scores: Scores, kept: list[int]) -> None:
    """Add the bottom records by the hundred, or take single ones out."""
    share = st.slider("Worst share of the records with negative influence", 5, 100, 50, 5, format="%d%%", key="share")
    count = int((share or 50) / 100 * (scores.influence < 0).sum())
    bottom: list[int] = np.argsort(scores.influence, kind="stable")[:count].tolist()
    st.button(
        f"Put these {len(bottom)} records in",
        key="add_bottom",
        on_click=put_in,
        args=(run, snapshot.round, bottom),
        disabled=not bottom,
    )
    if kept:
        key = state.generation("basket_table")
        kept = sorted(kept, key=lambda record: float(scores.influence[record]))
        table = pd.DataFrame({"record": kept, "influence": scores.influence[kept]})
        st.dataframe(table, key=key, hide_index=True, height=240, on_select="rerun", selection_mode="multi-row")
        out = {kept[row] for row in state.selected_rows(key) if row < len(kept)}
        st.button(
            f"Take {len(out)} selected out",
            key="take_out",
            disabled=not out,
            on_click=take_out,
            args=(run, snapshot.round, sorted(out)),
        )


@st.dialog("Retrain without the basket", width="large", on_dismiss=lambda: state.put({"retrain_open": False}))
def retrain_dialog(run: Run, snapshot: Snapshot, scores: Scores, records: list[int], target: TargetName) -> None:
    """How to retrain; starts the job."""
    if not records:
        st.info("The basket is empty: select records in the chart or in a table and add them first.")
        return
    if not snapshot.minibatches.size:
        st.info("This round was recorded without its minibatches, so its update can't be replayed without records.")
        return
    st.markdown(
        f"The update of round {snapshot.round} is replayed without **{len(records)}** of {len(snapshot.buffer)} "
        "records, and compared on the same evaluation episodes with the original and with the removal of as many random "
        "records."
    )
    left, right = st.columns(2)
    mode = left.segmented_control(
        "Minibatches", ["mask", "rebatch"], default="mask", required=True, key="mode",
        help="mask: the same minibatches with the removed records left out. rebatch: new minibatches of those left.",
    )  # fmt: skip
    orders = left.number_input(
        "Minibatch orders", 2, 64, 8, key="orders", help="Replays per arm: a single one is mostly order noise."
    )
    episodes = right.number_input(
        "Evaluation episodes per arm", 2, 2048, 64, key="episodes", help="Rounded up to a multiple of the orders."
    )
    further = right.number_input(
        "Rounds to train on", 0, 200, 0, key="continue_rounds", help="As a branch run, with data collected anew."
    )
    seeds = left.number_input(
        "Seeds to train on with", 1, 32, 1, key="seeds", disabled=not further,
        help="Every arm is trained on that often, each time with data collected anew; at least 2 for an interval.",
    )  # fmt: skip
    if st.button("Start", key="retrain_confirm", type="primary", icon=":material/play_arrow:"):
        try:
            plan = Intervention(
                round=snapshot.round,
                removed=tuple(records),
                mode="rebatch" if mode == "rebatch" else "mask",
                orders=int(orders),
                episodes=int(episodes),
                continue_rounds=int(further),
                seeds=int(seeds) if further else 1,
                **target.plain(),
            )
            job = jobs.start(run, snapshot, plan, scores)
        except (EngineError, OSError) as error:
            st.error(escape(error), icon=":material/error:")
            return
        state.put({"retrain_open": False})
        st.switch_page("views/interventions.py", query_params={"run": str(state.get("run")), "iv": job.id})


def diagnose() -> None:
    """The page."""
    _, run = page.current_run()
    snapshot = loaders.load_snapshot(run, page.current_round(run))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = targets.target_controls(run, snapshot)
        estimator = estimator_controls(run, snapshot, name)
        orders = computing.orders_control(snapshot, estimator)
        x, y, drag = chart_controls(list(loaders.load_fields(snapshot)))
    asked = loaders.load_target(snapshot, name)
    page.without_minibatches(snapshot)
    scores = computing.scores(run, snapshot, asked, estimator, orders)
    if scores is None:
        st.stop()
    fields = {**loaders.load_fields(snapshot), "influence": scores.influence}
    what = name.sentence(run.manifest.action_space.names)
    source = page.provenance(run, snapshot, f"{estimator}, {what}", computing.provenance(snapshot, orders))
    trust.draw(run, snapshot, asked, estimator, source)
    chart, side = st.columns([3, 2], gap="medium")
    with chart:
        selected = records_chart(fields, scores, x, y, drag)
        two_estimators.draw(run, snapshot, asked, scores, trust.offered(snapshot))
    top, bottom = top_and_bottom(scores.influence, TABLE_ROWS)
    names = page.action_names(run) if run.manifest.action_space.kind == "discrete" else []
    state.forget_rows(("top_records", "bottom_records"), f"{scores.snapshot_hash} {scores.target} {estimator} {orders}")
    left, right = st.columns(2, gap="medium")
    with left:
        selected += ranking("top_records", "Top records", "raised the target most", top, fields, names)
    with right:
        selected += ranking("bottom_records", "Bottom records", "lowered the target most", bottom, fields, names)
    selected += section.draw(run, snapshot, asked, scores, source, inspect_first)
    basket_bar(run, snapshot, scores, selected, name)
    with side:
        inspector.draw(run, snapshot, scores, fields, int(bottom[0] if len(bottom) else 0))


diagnose()

"""The basket: the records that are chosen for removal, and the dialog that retrains without them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import jobs, page, selection, state, targets, undo
from app.text import escape
from engine.attribution.grouping import sum_of
from engine.attribution.influence import Scores
from engine.attribution.naming import TargetName
from engine.errors import EngineError
from engine.intervention.record_sets import change_basket, read_basket
from engine.intervention.retrain import Intervention
from engine.store.read import Run
from engine.store.snapshot import Snapshot


@page.careful
def put_in(run: Run, round: int, records: list[int]) -> None:
    """Add records to the basket on disk (a callback)."""
    change_basket(run, round, add=records)
    targets.basket_changed()


@page.careful
def take_out(run: Run, round: int, records: list[int] | None) -> None:
    """Take records, or all, out of the basket on disk (a callback)."""
    change_basket(run, round, remove=records)
    state.next_generation("basket_table")
    targets.basket_changed()


def records(run: Run, snapshot: Snapshot) -> list[int]:
    """The records in the basket."""
    return [i for i in read_basket(run, snapshot.round) if i < len(snapshot.buffer)]


def draw(run: Run, snapshot: Snapshot, scores: Scores, target: TargetName) -> None:
    """The bar at the bottom of the page: what is chosen for removal, always in sight."""
    kept, selected = records(run, snapshot), selection.current(run, snapshot).tolist()
    new = sorted(set(selected) - set(kept))
    with st.bottom, st.container(key="basket", horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**Basket of round {snapshot.round}: {len(kept)} record{'' if len(kept) == 1 else 's'}**"
            + (f", summed influence {sum_of(scores.influence, kept):+.3g}" if kept else "")
        )
        st.button(
            f"Add {len(new)} selected" if new else "Add selected",
            key="add_to_basket",
            icon=":material/add_shopping_cart:",
            shortcut="B",
            disabled=not new,
            help="Put the selected records into the basket." if new else "Select records in a chart or a table first.",
            on_click=put_in,
            args=(run, snapshot.round, new),
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
        undo.draw(run, snapshot)
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

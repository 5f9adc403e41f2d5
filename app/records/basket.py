"""The basket: the records that are chosen for removal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app.records import undo
from app.records.scatter import KEY as SCATTER
from app.scores import target_controls
from app.shell import downloads, page, selection, state
from app.shell.text import escape
from engine.core.estimators.sums import sum_of
from engine.core.targets.question import Question
from engine.intervention.origin import Origin, Way
from engine.intervention.record_sets import change_basket, set_aside
from engine.store.read import Run
from engine.store.snapshot import Float32s, Snapshot


@page.careful
def put_in(run: Run, round: int, records: list[int], origin: Origin) -> None:
    """Add records to the basket on disk, with where they came from (a callback)."""
    change_basket(run, round, add=records, origin=origin)
    target_controls.basket_changed()


@page.careful
def take_out(run: Run, round: int, records: list[int] | None) -> None:
    """Take records, or all, out of the basket on disk (a callback)."""
    change_basket(run, round, remove=records)
    target_controls.basket_changed()


def records(run: Run, snapshot: Snapshot) -> list[int]:
    """The records in the basket."""
    return [i for i in selection.kept(run, snapshot.round)[0].basket if i < len(snapshot.buffer)]


WORST = 50
"""Percent of the records with negative influence that one click puts in."""


def draw(
    run: Run,
    snapshot: Snapshot,
    influence: Float32s | None,
    retrain: Callable[[list[int]], None],
    asked: Question | None = None,
) -> None:
    """The bar at the bottom of the page: what is chosen for removal, always in sight.

    Args:
        run: the run.
        snapshot: its round.
        influence: (n,) of its records; None: not known.
        retrain: draws the dialog that retrains without these records.
        asked: what the influence is of; None: not known.
    """
    problem = selection.kept(run, snapshot.round)[1]
    if problem:
        _damaged(run, snapshot, problem)
        return
    selection.follow(run, snapshot)
    kept, selected = records(run, snapshot), selection.current(run, snapshot).tolist()
    new = sorted(set(selected) - set(kept))
    with st.bottom, st.container(key="basket", horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(
            f"**Basket of round {snapshot.round}: {len(kept)} record{'' if len(kept) == 1 else 's'}**", width="content"
        )
        st.button(
            f"Add {len(new)} selected" if new else "Add selected",
            key="add_to_basket",
            icon=":material/add_shopping_cart:",
            shortcut="B",
            disabled=not new,
            help="Put the selected records into the basket." if new else "Select records in a chart or a table first.",
            on_click=put_in,
            args=(run, snapshot.round, new, Origin.shown(asked, _how_selected())),
        )
        if influence is not None:
            _worst_half(run, snapshot, influence, kept, asked)
        with st.popover("", icon=":material/edit:", key="edit_basket", help="Look into the basket, and change it."):
            edit_basket(run, snapshot, influence, kept, asked)
        st.button(
            "",
            key="clear_basket",
            icon=":material/remove_shopping_cart:",
            disabled=not kept,
            help="Empty the basket.",
            on_click=take_out,
            args=(run, snapshot.round, None),
        )
        undo.draw(run, snapshot)
        st.button(
            "Retrain without them …",
            key="retrain",
            type="primary" if kept else "secondary",
            icon=":material/replay:",
            disabled=not kept,
            help="Replay this round's update without the records in the basket, or with them repaired, and see what "
            "becomes of the policy."
            if kept
            else "The basket is empty: add the selected records, or put in the worst half.",
            on_click=state.put,
            args=({"retrain_open": True},),
        )
    if state.get("retrain_open"):
        retrain(kept)


def _how_selected() -> Way:
    """How the selection was made, where that is known."""
    ways: dict[Any, Way] = {"lasso": "lasso", "box": "box", "click": "click"}
    return ways.get(state.get("tool"), "hand") if selection.source() == SCATTER else "hand"


def _worst_half(run: Run, snapshot: Snapshot, influence: Float32s, kept: list[int], asked: Question | None) -> None:
    """A button that puts in the half of the negative records that lowered the target most."""
    worst = bottom(influence, WORST)
    new = sorted(set(worst) - set(kept))
    st.button(
        "Put in the worst half",
        key="worst_half",
        icon=":material/vertical_align_bottom:",
        disabled=not new,
        help=f"Puts the {len(worst)} records that lowered the target most, half of all that lowered it, into the basket of round "
        f"{snapshot.round}."
        if new
        else "They are all in the basket already."
        if worst
        else "No record lowered the target.",
        on_click=put_in,
        args=(run, snapshot.round, new, Origin.shown(asked, "worst", share=WORST / 100)),
    )


def bottom(influence: Float32s, percent: float) -> list[int]:
    """The records that lowered the target most: this share of all that lowered it.

    >>> bottom(np.array([-1, 3, -5, 2], np.float32), 50)
    [2]
    """
    count = int(percent / 100 * (influence < 0).sum())
    found: list[int] = np.argsort(influence, kind="stable")[:count].tolist()
    return found


def _damaged(run: Run, snapshot: Snapshot, problem: str) -> None:
    """What the bar says in the place of a basket that can't be read."""
    with st.bottom, st.container(key="basket", horizontal=True, vertical_alignment="center"):
        st.error(f"{escape(problem)}. Nothing is written over it.", icon=":material/error:")
        st.button(
            "Set it aside and begin anew",
            key="set_aside",
            icon=":material/inventory_2:",
            help="The file gets another name beside it; basket, groups and selection of this round begin empty.",
            on_click=_set_aside,
            args=(run, snapshot.round),
        )


@page.careful
def _set_aside(run: Run, round: int) -> None:
    """Keep the damaged file under another name (a callback)."""
    name = set_aside(run, round)
    st.toast(f"The damaged file is kept as {escape(name)}.", icon=":material/inventory_2:")


def edit_basket(
    run: Run, snapshot: Snapshot, influence: Float32s | None, kept: list[int], asked: Question | None
) -> None:
    """Add the bottom records by the hundred, take single ones out, or take the list along."""
    if influence is not None:
        _add_bottom(run, snapshot, influence, asked)
    if not kept:
        return
    if influence is not None:
        st.markdown(f"The influence of the {len(kept)} records in it sums to **{sum_of(influence, kept):+.3g}**.")
    table = pd.DataFrame({"record": kept})
    if influence is not None:
        kept = sorted(kept, key=lambda record: float(influence[record]))
        table = pd.DataFrame({"record": kept, "influence": influence[kept]})
    state.follow_rows("basket_table", [(snapshot.hash, record) for record in kept])
    st.dataframe(table, key="basket_table", hide_index=True, height=240, on_select="rerun", selection_mode="multi-row")
    out = {record for _, record in state.ticked("basket_table")}
    with st.container(horizontal=True):
        st.button(
            f"Take {len(out)} selected out",
            key="take_out",
            disabled=not out,
            on_click=take_out,
            args=(run, snapshot.round, sorted(out)),
        )
        st.download_button(
            "Drop list",
            lambda: drop_list(kept),
            downloads.safe_name(f"{run.name}-round-{snapshot.round}-drop.txt"),
            "text/plain",
            key="drop_list",
            on_click="ignore",
            icon=":material/download:",
            help="The record numbers as text, for `python -m engine retrain --drop-file`.",
        )


def drop_list(records: Iterable[int]) -> str:
    """The numbers, one a line: what `retrain --drop-file` reads."""
    return "".join(f"{record}\n" for record in sorted(records))


def _add_bottom(run: Run, snapshot: Snapshot, influence: Float32s, asked: Question | None) -> None:
    share = st.slider(
        "Worst share of the records with negative influence", 5, 100, WORST, 5, format="%d%%", key="share"
    )
    worst = bottom(influence, share or WORST)
    st.button(
        f"Put these {len(worst)} records into the basket",
        key="add_bottom",
        on_click=put_in,
        args=(run, snapshot.round, worst, Origin.shown(asked, "worst", share=(share or WORST) / 100)),
        disabled=not worst,
    )

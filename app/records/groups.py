"""Named groups of a round's records: keep the selection or the basket under a name, and take it up again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from app.scores import target_controls
from app.shell import page, selection, state
from app.shell.text import escape, signed_format
from engine.core.estimators.sums import sum_of
from engine.core.scores import Scores
from engine.intervention.origin import Origin
from engine.intervention.record_sets import LONGEST_NAME, change_basket, delete_group, read_sets, save_group
from engine.store.read import Run
from engine.store.snapshot import Snapshot

SELECTED, CHOSEN = "the selection", "the basket"
Ask = Callable[[list[int]], None]
"""Makes what these records did the target (in a callback)."""
_NAME, _OF = "group_name", "group_of"


def draw(run: Run, snapshot: Snapshot, scores: Scores | None, ask: Ask | None) -> None:
    """The popover with the groups and what can be done with them.

    Args:
        run: the run.
        snapshot: its round.
        scores: influence of its records; None: not known.
        ask: makes what records did the target (in a callback); None: no target is about several records.
    """
    sets, problem = selection.kept(run, snapshot.round)
    if problem:  # the basket's bar says it
        return
    groups = {name: [i for i in records if i < len(snapshot.buffer)] for name, records in sets.groups.items()}
    label = f"Groups ({len(groups)})" if groups else "Groups"
    with st.popover(label, icon=":material/label:", key="groups"):
        if groups:
            _table(run, snapshot, scores, groups, ask)
        else:
            st.markdown(f"No group in round {snapshot.round} yet: give the selection or the basket a name to keep it.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.segmented_control("Keep", [SELECTED, CHOSEN], default=SELECTED, required=True, key=_OF)
            st.text_input("Under the name", key=_NAME, max_chars=LONGEST_NAME, width=200)
            there = bool(sets.basket if state.get(_OF) == CHOSEN else len(selection.current(run, snapshot)))
            st.button(
                "Keep",
                key="save_group",
                icon=":material/save:",
                disabled=not there,
                help=None if there else "There are no records in it.",
                on_click=_save,
                args=(run, snapshot),
            )


def _table(run: Run, snapshot: Snapshot, scores: Scores | None, groups: dict[str, list[int]], ask: Ask | None) -> None:
    parts = (
        {} if scores is None else {"summed influence": scores.influence, **{str(t): p for t, p in scores.terms.items()}}
    )
    rows: list[dict[str, Any]] = [
        {
            "group": name,
            "records": len(records),
            **{part: sum_of(values, records) for part, values in parts.items()},
        }
        for name, records in groups.items()
    ]
    state.follow_rows("groups_table", [(snapshot.hash, name) for name in groups])
    st.dataframe(
        pd.DataFrame(rows),
        key="groups_table",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            name: st.column_config.NumberColumn(format=signed_format([row["summed influence"] for row in rows]))
            for name in parts
        },
        alt="Table of the named groups",
    )
    picked = [name for _, name in state.ticked("groups_table")]
    if not picked:
        st.caption("Tick a group to use it.")
        return
    name, records = picked[0], groups[picked[0]]
    st.markdown(f"**{escape(name)}**")
    with st.container(horizontal=True):
        st.button(
            "Select", key="select_group", icon=":material/select_all:", on_click=_select, args=(run, snapshot, records)
        )
        st.button(
            "Add to basket",
            key="group_to_basket",
            icon=":material/add_shopping_cart:",
            on_click=_put_in,
            args=(run, snapshot, name, records),
        )
        if ask is not None:
            st.button(
                "Ask about them",
                key="ask_about_group",
                icon=":material/help:",
                help="Their actions become the target.",
                on_click=ask,
                args=(records,),
            )
        st.button("Delete", key="delete_group", icon=":material/delete:", on_click=_delete, args=(run, snapshot, name))


@page.careful
def _save(run: Run, snapshot: Snapshot) -> None:
    sets = read_sets(run, snapshot.round)
    records = sets.basket if state.get(_OF) == CHOSEN else selection.current(run, snapshot).tolist()
    save_group(run, snapshot.round, str(state.get(_NAME, "")), records)
    state.put({_NAME: ""})


def _select(run: Run, snapshot: Snapshot, records: list[int]) -> None:
    selection.choose(run, snapshot, records)


@page.careful
def _put_in(run: Run, snapshot: Snapshot, name: str, records: list[int]) -> None:
    change_basket(run, snapshot.round, add=records, origin=Origin(way="group", group=name))
    target_controls.basket_changed()


@page.careful
def _delete(run: Run, snapshot: Snapshot, name: str) -> None:
    delete_group(run, snapshot.round, name)

"""The list of sequences: search, sort and pages on the server, so that only what is seen travels to the browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st
from numpy.typing import NDArray

from app.sequences import loaders
from app.shell import state
from app.shell.glossary import meaning
from app.shell.sequence_columns import EVERY, RowQuery

PAGE_ROWS = 100
LIST_PIXELS = 35 * 9 + 20
CELL_CHARACTERS = 1_000
"""Of a text in the list; the whole text is below the list."""
_WIDTHS = {"prompt": 180, "response": 250}
_HELP = {
    "advantage": "of the response's last token",
    "KL": "to the reference model: log π − log π_ref, summed over the response",
    "length": "tokens of the response",
    "truncated": meaning("truncated"),
    "reward": "a part of the reward, as its model or function gave it",
    "kept": meaning("kept"),
    "repaired": meaning("repair"),
    "influence": "on the target: above 0 raised it, below 0 lowered it; empty: no signal",
    "group": "sequences with the same prompt",
    "extra": "written down beside the rewards, and no part of them",
}


@dataclass(frozen=True)
class Listed:
    """What is listed."""

    table: pa.Table
    scope: str
    """Which sequences they are: choices about others are forgotten."""
    identity: str
    """Which table it is, for caches: also where the influence comes from."""
    basket: tuple[int, ...] = ()


def controls(listed: Listed) -> RowQuery:
    """Search, narrowing and order."""
    names = [name for name in listed.table.column_names if name not in ("prompt", "response")]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.choose_text("sequence_search", "")
        words = st.text_input(
            "Search", key="sequence_search", placeholder="part of a prompt or of a response", width=320
        )
        options = loaders.load_offered(listed.table, listed.identity, listed.basket)
        state.choose("only", options, EVERY)
        only = str(st.selectbox("Which", options, key="only", width=190))
        first = "influence" if "influence" in names else "record"
        state.choose("sort", names, first, scope=first)  # once there is influence, it is what to sort by
        sort = str(st.selectbox("Sort by", names, key="sort", width=190))
        state.choose("order", ["lowest first", "highest first"], "lowest first")
        order = st.segmented_control("Order", ["lowest first", "highest first"], key="order", required=True)
    return RowQuery(" ".join((words or "").split()), only, sort, order == "highest first")


def choose(listed: Listed, rows: NDArray[np.int64]) -> int:
    """Decide which record is looked at, at first the first in the list."""
    first = int(rows[0]) if len(rows) else 0
    return int(state.choose("record", range(listed.table.num_rows), first, scope=listed.scope, always=True))


def draw(
    listed: Listed,
    rows: NDArray[np.int64],
    ticked: Sequence[int],
    tick: Callable[[NDArray[np.int64], list[int]], None],
    *,
    several: bool,
) -> None:
    """A page of the list, with its ticks.

    Args:
        listed: the sequences.
        rows: positions of those that are asked for, in order.
        ticked: records that have a tick.
        tick: told the records of the page and those of them that have a tick now (in a callback).
        several: whether several may have one.
    """
    total, pages = listed.table.num_rows, max(1, -(-len(rows) // PAGE_ROWS))
    state.choose("list_page", range(1, pages + 1), 1)
    with st.container(horizontal=True, vertical_alignment="center"):
        found = f"**{len(rows):,}** of {total:,} sequences" if len(rows) < total else f"**{total:,}** sequences"
        st.markdown(found)
        if pages > 1:
            _pager(pages)
        st.caption("Tick a row to see its response. *Sort by* orders all pages, a column heading only this one.")
    page = int(state.get("list_page", 1))
    here = rows[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    if len(here) == 0:
        st.info("No sequence fits: search for something else, or list all.", icon=":material/info:")
        return
    shown = _cut(listed.table.take(pa.array(here)))
    state.follow_rows("sequences_table", here.tolist(), set(ticked))
    st.dataframe(
        shown,
        key="sequences_table",
        hide_index=True,
        height=LIST_PIXELS if len(here) > 8 else "content",
        on_select=lambda: tick(here, state.ticked("sequences_table")),
        selection_mode="multi-row" if several else "single-row",
        column_config={name: _column(name, shown.schema.field(name).type) for name in shown.column_names},
        alt=f"Table of the sequences, page {page} of {pages}",
    )


def _cut(rows: pa.Table) -> pa.Table:
    """The rows with the beginnings of their texts: a hundred long ones are more than a browser takes."""
    for i, field in enumerate(rows.schema):
        if pa.types.is_large_string(field.type):
            column = rows.column(i)
            short = pc.utf8_slice_codeunits(column, 0, CELL_CHARACTERS)
            cut = pc.greater(pc.utf8_length(column), CELL_CHARACTERS)
            marked = pc.binary_join_element_wise(
                short, pa.scalar("…", pa.large_string()), pa.scalar("", pa.large_string())
            )
            rows = rows.set_column(i, field, pc.if_else(cut, marked, short))
    return rows


def _pager(pages: int) -> None:
    options = range(1, pages + 1)
    st.button(
        "", icon=":material/chevron_left:", key="page_back", help="Previous page", type="tertiary",
        on_click=state.step, args=("list_page", options, -1),
    )  # fmt: skip
    st.number_input("Page", 1, pages, step=1, key="list_page", width=120, label_visibility="collapsed")
    st.markdown(f"of {pages:,}")
    st.button(
        "", icon=":material/chevron_right:", key="page_on", help="Next page", type="tertiary",
        on_click=state.step, args=("list_page", options, 1),
    )  # fmt: skip


def _column(name: str, kind: pa.DataType) -> Any:
    help = _HELP.get(name) or _HELP.get(name.partition("/")[0])
    if name in _WIDTHS:
        return st.column_config.TextColumn(width=_WIDTHS[name])
    if pa.types.is_floating(kind):
        return st.column_config.NumberColumn(
            format="%+.3g" if name == "influence" else "%.3g", help=help, width=max(78, 8 * len(name))
        )
    return st.column_config.Column(help=help, width=74 if name == "truncated" else 62)


def neighbour(rows: NDArray[np.int64], record: int, by: int) -> int:
    """The record before or after this one in the list; the first one if it is not in the list."""
    at = np.flatnonzero(rows == record)
    return int(rows[min(max(int(at[0]) + by, 0), len(rows) - 1)] if len(at) else rows[0])

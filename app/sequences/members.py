"""The responses to one prompt side by side."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import streamlit as st

from app.sequences.listing import Listed
from app.shell import state
from app.shell.text import escape

ACROSS = 4
MOST = 32
"""Members that are drawn."""


def draw(listed: Listed, record: int) -> None:
    """A card a member, in the order of their rewards; the one that is looked at has a mark."""
    table = listed.table
    groups = table.column("group").to_numpy()
    found = np.flatnonzero(groups == groups[record])
    if len(found) < 2:
        return
    by = next((name for name in ("reward", "advantage") if name in table.column_names), "record")
    order = np.argsort(-np.nan_to_num(table.column(by).take(pa.array(found)).to_numpy()), kind="stable")
    st.subheader(f"Responses to this prompt: {len(found)}", anchor=False)
    st.caption(f"Highest {by} first. A group's advantages are relative to its mean reward.")
    rows = table.take(pa.array(found[order][:MOST])).to_pylist()
    for begin in range(0, len(rows), ACROSS):
        for place, row in zip(st.columns(ACROSS), rows[begin : begin + ACROSS], strict=False):
            with place, st.container(border=True, height="stretch", key=f"member_{row['record']}"):
                _card(row, row["record"] == record)
    if len(found) > MOST:
        st.caption(f"The first {MOST} of {len(found)}.")


def _card(row: dict[str, object], chosen: bool) -> None:
    st.button(
        f"Record {row['record']}" + (" (shown above)" if chosen else ""),
        key=f"open_{row['record']}",
        type="tertiary",
        icon=":material/visibility:",
        disabled=chosen,
        on_click=state.put,
        args=({"record": row["record"]},),
    )
    parts = [f"{name} {row[name]:+.3g}" for name in ("reward", "advantage") if row.get(name) is not None]
    if "influence" in row:
        value = row["influence"]
        mark = "" if not value else "▲\u00a0" if float(str(value)) > 0 else "▼\u00a0"
        parts.append("influence: no signal" if value is None else f"{mark}influence\u00a0{value:+.3g}")
    st.caption(" · ".join(parts) + (" · dropped" if row.get("kept") is False else ""))
    st.markdown(escape(row["response"]) or "*empty*")

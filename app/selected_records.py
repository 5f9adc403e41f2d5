"""The selected records against the rest of the round, in charts whose marks select."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app import selection, state
from app.charts import selection as charts
from engine.store.read import Run
from engine.store.snapshot import Snapshot

OVER = ("step in round", "step in episode", "episode")


def draw(run: Run, snapshot: Snapshot, fields: dict[str, NDArray[Any]], action_names: Sequence[str]) -> None:
    """The section.

    Args:
        run: the run.
        snapshot: its round.
        fields: the columns of its records, `influence` among them.
        action_names: of the discrete actions; none of a continuous one.
    """
    influence, chosen = fields["influence"], selection.mask(run, snapshot)
    _bar(run, snapshot, influence, chosen)
    first, second, third = st.columns(3, gap="medium")
    with first:
        st.caption("Influence: drag across bars to select their records.")
        at = charts.bin_of(influence, charts.influence_bins(influence))
        st.plotly_chart(
            charts.influence_histogram(influence, chosen, state.is_dark()),
            key="influence_histogram",
            on_select=selection.picker(run, snapshot, "influence_histogram", lambda i: np.flatnonzero(at == i)),
            selection_mode=("points", "box"),
            config={"displayModeBar": False},
            alt="Histogram of the influence of all records and of the selected ones",
        )
    with second:
        state.choose("over", list(OVER), OVER[0])
        over = str(st.selectbox("Summed influence over", list(OVER), key="over", label_visibility="collapsed"))
        places = charts.bin_of(fields[over], charts.value_bins(fields[over]))
        st.plotly_chart(
            charts.influence_over(over, fields[over], influence, chosen, state.is_dark()),
            key="influence_over",
            on_select=selection.picker(run, snapshot, "influence_over", lambda i: np.flatnonzero(places == i)),
            selection_mode=("points", "box"),
            config={"displayModeBar": False},
            alt=f"Bars of the summed influence of all records and of the selected ones over the {over}",
        )
    with third:
        st.caption("What they are: click a bar to select its records.")
        names, groups = _kinds(fields, action_names)
        st.plotly_chart(
            charts.composition(names, groups, chosen, state.is_dark()),
            key="composition",
            on_select=selection.picker(run, snapshot, "composition", lambda i: np.flatnonzero(groups[i])),
            selection_mode="points",
            config={"displayModeBar": False},
            alt="Bars of the share of the selected records, and of the rest, with each action and sign of the advantage",
        )


def _bar(run: Run, snapshot: Snapshot, influence: NDArray[np.float32], chosen: NDArray[np.bool_]) -> None:
    """What is selected and what it sums to, and a button that selects nothing."""
    with st.container(key="selection", horizontal=True, vertical_alignment="center"):
        if not chosen.any():
            st.markdown("**Selection:** none. Drag around records in a chart, or tick them in a table.")
            return
        total, of_all = (float(influence[side].sum(dtype=np.float64)) for side in (chosen, chosen | True))
        st.markdown(
            f"**Selection: {int(chosen.sum())} of {len(chosen)} records**, summed influence {total:+.3g} of {of_all:+.3g}"
        )
        st.button(
            "Clear selection",
            key="clear_selection",
            icon=":material/deselect:",
            type="tertiary",
            on_click=selection.choose,
            args=(run, snapshot, ()),
        )


def _kinds(fields: dict[str, NDArray[Any]], action_names: Sequence[str]) -> tuple[list[str], list[NDArray[np.bool_]]]:
    """Names of what a record can be, and which records are so."""
    kinds = {f"action {name}": fields["action"] == i for i, name in enumerate(action_names)}
    kinds |= {"advantage > 0": fields["advantage"] > 0, "advantage < 0": fields["advantage"] < 0}
    if not fields["kept"].all():
        kinds["dropped by the filter"] = ~fields["kept"]
    return list(kinds), list(kinds.values())

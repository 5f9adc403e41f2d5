"""The selected records against the rest of the round, in charts whose marks select."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app.charts import selection as charts
from app.records import selection_bar
from app.scores import by_term_and_layer, target_controls
from app.shell import selection, state
from app.shell.chart import draw_chart
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

HOW = "Drag around records in a chart, or tick them in a table."
OVER = ("step in round", "step in episode", "episode")


def draw(
    run: Run,
    snapshot: ControlSnapshot,
    target: Target,
    scores: Scores,
    fields: dict[str, NDArray[Any]],
    action_names: Sequence[str],
    word: str,
) -> None:
    """The section.

    Args:
        run: the run.
        snapshot: its round.
        target: what the scores are about.
        scores: influence of its records.
        fields: the columns of its records, `influence` among them.
        action_names: of the discrete actions; none of a continuous one.
        word: why the influence must not look sure; empty where it may.
    """
    influence, chosen = fields["influence"], selection.mask(run, snapshot)
    records = np.flatnonzero(chosen).tolist()
    with selection_bar.draw(run, snapshot, scores, HOW, target_controls.ask_about):
        state.choose("over", list(OVER), OVER[0])
        over = str(st.selectbox("Over", list(OVER), key="over", width=150, label_visibility="collapsed"))
    first, second, third = st.columns(3, gap="medium")
    with first:
        st.caption("Records by influence; drag across bars to select.")
        at = charts.bin_of(influence, charts.influence_bins(influence))
        draw_chart(
            charts.influence_histogram(influence, chosen, state.is_dark(), bool(word)),
            key="influence_histogram",
            on_select=selection.picker(run, snapshot, "influence_histogram", lambda i: np.flatnonzero(at == i)),
            selection_mode=("points", "box"),
            config={"displayModeBar": False},
            alt="Histogram of the influence of all records and of the selected ones",
        )
    with second:
        st.caption(f"Influence by {over}; drag across bars to select.")
        places = charts.bin_of(fields[over], charts.value_bins(fields[over]))
        draw_chart(
            charts.influence_over(over, fields[over], influence, chosen, state.is_dark(), bool(word)),
            key="influence_over",
            on_select=selection.picker(run, snapshot, "influence_over", lambda i: np.flatnonzero(places == i)),
            selection_mode=("points", "box"),
            config={"displayModeBar": False},
            alt=f"Bars of the summed influence of all records and of the selected ones over the {over}",
        )
    with third:
        st.caption("Records by kind; click a bar to select.")
        names, groups = _kinds(fields, action_names)
        draw_chart(
            charts.composition(names, groups, chosen, state.is_dark()),
            key="composition",
            on_select=selection.picker(run, snapshot, "composition", lambda i: np.flatnonzero(groups[i])),
            selection_mode="points",
            config={"displayModeBar": False},
            alt="Bars of the share of the selected records, and of the rest, with each action and sign of the advantage",
        )
    by_term_and_layer.draw(run, snapshot, target, scores, records)


def _kinds(fields: dict[str, NDArray[Any]], action_names: Sequence[str]) -> tuple[list[str], list[NDArray[np.bool_]]]:
    """Names of what a record can be, and which records are so."""
    kinds = {f"action {name.removeprefix('action ')}": fields["action"] == i for i, name in enumerate(action_names)}
    kinds |= {"advantage > 0": fields["advantage"] > 0, "advantage < 0": fields["advantage"] < 0}
    if not fields["kept"].all():
        kinds["dropped by the filter"] = ~fields["kept"]
    if "repaired" in fields:
        kinds["repaired"] = fields["repaired"]
    return list(kinds), list(kinds.values())

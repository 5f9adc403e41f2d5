"""Where were the bottom records made? On the map of the world, or on a map of what the policy makes of states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.charts import places as charts
from app.charts import records as record_charts
from app.diagnosis import loaders
from app.diagnosis.marks import OnPick, picker
from app.records import scatter
from app.shell import page, state
from app.shell.chart import draw_chart
from app.shell.text import escape
from engine.analysis.diagnosis import Diagnosis
from engine.analysis.places import Group, WorldMap, group_by_place, group_records
from engine.core.scores import Scores
from engine.kinds.control.fields import observation_components
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

BOTTOM, LOWERED, ALL = "the bottom", "all that lowered it", "all"
CELLS, FEATURES = "its world", "the policy's features"
ANY = "all"


def draw(run: Run, snapshot: ControlSnapshot, found: Diagnosis, source: str, on_pick: OnPick) -> None:
    """The tab.

    Args:
        run: the run.
        snapshot: its round.
        found: which records are the bottom, and what is known of all.
        source: where the scores come from.
        on_pick: told what was clicked.
    """
    world = loaders.load_world(snapshot) if snapshot.action_space.kind == "discrete" else None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        views = [FEATURES] if world is None else [CELLS, FEATURES]
        state.choose("map", views, views[0])
        if len(views) > 1:
            st.segmented_control("Map of", views, key="map", required=True)
        state.choose("map_records", [BOTTOM, LOWERED, ALL], BOTTOM if world else ALL)
        which = st.selectbox("Records", [BOTTOM, LOWERED, ALL], key="map_records", width=170)
        influence = found.scores.influence
        records = {BOTTOM: found.bottom, LOWERED: np.flatnonzero(influence < 0)}.get(
            str(which), np.arange(len(influence))
        )
    if world is not None and state.get("map") == CELLS:
        _cells(run, snapshot, world, found, records, source, on_pick)
        return
    _features(snapshot, found, records, source, on_pick)


def _cells(
    run: Run,
    snapshot: ControlSnapshot,
    world: WorldMap,
    found: Diagnosis,
    records: NDArray[Any],
    source: str,
    on_pick: OnPick,
) -> None:
    columns: dict[str, NDArray[Any]] = {
        "influence": found.scores.influence,
        "advantage": snapshot.buffer.advantage,
    }
    if found.estimated is not None:
        columns["A-bar"] = found.columns["A-bar"]
    actions, action = page.action_names(run), ANY
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.choose("map_colour", list(columns), "advantage")
        label = str(st.selectbox("Coloured by mean", list(columns), key="map_colour", width=170))
        if world.layout.has_headings:
            state.choose("map_action", [ANY, *actions], ANY)
            action = str(st.selectbox("Action", [ANY, *actions], key="map_action", width=170))
    where = loaders.load_places(snapshot)
    groups = group_records(where, snapshot.buffer.action, records)
    if world.layout.has_headings:
        groups = group_by_place(groups) if action == ANY else [g for g in groups if g.action == actions.index(action)]
    values = [group.mean(columns[label].astype(np.float64)) for group in groups]

    def records_of(mark: int) -> list[int]:
        return worst_last(groups[mark].records, found.scores) if mark < len(groups) else []

    chart, table = st.columns([3, 2], gap="medium")
    with chart:
        draw_chart(
            charts.cells(world, groups, values, label, actions, state.is_dark()),
            key="cells",
            on_select=picker("cells", records_of, on_pick),
            selection_mode="points",
            config={"displayModeBar": False},
            alt=f"Map of the world: an arrow for every state and action of {len(records)} records, blue and + where their "
            f"mean {label} is positive, orange and − where it is negative",
        )
    with table:
        _table(groups, values, label, actions)
    lost = sum(where[record] is None for record in records.tolist())
    said = f" {lost} of them can't be shown: their state could not be restored." if lost else ""
    arrow = "where the agent looks" if world.layout.has_headings else "where the action goes"
    st.caption(
        f"{len(records) - lost} records by state and action.{said} An arrow points {arrow}; its size says how many records, its "
        f"colour and sign their mean {label}. Click an arrow for its records. {escape(source)}"
    )


def _table(groups: list[Group], values: list[float], label: str, actions: list[str]) -> None:
    order = sorted(range(len(groups)), key=lambda i: -len(groups[i].records))
    looking = ("right", "down", "left", "up")
    rows = [
        {
            "row": groups[i].place.row,
            "column": groups[i].place.column,
            **({} if groups[i].place.heading is None else {"looking": looking[int(groups[i].place.heading or 0)]}),
            "action": ANY if groups[i].action < 0 else actions[groups[i].action],
            "records": len(groups[i].records),
            label: values[i],
        }
        for i in order
    ]
    st.dataframe(
        pd.DataFrame(rows),
        key="cells_table",
        hide_index=True,
        height=440,
        column_config={label: st.column_config.NumberColumn(f"mean {label}", format="%+.3g")},
        alt="The same as a table: state, action, number of records and their mean",
    )


def _features(snapshot: ControlSnapshot, found: Diagnosis, records: NDArray[Any], source: str, on_pick: OnPick) -> None:
    projection = loaders.load_projection(snapshot)
    axes = {f"component {j + 1} of the policy": column for j, column in enumerate(projection.coordinates.T)}
    axes |= {name: np.asarray(column) for name, column in observation_components(snapshot).items()}
    names = list(axes)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.choose("map_x", names, names[0])
        x = str(st.selectbox("Across", names, key="map_x", width=230))
        state.choose("map_y", names, names[1])
        y = str(st.selectbox("Up", names, key="map_y", width=230))
    shown = {name: column[records] for name, column in axes.items()}
    shown |= {"record": records, "influence": found.scores.influence[records]}

    def pick() -> None:
        if picked := scatter.picked("feature_map", shown, (x, y)):
            on_pick(picked)

    draw_chart(
        record_charts.scatter(shown, x, y, state.is_dark(), "pan"),
        key="feature_map",
        marks="record",
        on_select=pick,
        selection_mode=("points", "box", "lasso"),
        config={"displaylogo": False},
        alt=f"Map of {len(records)} records, {y} against {x}, coloured by influence: blue triangles up raised the target, "
        "orange triangles down lowered it",
    )
    one, two = (f"{share:.0%}" for share in projection.share)
    st.caption(
        "States that lie close together look alike to the policy: its components are the two directions in which its last "
        f"hidden layer varies most over this round (PCA; {one} and {two} of the variance). Click a mark for its record; the "
        f"lasso is at the top right. {escape(source)}"
    )


def worst_last(records: NDArray[np.int64], scores: Scores) -> list[int]:
    """In the order of influence, so that the worst one is looked at first."""
    ordered: list[int] = records[np.argsort(-scores.influence[records], kind="stable")].tolist()
    return ordered

"""The map of a world of cells as the main picture: an arrow a state and action, coloured by influence."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app.charts import places as charts
from app.charts.records import HEIGHT
from app.diagnosis import loaders
from app.diagnosis.maps import worst_last
from app.diagnosis.marks import OnPick, picker
from app.shell import downloads, page, state
from app.shell.chart import draw_chart
from engine.analysis.places import WorldMap, group_by_place, group_records
from engine.core.scores import Scores
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

KEY = "influence_map"


def of_round(snapshot: ControlSnapshot) -> WorldMap | None:
    """The map, where it is known in which cells the records were made; None elsewhere."""
    return loaders.load_placed_world(snapshot) if snapshot.action_space.kind == "discrete" else None


def draw(run: Run, snapshot: ControlSnapshot, world: WorldMap, scores: Scores, word: str, on_pick: OnPick) -> None:
    """The map.

    Args:
        run: the run.
        snapshot: its round.
        world: its map.
        scores: influence of its records.
        word: why the influence must not look sure; empty where it may.
        on_pick: told which records were clicked.
    """
    where, looks = loaders.load_places(snapshot), world.layout.has_headings
    groups = group_records(where, snapshot.buffer.action, np.arange(len(scores)))
    groups = group_by_place(groups) if looks else groups
    values = [group.mean(scores.influence.astype(np.float64)) for group in groups]

    def records_of(mark: int) -> list[int]:
        return worst_last(groups[mark].records, scores) if mark < len(groups) else []

    draw_chart(
        charts.cells(
            world,
            groups,
            values,
            "influence",
            page.action_names(run),
            state.is_dark(),
            height=HEIGHT,
            pale=bool(word),
        ),
        key=KEY,
        on_select=picker(KEY, records_of, on_pick),
        selection_mode="points",
        config=downloads.chart(f"{run.name}-round-{snapshot.round}-map"),
        alt=f"Map of the world: an arrow for every state{'' if looks else ' and action'} of {len(scores)} records, blue and + "
        "where their mean influence raised the target, orange and − where it lowered it"
        + (f"; pale: {word}" if word else ""),
    )
    said = f"Pale: {word}. " if word else ""
    what = "where the agent stood, and looked" if looks else "an action in a cell"
    lost = sum(place is None for place in where)
    lost_said = f" {lost} can't be shown: their state could not be restored." if lost else ""
    st.caption(
        f"{said}An arrow is {what}: its size says how many records, colour and sign their mean influence. Click one "
        f"for its records.{lost_said}"
    )

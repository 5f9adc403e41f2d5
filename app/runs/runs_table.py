"""The table of runs: one row a run, what is known of it by now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from app.charts.sparkline import sparkline
from app.runs.listed import Listed, interventions
from app.shell.glossary import meaning
from engine.analysis.run_index import Branched, RunRow

FINISHED, UNREAD = "finished", "being read …"
OWN = "trained here"
HEIGHT = 318
"""Pixels: eight rows and the head; more are scrolled to."""
COLUMNS = (
    "run",
    "name",
    "tags",
    "environment",
    "trainer",
    "seed",
    "rounds",
    "state",
    "final return",
    "return per round",
    "incidents",
    "first incident",
    "best return",
    "optimizer",
    "filter",
    "interventions",
    "parent",
    "created",
)
IF_SAID = ("name", "tags")
"""Columns that are there only where somebody said something."""


def table(runs: Sequence[Listed]) -> pd.DataFrame:
    """The rows of these runs, in their order."""
    found = pd.DataFrame([_row(run) for run in runs], columns=list(COLUMNS))
    for column in ("seed", "rounds", "interventions"):
        found[column] = found[column].astype("Int64")
    for column in ("final return", "best return", "incidents"):
        found[column] = found[column].astype(float)
    unsaid = [column for column in IF_SAID if not any(len(said) for said in found[column])]
    return found.drop(columns=unsaid)


def columns() -> dict[str, Any]:
    """How the table draws its columns."""
    return {
        "run": st.column_config.TextColumn(width=170),
        "environment": st.column_config.TextColumn(width=130),
        "trainer": st.column_config.TextColumn(width=150),
        "state": st.column_config.TextColumn(width=110),
        "tags": st.column_config.ListColumn(width="small"),
        "first incident": st.column_config.TextColumn(width=200, help=meaning("incident")),
        "return per round": st.column_config.ImageColumn("return per round", width="medium"),
        "final return": st.column_config.NumberColumn(format="%.4g"),
        "best return": st.column_config.NumberColumn(format="%.4g"),
        "incidents": st.column_config.NumberColumn(help=meaning("incident")),
        "filter": st.column_config.TextColumn(help="What left records out before each update."),
        "interventions": st.column_config.NumberColumn(help=meaning("intervention")),
        "parent": st.column_config.TextColumn(help=meaning("branch")),
        "created": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
    }


def _row(run: Listed) -> dict[str, Any]:
    said: dict[str, Any] = {"run": run.name, "name": run.notes.name, "tags": list(run.notes.tags)}
    if run.row is None:
        return {**said, "environment": "", "state": UNREAD, "return per round": "", "parent": ""}
    return said | _read(run.row) | {"interventions": interventions(run.path)}


def _done(parent: Branched) -> str:
    return f"{parent.repaired} repaired" if parent.repaired else f"without {parent.removed}"


def _read(row: RunRow) -> dict[str, Any]:
    parent = row.parent
    return {
        "environment": row.env_id,
        "trainer": row.trainer or OWN,
        "seed": row.seed,
        "rounds": row.rounds,
        "state": FINISHED if row.finished else f"as of round {row.last}" if row.rounds else "no round yet",
        "final return": row.final_return,
        "incidents": None if row.too_few and not row.incidents else row.incidents,
        "first incident": row.first_incident or row.too_few.partition(":")[0],
        "return per round": sparkline(row.returns),
        "best return": row.best_return,
        "optimizer": row.optimizer,
        "filter": row.filter_name,
        "parent": f"{parent.run}, round {parent.round}, {_done(parent)}" if parent else "",
        "created": row.created,
    }

"""Runs: what is here."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app.charts.sparkline import sparkline
from app.runs.loaders import incidents_of_metrics
from app.shell import follow_run, kinds, loaders, state
from app.shell.page import in_one_line
from app.shell.text import escape
from engine.jobs.interventions import list_jobs
from engine.store.read import Run

ALL, FINISHED = "all", "finished"
OWN = "trained here"
INTERVENTIONS = kinds.Page("interventions", "what was removed, and what came of it")
EMPTY = (
    "run",
    "environment",
    "trainer",
    "seed",
    "rounds",
    "state",
    "final return",
    "incidents",
    "first incident",
    "return per round",
    "interventions",
    "parent",
)


def describe(name: str, run: Run) -> dict[str, Any]:
    """One row of the table."""
    returns = [info.metrics["mean_return"] for info in run.rounds if info.metrics.get("mean_return") is not None]
    parent, found = run.manifest.parent, incidents_of_metrics(run)
    return {
        "run": name,
        "environment": run.manifest.env_id,
        "trainer": run.manifest.trainer or OWN,
        "seed": run.config.seed,
        "rounds": len(run.rounds),
        "state": FINISHED if run.final else follow_run.as_of(run),
        "final return": returns[-1] if returns else None,
        "incidents": None if found.too_few and not found else len(found),
        "first incident": found[0].short if found else found.too_few.partition(":")[0],
        "return per round": sparkline(returns),
        "best return": max(returns, default=None),
        "optimizer": f"{run.config.optimizer} {run.config.learning_rate:g}",
        "filter": run.config.filter_name,
        "interventions": len(list_jobs(run)),
        "parent": f"{parent.run}, round {parent.round}, without {len(parent.removed)}" if parent else "",
        "created": run.manifest.created,
    }


def pages_of(name: str) -> tuple[kinds.Page, ...]:
    """The pages about a run's records; none of a run that can't be read."""
    try:
        return kinds.shown(loaders.load_run(loaders.run_paths()[name])).pages
    except Exception:  # noqa: BLE001  see `page.in_one_line`; the run is a line among the damaged ones
        return ()


def heads() -> dict[str, str]:
    """The last commit of every run, or what is wrong with it."""
    found = {}
    for name, path in loaders.run_paths().items():
        try:
            found[name] = loaders.load_run(path).head
        except Exception as error:  # noqa: BLE001  see `page.in_one_line`
            found[name] = in_one_line(error)
    return found


drawn, rows, damaged = heads(), [], []
for name, path in loaders.run_paths().items():
    try:
        rows.append(describe(name, loaders.load_run(path)))
    except Exception as error:  # noqa: BLE001  see `page.in_one_line`
        damaged.append(f"{name}: {in_one_line(error)}")
table = pd.DataFrame(rows, columns=list(rows[0]) if rows else list(EMPTY))

search, environments, branches = st.columns([3, 4, 2], vertical_alignment="bottom")
with search:
    state.choose_text("search", "")
    words = st.text_input("Search", key="search", placeholder="part of a run's name")
with environments:
    kinds_here = [ALL, *sorted(set(table["environment"]))]
    state.choose("environment", kinds_here, ALL)
    kind = st.selectbox("Environment", kinds_here, key="environment")
with branches:
    state.choose("branches", [False, True], False)
    with_branches = st.toggle("Show branches", key="branches")

shown = table[table["run"].str.contains(words or "", case=False, regex=False)] if len(table) else table
if kind != ALL:
    shown = shown[shown["environment"] == kind]
if not with_branches:
    shown = shown[shown["parent"] == ""]
shown = shown.reset_index(drop=True)


def ticked() -> list[str]:
    """Ids of the runs whose rows are ticked."""
    return list(map(str, state.ticked("runs_table")))


def open_row() -> None:
    """Make the ticked run the one that every page shows; several are there to be compared."""
    if len(ticked()) == 1:
        state.put({"run": ticked()[0]})


state.follow_rows("runs_table", shown["run"].tolist())
with st.container(horizontal=True, vertical_alignment="center"):
    st.caption(
        f"{len(shown)} of {len(table)} runs. Tick a row to open the run, two or more to compare them; click a column's head "
        "to sort."
    )
    if any(row["state"] != FINISHED for row in rows):
        follow_run.keep_up(drawn, heads)
st.dataframe(
    shown,
    key="runs_table",
    hide_index=True,
    on_select=open_row,
    selection_mode="multi-row",
    column_config={
        "first incident": st.column_config.TextColumn(width=200),
        "return per round": st.column_config.ImageColumn("return per round", width="medium"),
        "final return": st.column_config.NumberColumn(format="%.4g"),
        "best return": st.column_config.NumberColumn(format="%.4g"),
        "created": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
    },
    alt="Table of the recorded runs",
)
if len(shown) == 0:
    st.info("No run fits these filters; clear the search or choose other environments.", icon=":material/info:")
for line in damaged:
    st.error(escape(line), icon=":material/error:")

if len(ticked()) > 1:
    st.page_link(
        "views/compare_runs.py",
        label=f"Compare these {len(ticked())} runs",
        icon=":material/compare_arrows:",
        query_params={"runs": state.listed(ticked())},
    )
run = state.get("run")
if run:
    st.markdown(f"**{escape(run)}** is open:")
    with st.container(horizontal=True):
        for one in (kinds.TIMELINE, *pages_of(run), INTERVENTIONS):
            st.page_link(f"views/{one.view}.py", label=f"{one.title}: {one.why}", query_params={"run": run})

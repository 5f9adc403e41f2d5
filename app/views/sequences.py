"""Sequences: a language model's records as text."""

from __future__ import annotations

import streamlit as st
from numpy.typing import NDArray

from app import basket, export, live, page, selection, state
from app.loaders import run_paths
from app.sequences import loaders, response
from app.sequences.listing import Listed, choose, controls, draw
from app.text import escape
from engine.recording.dumps import Dump
from engine.store.read import Run
from engine.store.sequences import LanguageSnapshot

RECORD_ONE = (
    "Record one with `python -m engine rlhf courtesy --out runs/courtesy`, or put the folder of TRL's `completions_*.parquet` or "
    "of verl's `<step>.jsonl` beside the runs, then reload this page."
)


@page.part
def recorded(run: Run, snapshot: LanguageSnapshot) -> None:
    """A round of a recorded run: what is ticked is the selection, which may go into the basket."""
    listed = Listed(loaders.load_table(snapshot), snapshot.hash, tuple(basket.records(run, snapshot)))
    rows = loaders.load_rows(listed.table, listed.identity, controls(listed), listed.basket)
    record = choose(listed, rows)

    def tick(here: NDArray, ticked: list[int]) -> None:
        before = set(selection.current(run, snapshot).tolist())
        selection.choose(run, snapshot, (before - set(here.tolist())) | set(ticked))
        new = [one for one in ticked if one not in before]
        if new:
            state.put({"record": new[-1]})

    draw(listed, rows, selection.current(run, snapshot).tolist(), tick, several=True)
    response.draw(listed, rows, record, run, snapshot)
    basket.draw(run, snapshot, None, None)


@page.part
def view_only(name: str, dump: Dump, step: int) -> None:
    """A step of what another trainer wrote down."""
    listed = Listed(loaders.load_step(dump, step), f"{dump.files[step]}")
    rows = loaders.load_rows(listed.table, listed.identity, controls(listed), ())
    record = choose(listed, rows)

    def tick(here: NDArray, ticked: list[int]) -> None:
        if ticked:
            state.put({"record": ticked[0]})

    draw(listed, rows, [record], tick, several=False)
    response.draw(listed, rows, record)


def _lead_away(name: str) -> None:
    """From a run whose records are steps of an environment."""
    others = [*page.language_runs(run_paths()), *loaders.dump_paths()]
    there = "These are language models' runs:" if others else f"There is none here yet. {RECORD_ONE}"
    st.info(
        f"Sequences are the records of a language model, and {escape(name)} is the run of a control task. {there}",
        icon=":material/info:",
    )
    with st.container(horizontal=True):
        for other in others:
            st.page_link("views/sequences.py", label=f"Open {escape(other)}", query_params={"run": other})
        st.page_link("views/diagnose.py", label=f"Diagnose {escape(name)}", query_params={"run": name})


def sequences() -> None:
    """The page."""
    name = str(state.get("run"))
    dumps = loaders.dump_paths()
    if name in dumps:
        dump = loaders.load_dump(dumps[name])
        st.info(dump.cannot, icon=":material/visibility:")
        step = int(state.get("round", dump.steps[0]))
        view_only(name, dump, step)
        export.offer({f"{name}-step-{step}": lambda: loaders.load_step(dump, step).to_pandas()})
        return
    name, run = page.current_run()
    if not run.is_language:
        _lead_away(name)
        return
    live.draw(run)
    snapshot = loaders.load_snapshot(run, page.current_round(run))
    recorded(run, snapshot)


sequences()

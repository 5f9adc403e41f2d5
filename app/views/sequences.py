"""Sequences: a language model's records as text."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pandas as pd
import pyarrow as pa
import streamlit as st
from engine.kinds.language.influence import SequenceScores
from numpy.typing import NDArray

from app import basket, export, live, page, selection, state, trust
from app.loaders import run_paths
from app.retraining import retrain_dialog
from app.sequences import findings, listing, loaders, response, scores, targets
from app.sequences.checking import OfSequences
from app.sequences.listing import Listed
from app.sequences.targets import Asked
from app.text import escape
from engine.kinds.language.sequences import LanguageSnapshot
from engine.recording.dumps import Dump
from engine.store.read import Run

MOST_LINKS = 12
RECORD_ONE = (
    "Record one with `python -m engine rlhf courtesy --out runs/courtesy`, or put the folder of TRL's `completions_*.parquet` or "
    "of verl's `<step>.jsonl` beside the runs, then reload this page."
)


def recorded(run: Run, snapshot: LanguageSnapshot) -> None:
    """A round of a recorded run."""
    controls = st.container(horizontal=True, vertical_alignment="bottom")
    with controls:
        asked = targets.controls(snapshot)
        estimator = scores.estimator_control(snapshot)
        st.button(
            "Compute",
            key="compute",
            icon=":material/refresh:",
            help="Influence is computed when you open a round and then kept. This computes it anew.",
            on_click=scores.compute_again,
            args=(run, snapshot, asked, estimator),
        )
    page.without_minibatches(snapshot)
    target, found = scores.safely(run, snapshot, asked, estimator)
    if target is not None and found is not None:
        source = page.provenance(run, snapshot, f"{estimator}, {target.words}")
        line = escape(" · ".join(part for part in (source, scores.silent(found)) if part))
        trust.draw(OfSequences(run, snapshot, asked, target), estimator, line)
    with controls:
        name = f"{run.name}-round-{snapshot.round}" + (f"-{asked.name}-{estimator}" if found else "")
        export.offer({name: lambda: exported(snapshot, found)})
    workplace(run, snapshot, asked, found)
    if target is not None and found is not None:
        findings.draw(run, snapshot, target, found, source)


def exported(snapshot: LanguageSnapshot, found: SequenceScores | None) -> pd.DataFrame:
    """One row a sequence, with its round and, where it is known, its influence; which one, is in Parquet's metadata."""
    frame = _table(snapshot, found).to_pandas()
    frame.insert(0, "round", snapshot.round)
    if found is not None:
        frame.attrs = {"estimator": found.estimator, "target": found.target, "commit": found.snapshot_hash}
    return frame


def _table(snapshot: LanguageSnapshot, found: SequenceScores | None) -> pa.Table:
    return loaders.load_table(snapshot) if found is None else loaders.load_scored_table(snapshot, found)


@page.part
def workplace(run: Run, snapshot: LanguageSnapshot, asked: Asked, found: SequenceScores | None) -> None:
    """The list, the chosen response and the basket: drawn anew by themselves. What is ticked is the selection."""
    numbers = "" if found is None else f" {crc32(found.influence.tobytes())}"
    kept = basket.records(run, snapshot)
    listed = Listed(_table(snapshot, found), snapshot.hash, snapshot.hash + numbers, tuple(kept))
    rows = loaders.load_rows(listed.table, listed.identity, listing.controls(listed), listed.basket)
    record = listing.choose(listed, rows)

    def tick(here: NDArray[Any], ticked: list[int]) -> None:
        before = set(selection.current(run, snapshot).tolist())
        selection.choose(run, snapshot, (before - set(here.tolist())) | set(ticked))
        new = [one for one in ticked if one not in before]
        if new:
            state.put({"record": new[-1]})

    listing.draw(listed, rows, selection.current(run, snapshot).tolist(), tick, several=True)
    response.draw(listed, rows, record, run, snapshot, None if found is None else found.token_influence, asked)
    basket.draw(
        run,
        snapshot,
        None if found is None else found.influence,
        lambda records: retrain(run, snapshot, asked, found, records),
    )


def retrain(
    run: Run, snapshot: LanguageSnapshot, asked: Asked, found: SequenceScores | None, records: list[int]
) -> None:
    """The dialog. Of an action target about a part of a response, what is measured is about the whole response."""
    part = targets.is_part(snapshot, asked)
    note = (
        f"Beside the reward, the change of log π of record {asked.record}'s whole response is measured." if part else ""
    )
    retrain_dialog(run, snapshot, None if part else found, records, asked.measured, note)


@page.part
def view_only(dump: Dump, step: int) -> None:
    """A step of what another trainer wrote down, as its file is now: what was chosen in another state of it is forgotten."""
    found, identity = loaders.load_step(dump, step)
    if found.note:
        st.caption(escape(found.note))
    if not found.table.num_rows:
        st.info("There are no sequences in this step's file.", icon=":material/info:")
        return
    listed = Listed(found.table, identity, identity)
    rows = loaders.load_rows(listed.table, listed.identity, listing.controls(listed), ())
    record = listing.choose(listed, rows)

    def tick(here: NDArray[Any], ticked: list[int]) -> None:
        if ticked:
            state.put({"record": ticked[0]})

    listing.draw(listed, rows, [record], tick, several=False)
    response.draw(listed, rows, record)


def _lead_away(name: str) -> None:
    """From a run whose records are steps of an environment."""
    runs = [run for run in page.language_runs(run_paths()) if "interventions/" not in run]
    others = [*runs, *loaders.dump_paths()][:MOST_LINKS]
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
        found, _ = loaders.load_step(dump, step)  # if it can't be read, there is nothing to list or to download
        view_only(dump, step)
        export.offer({f"{name}-step-{step}": found.table.to_pandas})
        return
    name, run = page.current_run()
    if not run.is_language:
        _lead_away(name)
        return
    live.draw(run)
    snapshot = loaders.load_snapshot(run, page.current_round(run))
    recorded(run, snapshot)


sequences()

"""Sequences: a language model's records as text."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import pyarrow as pa
import streamlit as st
from numpy.typing import NDArray

from app.autopsy import play
from app.records import basket, selection_bar
from app.removal.dialog import retrain_dialog
from app.scores import answer, background, by_term_and_layer, replayed, trust_badge, two_estimators
from app.scores.check import Check
from app.sequences import bottom_sequences, listing, response, target_controls
from app.sequences import loaders as sequence_loaders
from app.sequences.listing import Listed
from app.shell import downloads, follow_run, kinds, loaders, page, selection, state
from app.shell.text import escape
from engine.analysis.concentration import concentration_of
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.core.targets.question import Question, TargetName
from engine.errors import EngineError
from engine.kinds.language.sequences import LanguageSnapshot
from engine.recording.readers.dumps import Dump
from engine.store.read import Run

MOST_LINKS = 12
RECORD_ONE = (
    "Record one with `python -m engine rlhf courtesy --out runs/courtesy`, or put the folder of TRL's `completions_*.parquet` or "
    "of verl's `<step>.jsonl` beside the runs, then reload this page."
)


def recorded(run: Run, run_name: str, snapshot: LanguageSnapshot) -> None:
    """A round of a recorded run."""
    place = st.container(key="answer", gap="small")
    controls = st.container(horizontal=True, vertical_alignment="bottom")
    with controls:
        asked = target_controls.controls(snapshot)
        estimator, orders = background.controls(run, snapshot, asked)
    page.without_minibatches(snapshot)
    target, found = influence(run, snapshot, asked, estimator, orders)
    replay = None
    if target is not None and found is not None:
        provenance = background.provenance(snapshot, orders)
        source = page.provenance(run, snapshot, f"{estimator}, {target.words}", provenance)
        line = escape(" · ".join(part for part in (source, no_signal_caption(found)) if part))
        check = Check.of(run, snapshot, target, orders)
        trust = trust_badge.trust_of(check, estimator, found.expected)
        answer.draw(
            place,
            concentration_of(snapshot, found),
            check,
            estimator,
            trust,
            lambda: page.to_autopsy(run_name, snapshot.round, play.label(snapshot)),
        )
        replay = trust_badge.source(line)
        trust_badge.panel(check, estimator, trust)
        with page.one_line_errors():
            two_estimators.draw(run, snapshot, target, found, lambda record: state.put({"record": record}))
    with controls:
        name = f"{run.name}-round-{snapshot.round}" + (f"-{asked.target}-{estimator}" if found else "")
        downloads.offer({name: lambda: exported(snapshot, found)})
        if found is None:
            page.to_autopsy(run_name, snapshot.round)
    workplace(run, snapshot, asked, target, found)
    if target is not None and found is not None:
        bottom_sequences.draw(run, snapshot, target, found, source)
    if replay is not None:
        replayed.draw(replay, run, snapshot)


def influence(
    run: Run, snapshot: LanguageSnapshot, asked: TargetName, estimator: str, orders: int
) -> tuple[Any, Scores | None]:
    """The target and the scores; what can't be computed is said in a line, and the page goes on without influence."""
    try:
        target = loaders.load_target(snapshot, asked)
        return target, background.scores(run, snapshot, target, estimator, orders)
    except EngineError as error:
        st.info(f"No influence here: {escape(error)}.", icon=":material/info:")
        return None, None


def no_signal_caption(found: Scores) -> str:
    """How many sequences have no signal, in words; nothing where all have one."""
    count = int(np.count_nonzero(found.no_signal))
    return f"{count:,} without a signal (their group was rewarded alike)" if count else ""


def exported(snapshot: LanguageSnapshot, found: Scores | None) -> pd.DataFrame:
    """One row a sequence, with its round and, where it is known, its influence; which one, is in Parquet's metadata."""
    frame = _table(snapshot, found).to_pandas()
    frame.insert(0, "round", snapshot.round)
    if found is not None:
        frame.attrs = {"estimator": found.estimator, "target": found.target, "commit": found.snapshot_hash}
    return frame


def _table(snapshot: LanguageSnapshot, found: Scores | None) -> pa.Table:
    return (
        sequence_loaders.load_table(snapshot) if found is None else sequence_loaders.load_scored_table(snapshot, found)
    )


@page.fragment
def workplace(
    run: Run, snapshot: LanguageSnapshot, asked: TargetName, target: Target | None, found: Scores | None
) -> None:
    """The list, the chosen response and the basket: drawn anew by themselves. What is ticked is the selection."""
    numbers = "" if found is None else f" {crc32(found.influence.tobytes())}"
    kept = basket.records(run, snapshot)
    listed = Listed(_table(snapshot, found), snapshot.hash, snapshot.hash + numbers, tuple(kept))
    # What comes or goes moves nothing out of its place.
    the_list, of_ticked, in_parts = (st.container() for _ in range(3))
    with the_list:
        rows = sequence_loaders.load_rows(listed.table, listed.identity, listing.controls(listed), listed.basket)
    record = listing.choose(listed, rows)

    def tick(here: NDArray[Any], ticked: list[int]) -> None:
        before = set(selection.current(run, snapshot).tolist())
        selection.choose(run, snapshot, (before - set(here.tolist())) | set(ticked))
        new = [one for one in ticked if one not in before]
        if new:
            state.put({"record": new[-1]})

    with the_list:
        listing.draw(listed, rows, selection.current(run, snapshot).tolist(), tick, several=True)
    ticked = selection.current(run, snapshot).tolist()
    with of_ticked:
        selection_bar.draw(run, snapshot, found, "Tick rows of the list.")
    if target is not None and found is not None:
        with in_parts:
            by_term_and_layer.draw(run, snapshot, target, found, ticked)
    response.draw(listed, rows, record, run, snapshot, None if found is None else found.token_influence, asked)
    basket.draw(
        run,
        snapshot,
        None if found is None else found.influence,
        lambda records: retrain_dialog(run, snapshot, found, records, asked),
        None if found is None else Question(target=asked, estimator=found.estimator, orders=found.orders),
    )


@page.fragment
def view_only(dump: Dump, step: int) -> None:
    """A step of what another trainer wrote down, as its file is now: what was chosen in another state of it is forgotten."""
    identity = sequence_loaders.step_as_written(dump, step)
    found = sequence_loaders.load_step(dump, step)
    if found.note:
        st.caption(escape(found.note))
    if not found.table.num_rows:
        st.info("There are no sequences in this step's file.", icon=":material/info:")
        return
    listed = Listed(found.table, identity, identity)
    rows = sequence_loaders.load_rows(listed.table, listed.identity, listing.controls(listed), ())
    record = listing.choose(listed, rows)

    def tick(here: NDArray[Any], ticked: list[int]) -> None:
        if ticked:
            state.put({"record": ticked[0]})

    listing.draw(listed, rows, [record], tick, several=False)
    response.draw(listed, rows, record)


def _lead_away(run: Run, name: str) -> None:
    """From a run whose records are no sequences."""
    runs = [run for run in page.runs_shown_on("sequences", loaders.run_paths()) if "interventions/" not in run]
    others = [*runs, *sequence_loaders.dump_paths()][:MOST_LINKS]
    there = "These are language models' runs:" if others else f"There is none here yet. {RECORD_ONE}"
    st.info(
        f"Sequences are the records of a language model, and those of {escape(name)} are none. {there}",
        icon=":material/info:",
    )
    with st.container(horizontal=True):
        for other in others:
            st.page_link("views/sequences.py", label=f"Open {escape(other)}", query_params={"run": other})
        page.to_records(run, name, None)


def sequences() -> None:
    """The page."""
    name = str(state.get("run"))
    dumps = sequence_loaders.dump_paths()
    if name in dumps:
        dump = sequence_loaders.load_dump(dumps[name])
        st.info(dump.cannot, icon=":material/visibility:")
        step = int(state.get("round", dump.steps[0]))
        found = sequence_loaders.load_step(dump, step)  # if it can't be read, there is nothing to list or to download
        view_only(dump, step)
        downloads.offer({f"{name}-step-{step}": found.table.to_pandas})
        return
    name, run = page.current_run()
    if kinds.SEQUENCES not in kinds.shown(run).pages:
        _lead_away(run, name)
        return
    follow_run.draw(run)
    snapshot = loaders.load_snapshot(run, page.current_round(run))
    recorded(run, name, snapshot)


sequences()

"""Influence of a round's sequences: at once where that is quick, else what it takes and a button that begins it."""

from __future__ import annotations

import numpy as np
import streamlit as st
from engine.kinds.language.influence import LANGUAGE_ESTIMATORS, SequenceScores, estimate_seconds

from app import computing, page, state
from app.sequences import loaders
from app.sequences.targets import Asked
from app.text import escape
from engine.core.estimators import DEFAULT_ESTIMATOR, ESTIMATOR_NOTES
from engine.errors import EngineError
from engine.jobs.calculations import Calculation
from engine.jobs.questions import Influence
from engine.kinds.language.models import check_base
from engine.kinds.language.sequences import LanguageSnapshot
from engine.kinds.language.targets import TokenTarget
from engine.store.read import Run


def offered(snapshot: LanguageSnapshot) -> list[str]:
    """Estimators that can be had of a round: without its minibatches the update can't be followed."""
    return list(LANGUAGE_ESTIMATORS) if snapshot.minibatches.size else [DEFAULT_ESTIMATOR]


def estimator_control(snapshot: LanguageSnapshot) -> str:
    """Which estimator."""
    options = offered(snapshot)
    state.choose("estimator", options, options[0])
    notes = "\n".join(f"* **{name}**: {ESTIMATOR_NOTES[name]}" for name in options)
    return str(st.selectbox("Estimator", options, key="estimator", width=170, help=notes))


def load(
    run: Run, snapshot: LanguageSnapshot, asked: Asked, estimator: str
) -> tuple[TokenTarget, SequenceScores | None]:
    """The target, and the scores if they are kept or take no time; else what can be done about it is drawn.

    Raises:
        EngineError: there is no such target, or it can't be computed; one line.
    """
    target = loaders.load_target(snapshot, asked)
    job, what = background(run, snapshot, asked, estimator), f"{estimator}, {computing.averaged(1)}"
    if job.running:
        computing.progress(job, what, "influence")
        return target, None
    if loaders.kept_scores(snapshot, target, estimator) is None:
        check_base(snapshot.language)
    seconds = estimate_seconds(snapshot, estimator)
    if seconds <= computing.AT_ONCE_SECONDS:
        return target, loaders.load_scores(snapshot, target, estimator)
    found = loaders.kept_scores(snapshot, target, estimator)
    if found is None:
        computing.offer(job, what, seconds, "influence")
    return target, found


def background(
    run: Run, snapshot: LanguageSnapshot, asked: Asked, estimator: str, *, refresh: bool = False
) -> Calculation:
    """Influence in the background; it fills the cache that the page reads."""
    target = asked.in_words()
    return Calculation(run, Influence(round=snapshot.round, target=target, estimator=estimator, refresh=refresh))


@page.careful
def compute_again(run: Run, snapshot: LanguageSnapshot, asked: Asked, estimator: str) -> None:
    """Compute what is shown anew (a callback)."""
    check_base(snapshot.language)
    if estimate_seconds(snapshot, estimator) > computing.AT_ONCE_SECONDS:
        background(run, snapshot, asked, estimator, refresh=True).start()
        return
    same = loaders.compute_again(snapshot, loaders.load_target(snapshot, asked), estimator)
    st.toast(
        "Computed again: the same numbers." if same else "Computed again: other numbers than those that were kept."
    )


def safely(
    run: Run, snapshot: LanguageSnapshot, asked: Asked, estimator: str
) -> tuple[TokenTarget | None, SequenceScores | None]:
    """`load`; what can't be computed is said in a line, and the page goes on without influence."""
    try:
        return load(run, snapshot, asked, estimator)
    except EngineError as error:
        st.info(f"No influence here: {escape(error)}.", icon=":material/info:")
        return None, None


def silent(found: SequenceScores) -> str:
    """How many sequences have no signal, in words; nothing where all have one."""
    count = int(np.count_nonzero(found.no_signal))
    return f"{count:,} without a signal (their group was rewarded alike)" if count else ""

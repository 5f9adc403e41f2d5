"""What were the actions worth? Advantages by rollouts from the records' states, in the background, beside the recorded ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.charts import diagnosis as charts
from app.diagnosis import loaders
from app.diagnosis.marks import OnPick, picker
from app.scores.check import target_in_words
from app.shell import cancel, page, state, timed
from app.shell.chart import draw_chart
from app.shell.text import escape
from engine.analysis.diagnosis import Diagnosis, Trait, records_to_estimate
from engine.analysis.features import MISMATCH, PRODUCT
from engine.analysis.restoring import CannotRestoreError
from engine.analysis.rollout_advantages import ROLLOUTS, MonteCarlo
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.jobs.calculations import Calculation
from engine.jobs.questions import Diagnose
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run
from engine.terminal import duration

OFFERED = (8, 16, ROLLOUTS, 64, 128)
POLL_SECONDS = 1.0
TABLE_ROWS = 50


def chosen_rollouts() -> int:
    """How many rollouts of each mean the reader wants; what is kept of that many is shown everywhere."""
    state.choose("rollouts", OFFERED, ROLLOUTS)
    return int(
        st.selectbox(
            "Rollouts", OFFERED, key="rollouts", width=110,
            help="Of each of the two means that A-bar is made of; the standard error falls with their square root.",
        ) or ROLLOUTS
    )  # fmt: skip


def draw(
    run: Run, snapshot: ControlSnapshot, target: Target, found: Diagnosis, rollouts: int, source: str, on_pick: OnPick
) -> None:
    """The tab.

    Args:
        run: the run.
        snapshot: its round.
        target: what the scores are about.
        found: which records are the bottom, and what is known of A-bar.
        rollouts: of each mean.
        source: where the scores come from.
        on_pick: told what was clicked.
    """
    st.markdown(
        "**A-bar**(s, a) is what the action was really worth: the mean discounted return of rollouts that take a in s and "
        "then follow the policy of this round, less that of rollouts that follow it at once. **A-hat** is the recorded "
        "advantage, from one trajectory and the critic."
    )
    of_records = partial(background, run, snapshot, target, rollouts)
    job = of_records()
    if job.running:
        _progress(job, rollouts)
    else:
        _offer(of_records, snapshot, found.scores, found.bottom, found.estimated, rollouts)
    if found.estimated is None or not found.estimated.restored.any():
        return
    _results(snapshot, found, found.estimated, rollouts, source, on_pick)


def background(
    run: Run, snapshot: ControlSnapshot, target: Target, rollouts: int, records: Sequence[int] = ()
) -> Calculation:
    """Rollouts in the background; they are kept where the page reads them. One such job a round at a time.

    Args:
        run: the run.
        snapshot: its round.
        target: what the scores are about.
        rollouts: of each mean.
        records: whose A-bar is wanted, where it is to be started.
    """
    asked = Diagnose(
        round=snapshot.round, target=target_in_words(target), rollouts=rollouts, records=tuple(map(int, records))
    )
    return Calculation(run, asked)


def _offer(
    of_records: Callable[..., Calculation],
    snapshot: ControlSnapshot,
    scores: Scores,
    bottom: NDArray[np.int64],
    estimated: MonteCarlo | None,
    rollouts: int,
) -> None:
    """What it would take, and a button; a line where it can't be had."""
    n = len(snapshot.buffer)
    spread = records_to_estimate(snapshot, scores.influence)
    everything = np.arange(n)
    sets = {f"{len(spread)} from all over the ranking": spread, f"the {len(bottom)} bottom records": np.sort(bottom)}
    if len(spread) == n:
        sets = {f"all {n}": everything}
    with st.container(key="rollouts_offer", horizontal=True, vertical_alignment="bottom"):
        state.choose("rollouts_of", list(sets), next(iter(sets)))
        if len(sets) > 1:
            st.selectbox("Of", list(sets), key="rollouts_of", width=240)
        records = sets[str(state.get("rollouts_of", next(iter(sets))))]
        known = np.zeros(0, np.int64) if estimated is None else estimated.record
        missing = np.setdiff1d(records, known)
        if not len(missing):
            st.caption("Estimated, and kept.")
            return
        try:
            seconds = loaders.rollout_seconds(snapshot, missing, rollouts)
        except CannotRestoreError as error:
            st.info(f"A-bar can't be estimated: {escape(error)}.", icon=":material/info:")
            return
        st.button(
            f"Play rollouts for {len(missing)} records (about {duration(max(seconds, 1))})",
            key="rollouts_start",
            icon=":material/casino:",
            type="primary",
            on_click=page.careful(of_records(records.tolist()).start),
            help="In the background, on all cores; finished rollouts are kept, also when you cancel.",
        )
    complaint = of_records().complaint
    if complaint:
        st.caption(f"The last time it stopped: {escape(complaint)}")


@timed.every(POLL_SECONDS)
def _progress(job: Calculation, rollouts: int) -> None:
    if not job.running:
        st.rerun()
    share, left = job.progress
    with st.container(key="rollouts_progress", border=True):
        st.progress(
            share,
            f"playing {rollouts} rollouts for each record and mean: {share:.0%}"
            + (f", {escape(left)}" if left else ""),
        )
        cancel.draw("rollouts_cancel", job.stop, job.stopping, "Cancel; keep what is finished")


def _results(
    snapshot: ControlSnapshot, found: Diagnosis, estimated: MonteCarlo, rollouts: int, source: str, on_pick: OnPick
) -> None:
    known = estimated.restored
    record, a_bar, error = estimated.record[known], estimated.advantage[known], estimated.error[known]
    a_hat = snapshot.buffer.advantage[record].astype(np.float64)
    at_bottom = np.isin(record, found.bottom)
    chart, words = st.columns([3, 2], gap="medium")
    with chart:
        draw_chart(
            charts.advantages(a_hat, a_bar, error, record, at_bottom, state.is_dark()),
            key="advantages",
            marks="record",
            on_select=picker("advantages", _itself, on_pick),
            selection_mode="points",
            config={"displaylogo": False},
            alt=f"Scatter of {len(record)} records, the advantage by rollouts against the recorded one, with standard errors; "
            f"{int(at_bottom.sum())} bottom records are marked",
        )
    with words:
        for line in _findings(found):
            st.markdown(line)
        _table(found, record, a_hat, a_bar, error, at_bottom)
    shared = (
        f"; records of one state share theirs, {estimated.rollouts.max()} at most"
        if _shares(estimated, rollouts)
        else ""
    )
    st.caption(
        f"A-bar of {len(record)} of {len(snapshot.buffer)} records from {rollouts} rollouts for each mean{shared}; bars are one "
        f"standard error, {np.median(error):.2g} in the median; {_reliable(estimated)}. The sign of A-bar counts as known "
        f"from two standard errors on. Click a mark for its record. {escape(source)}"
    )


def _itself(mark: int) -> list[int]:
    return [mark]


def _shares(estimated: MonteCarlo, rollouts: int) -> bool:
    return bool((estimated.rollouts > rollouts).any())


def _reliable(estimated: MonteCarlo) -> str:
    share = estimated.reliability
    return "A-bar does not vary" if np.isnan(share) else f"{share:.0%} of A-bar's variance is not noise of the rollouts"


def _findings(found: Diagnosis) -> list[str]:
    """The paper's explanation, as far as it holds here."""
    traits = {trait.name: trait for trait in found.traits}
    lines = []
    wrong = traits.get(MISMATCH)
    if wrong is not None:
        lines.append(
            f"**{wrong.bottom:.0%}** of the bottom records have an advantage of the wrong sign, **{wrong.rest:.0%}** of the "
            f"rest{_doubt(wrong)}."
        )
    apart = traits.get("advantage error")
    if apart is not None:
        lines.append(
            f"\\|A-bar − A-hat\\|: {apart.middle} **{apart.bottom:.3g}** at the bottom, **{apart.rest:.3g}** in the rest"
            f"{_doubt(apart)}."
        )
    product = found.correlations.get(PRODUCT)
    if product is not None:
        interval = "" if np.isnan(product.low) else f" ({product.low:+.2f} to {product.high:+.2f})"
        lines.append(f"Rank correlation of influence with A-bar × A-hat: **{product.value:+.2f}**{interval}.")
    return lines


def _doubt(trait: Trait) -> str:
    return "" if trait.certain else "; the difference may be chance"


def _table(
    found: Diagnosis,
    record: NDArray[np.int64],
    a_hat: NDArray[np.float64],
    a_bar: NDArray[np.float64],
    error: NDArray[np.float64],
    at_bottom: NDArray[np.bool_],
) -> None:
    """The bottom records whose A-bar is known, worst first."""
    order = np.flatnonzero(at_bottom)
    order = order[np.argsort(found.scores.influence[record[order]], kind="stable")][:TABLE_ROWS]
    wrong = found.columns[MISMATCH][record[order]]
    st.dataframe(
        pd.DataFrame(
            {
                "record": record[order],
                "A-hat": a_hat[order],
                "A-bar": a_bar[order],
                "±": error[order],
                "apart": np.abs(a_bar - a_hat)[order],
                "sign": np.where(np.isnan(wrong), "unknown", np.where(wrong == 1, "wrong", "right")),
            }
        ),
        key="advantages_table",
        hide_index=True,
        height=280,
        column_config={
            **{name: st.column_config.NumberColumn(format="%.3f", width=64) for name in ("A-hat", "A-bar", "±")},
            "record": st.column_config.NumberColumn(width=56),
            "apart": st.column_config.NumberColumn("|A-bar − A-hat|", format="%.3f", width=104),
        },
        alt="The bottom records, worst first: recorded advantage, advantage by rollouts with its standard error",
    )

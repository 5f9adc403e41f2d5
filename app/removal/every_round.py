"""The same intervention at every recorded round: a button, how far it is, and the box plot of what it did."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app.charts import across as charts
from app.removal import notes, start
from app.shell import cancel, downloads, kinds, loaders, page, picks, state, timed
from app.shell.chart import draw_chart
from app.shell.glossary import explained, meaning
from app.shell.text import escape
from engine import arguments
from engine.core.estimators.registry import ESTIMATORS, REPLAY_REGRESSION
from engine.core.kind import kind_of
from engine.core.replays.replay import mode_name
from engine.errors import BadInputError
from engine.intervention.across import Series, orders_table, series_of
from engine.intervention.comparison import VERDICT_WORDS, verdict_name
from engine.intervention.duration import series_seconds
from engine.intervention.series_summary import changes, sentences, summarize
from engine.jobs.folder import ACTIVE, request_cancel
from engine.jobs.launch import jobs_pool
from engine.jobs.series import SeriesJob, damaged_series, list_series
from engine.store.read import Run
from engine.store.snapshot import Snapshot
from engine.store.words import counted
from engine.terminal import duration

POLL_SECONDS = 1.0
SHARES = (100, 50, 25)
"""Per cent of the negative records that can be chosen for removal."""


COLUMNS = {
    "change": "Without the records less the original: mean over minibatch orders.",
    "low": "The lower end of the change's 95 % interval.",
    "high": "The upper end of the change's 95 % interval.",
    "random removal": "Without as many random records less the original: mean over minibatch orders.",
    "between the two": "The change less that of the random removal.",
}
"""Column of the table -> what a reader sees on hover."""


def draw(name: str, run: Run) -> None:
    """The settings with the button, and the series of the bound selector."""
    st.caption(
        "Each recorded round by itself, from its own snapshot: its update is replayed without the records of negative "
        f"influence on the {ranked_by(run)}; the result is compared with the original and with the removal of as many "
        "random records, in several minibatch orders.",
        help=explained("intervention", "snapshot", "influence", "original", "control", "minibatch order"),
    )
    unplayed = _unplayed(run)
    if unplayed:
        st.info(
            f"Nothing can be played: {escape(unplayed)}. Here only returns are compared, so nothing can be started; a removal "
            "from one round is compared on records.",
            icon=":material/videocam_off:",
        )
    _start(run, disabled=bool(unplayed) or not run.stored_rounds)
    for line in damaged_series(run):
        st.error(escape(line), icon=":material/error:")
    found = {job.id: job for job in list_series(run)}
    if not found:
        return
    state.choose("series", list(found), next(iter(found)))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(found) > 1:
            st.selectbox("Shown", list(found), key="series", format_func=lambda id: _described(run, found[id].series))
        id = str(state.get("series"))
        downloads.offer({f"{run.name}-across": lambda: _orders(found[id])})
    active = found[id].state in ACTIVE
    timed.every(POLL_SECONDS if active else None)(_panel)(name, run, id, active)


def ranked_by(run: Run) -> str:
    """The target whose influence says which records are negative."""
    target = kinds.default_target(run)
    return "return, by each round's advantages" if target == "return" else f"{target} target"


def _unplayed(run: Run) -> str:
    """Why no policy of the run can be played; empty where one can."""
    if not run.stored_rounds:
        return ""
    snapshot = _last(run)
    return kind_of(snapshot).unplayed(snapshot)


def _start(run: Run, disabled: bool) -> None:
    """How to intervene, how long it takes, and the button."""
    place = st.container(horizontal=True, vertical_alignment="bottom")
    with place:
        if run.stored_rounds:
            names = [name for name in ESTIMATORS.of(_last(run)) if name != REPLAY_REGRESSION]
            st.selectbox(
                "Ranked by", names, key="across_estimator", width=150,
                help="Whose influence says which records are negative.\n"
                + "\n".join(f"* **{name}**: {ESTIMATORS[name].note}" for name in names),
            )  # fmt: skip
        st.text_input(
            "Rounds", key="across_of", width=130, placeholder="all",
            help="Such as 0-9, 20; empty for all that have records.",
        )  # fmt: skip
        st.selectbox(
            "Negative records to remove", SHARES, key="across_share", format_func=_share_in_words, width=230,
            help="Of the records with negative influence, those that lowered the target: all, or the worst of them.",
        )  # fmt: skip
        st.number_input(
            "Minibatch orders", 2, 64, 8, key="across_orders", width=130,
            help=f"Replays per arm and round: a single one is mostly noise of the order. {meaning('minibatch order')}",
        )  # fmt: skip
        st.number_input(
            kinds.words(run).evaluated.capitalize(), 2, 4096, 64, key="across_episodes", width=210,
            help="Per arm and round.",
        )  # fmt: skip
    problem, label = "", "Intervene"
    if not disabled:
        try:
            label = _label(run, _asked(run))
        except BadInputError as error:
            problem = str(error)
    place.button(
        label,
        key="across_start",
        type="primary",
        icon=":material/play_arrow:",
        disabled=disabled or bool(problem),
        help="Runs in a process of its own, on all cores. Finished rounds are kept and not repeated.",
        on_click=_begin,
        args=(run,),
    )
    if problem:
        st.error(escape(problem), icon=":material/error:")


def _last(run: Run) -> Snapshot:
    """The last round with records, which stands for all where it is about what can be had, and the time."""
    snapshot: Snapshot = loaders.load_snapshot(run, run.stored_rounds[-1])
    return snapshot


def _label(run: Run, series: Series) -> str:
    """What the button does, and how long that takes."""
    seconds = series_seconds(_last(run), series, jobs_pool())
    time = "" if seconds is None else f" (about {duration(seconds)})"
    everywhere = len(series.rounds) == len(run.stored_rounds)
    return f"Intervene in {'all ' if everywhere else ''}{counted(len(series.rounds), 'round')}{time}"


def _asked(run: Run) -> Series:
    """The series that the settings describe.

    Raises:
        BadInputError: the rounds can't be read, or have no records.
    """
    share, orders, episodes = (int(state.get(f"across_{name}")) for name in ("share", "orders", "episodes"))
    written = str(state.get("across_of") or "").strip()
    return series_of(
        run,
        sorted(arguments.ranges(written, "the rounds")) if written else None,
        drop_bottom=share / 100,
        orders=orders,
        episodes=episodes,
        estimator=str(state.get("across_estimator")),
    )


def _share_in_words(share: int) -> str:
    return "all" if share == 100 else f"the worst {share} %"


@page.careful
def _begin(run: Run) -> None:
    """Start the series that the settings describe (a callback)."""
    job = start.start_series(run, _asked(run))
    state.put({"series": job.id})


@page.careful
def _go_on(run: Run, series: Series) -> None:
    """Start a series again where it was stopped (a callback)."""
    start.start_series(run, series)


@page.one_line_errors()  # a fragment runs outside the page's own error line
def _panel(name: str, run: Run, id: str, was_active: bool) -> None:
    job = next((job for job in list_series(run) if job.id == id), None)
    if job is None:
        st.info("These interventions are no longer there; reload the page.")
        return
    finished = job.finished
    with st.container(key="across"):
        if job.state != "done":
            _unfinished(run, job, len(finished))
        if finished:
            _results(name, run, job, finished)
    if was_active != (job.state in ACTIVE):
        st.rerun()


def _unfinished(run: Run, job: SeriesJob, finished: int) -> None:
    """How far it is, and what can be done."""
    total = len(job.series.rounds)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        if job.state in ACTIVE:
            st.progress(finished / total, f"{finished} of {total} rounds · {escape(job.in_words)}")
            cancel.draw("across_cancel", partial(request_cancel, job), job.is_stopping)
            return
        why = {"failed": escape(job.doing), "stale": "its process is gone"}.get(job.state, "cancelled")
        st.markdown(f"**Stopped after {finished} of {total} rounds**: {why}")
        st.button(
            "Continue",
            key="across_again",
            icon=":material/replay:",
            on_click=_go_on,
            args=(run, job.series),
        )


def _results(name: str, run: Run, job: SeriesJob, finished: list[dict[str, Any]]) -> None:
    """Chart, summary in words, and table of the rounds that are finished."""
    carried_out = [found for found in finished if "skipped" not in found]
    if not carried_out:
        st.info(f"No round allows an intervention: {escape(finished[0]['skipped'])}", icon=":material/info:")
        return
    if len(finished) < len(job.series.rounds):
        st.caption(f"As of {len(finished)} of {len(job.series.rounds)} rounds:")
    words = kinds.words(run)
    draw_chart(
        charts.changes_in_return(finished, state.is_dark(), words.returned),
        key="across_chart",
        on_select=lambda: _take_round(run),
        selection_mode="points",
        config=downloads.chart(f"{run.name}-across"),
        alt=f"Box plot of the change in {words.returned} at every round, without the bottom records and without as many random "
        "ones, and over all rounds. The sentences below it say what it shows.",
    )
    st.caption(
        f"{escape(_described(run, job.series))}. A box spans the minibatch orders, a mark is their mean; on the right a point is "
        f"a round. Verdicts are reached as on Outcome. {words.evaluated.capitalize()} are the same in all arms and rounds; "
        f"training seed {run.config.seed}. Click a mark to choose its round.",
        help=explained("arm", "control", "interval", "verdict", *VERDICT_WORDS),
    )
    summary = summarize(finished)
    with st.container(key="across_summary", gap="small"):
        for sentence in sentences(summary):
            st.markdown(escape(sentence))
    if not summary["same_machine"]:
        st.caption("Recorded with other software or on another machine: replays agree with the recording to rounding.")
    notes.draw(job)
    table = _table(carried_out, words.returned)
    with st.expander("The rounds as a table"):
        st.dataframe(
            table,
            key="across_rounds",
            hide_index=True,
            column_config={
                column: st.column_config.NumberColumn(format="%+.3g", help=COLUMNS.get(column))
                for column in table.columns
                if table[column].dtype == np.float64
            },
            alt=f"Change in {words.returned}, its interval and the verdict of every round",
        )
    chosen = state.get("round")
    if chosen in job.series.rounds:
        page.to_records(run, name, chosen)


def _orders(job: SeriesJob) -> pd.DataFrame:
    """One row a round and minibatch order, as `orders.parquet`."""
    return orders_table([found for found in job.finished if "skipped" not in found]).to_pandas()


def _take_round(run: Run) -> None:
    """Take over the round of a clicked mark (a callback)."""
    clicked = picks.point("across_chart")
    if clicked is not None and run.has_records(int(clicked)):
        state.put({"round": int(clicked)})


def _table(rounds: list[dict[str, Any]], returned: str) -> pd.DataFrame:
    """One row a round."""
    return pd.DataFrame(
        {
            "round": found["round"],
            "removed": found["removed_count"],
            returned: found["original"]["mean"],
            "change": found["difference"]["mean"],
            "low": found["difference"]["low"],
            "high": found["difference"]["high"],
            "random removal": float(changes(found)["control"].mean()),
            "between the two": found["difference_from_control"]["mean"],
            "verdict": verdict_name(found["verdict"]),
        }
        for found in rounds
    )


def _described(run: Run, series: Series) -> str:
    """What is repeated, in a line."""
    share = f"the bottom {series.drop_bottom:.0%} of" if series.drop_bottom < 1 else "all"
    return (
        f"{len(series.rounds)} round{'s' * (len(series.rounds) > 1)} without {share} records with negative "
        f"{series.estimator} influence on the {ranked_by(run)} · {series.orders} minibatch orders · {series.episodes} "
        f"{kinds.words(run).episodes} per arm and round · mode {mode_name(series.mode)}"
    )

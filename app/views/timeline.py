"""Timeline: how learning went."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app.behaviour import formation_map
from app.charts import timeline as charts
from app.charts.incidents import Marks
from app.removal import timeline_marks
from app.runs import curve_controls, incidents
from app.runs.loaders import metrics_over_rounds
from app.runs.shown_rounds import shown_rounds
from app.shell import downloads, follow_run, kinds, loaders, page, picks, state
from app.shell.chart import draw_chart
from app.shell.glossary import explained, meaning
from app.shell.text import escape

MOST_RECORDS = 1_000
# That are listed of a round, for a browser's sake. A comment, because Streamlit shows strings of a page.

name, run = page.current_run()
follow_run.draw(run)
rounds = run.rounds
if not rounds:
    st.info(
        "No round has been recorded yet. If the run is being trained, the first one appears here in a moment.",
        icon=":material/info:",
    )
    state.stop()
stored = run.stored_rounds
dark = state.is_dark()
numbers = [info.round for info in rounds]


def open_mark(key: str) -> None:
    """Take over the round of a clicked mark, if it has records, or go to what came of a removal (a callback)."""
    clicked = picks.point(key)
    if isinstance(clicked, str):
        timeline_marks.remember(clicked)
    elif clicked is not None and int(clicked) in stored:
        state.put({"round": int(clicked)})


timeline_marks.go_where_it_was_clicked(name)
chosen = page.current_round(run) if stored else None
shown, words = kinds.shown(run), kinds.words(run)
what, collected = words.returned, shown.collected or f"The round's {words.episodes}"
metrics = metrics_over_rounds(run)
returns = metrics.get(charts.RETURN, np.zeros(0))
returns = returns[np.isfinite(returns)]
with st.container(horizontal=True):
    st.metric("Rounds", f"{len(rounds):,}", border=True, help=meaning("round"))
    st.metric("Records", f"{np.nansum(metrics.get('records', np.zeros(0))):,.0f}", border=True, help=meaning("record"))
    if len(returns):
        st.metric(f"{'Final' if run.final else 'Latest'} {what}", f"{returns[-1]:.4g}", border=True)
        st.metric(f"Best {what}", f"{returns.max():.4g}", border=True)
    st.metric("Optimizer", escape(f"{run.config.optimizer} {run.config.learning_rate:g}"), border=True)

if origin := kinds.origin(run):
    tested = rounds[0].metrics.get("self_test")
    if isinstance(tested, str):
        origin += f" The first round was replayed while it was recorded: {tested}."
    with st.container(key="origin"):
        st.caption(escape(origin))

seen = incidents.known(run, name)
first, last = numbers[0], numbers[-1]


def draw_curves() -> None:
    """All curves over one axis, what is marked below the return, and the numbers."""
    whole = charts.Rounds(np.array(numbers), metrics, np.array([info.stored for info in rounds]), chosen, what)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown_from, shown_to = shown_rounds(name, first, last)
        with st.popover("Axes", icon=":material/tune:", key="axes"):
            by_steps = shown.pages == kinds.OF_STEPS and curve_controls.across() == curve_controls.ACROSS[1]
            smoothing = curve_controls.smoothing()
            state.choose("log_scale", [False, True], False)
            log = st.toggle("Log scale", key="log_scale", help="Only in panels where every value is above 0.")
    axes = charts.Axes(smoothing, run.config.records_per_round if by_steps else 0, log)
    drawn = whole.within(shown_from, shown_to)
    draw_chart(
        charts.curves(drawn, Marks(seen.found, seen.noise, timeline_marks.of(run)), axes, dark),
        key="returns",
        config=downloads.chart(f"{run.name}-curves"),
        on_select=lambda: open_mark("returns"),
        selection_mode="points",
        table=lambda: pd.DataFrame(charts.table(drawn)),
        alt=f"Line charts over rounds, one below the other: {', '.join(drawn.titles.values())}; below the first one a strip of "
        "marks at the rounds with an incident or a removal",
    )
    st.caption(
        f"{what.capitalize()}: {collected[:1].lower()}{collected[1:]}. {charts.how_it_is_drawn(drawn, axes, words.episodes)}"
        + " The other curves: means over the optimizer steps of each round's update; explained variance is the critic's before "
        "the update." + shown.updates
    )


def draw_round(round: int) -> None:
    """The numbers of the chosen round beside those of the one before, and where its records are."""
    place = round - first
    titles = {charts.RETURN: f"mean {what}", **charts.LOSSES}
    values = {title: metrics[key] for key, title in titles.items() if key in metrics}
    before = {f"round {round - 1}": [column[place - 1] for column in values.values()]} if place else {}
    st.dataframe(
        pd.DataFrame(
            {"metric": list(values), **before, f"round {round}": [column[place] for column in values.values()]}
        ),
        hide_index=True,
        key="round_numbers",
        column_config={
            "metric": st.column_config.TextColumn(
                help=explained("return", "loss", "entropy", "KL", "clip fraction", "explained variance")
            ),
            **{name: st.column_config.NumberColumn(format="%.4g") for name in (*before, f"round {round}")},
        },
        alt=f"Table of the metrics of round {round}",
    )
    if shown.pages:
        page.to_records(run, name, round)
        page.to_autopsy(name, round)


curves, beside = st.columns([7, 3], gap="medium")
with curves:
    draw_curves()
with beside:
    incidents.draw(seen, name)
    if chosen is not None:
        draw_round(chosen)
    downloads.offer({f"{run.name}-rounds": lambda: pd.DataFrame({"round": numbers, **metrics_table()})})


def metrics_table() -> dict[str, list[object]]:
    """Every metric over the rounds, as it was committed."""
    return {
        key: [info.metrics.get(key) for info in rounds]
        for key in dict.fromkeys(key for info in rounds for key in info.metrics)
    }


def draw_records(round: int) -> None:
    """The first records of a round, by what they are recognised by."""
    with st.expander(f"The records of round {round}"):
        snapshot = loaders.load_snapshot(run, round)
        n = len(snapshot.buffer)
        st.dataframe(
            shown.table(snapshot, range(min(n, MOST_RECORDS))), hide_index=True, alt=f"The records of round {round}"
        )
        if n > MOST_RECORDS:
            st.caption(f"The first {MOST_RECORDS:,} of {n:,} records.")


def draw_formation() -> None:
    """Which actions' records pushed the return, round by round."""
    st.subheader("Formation", anchor=False, help=meaning("formation"))
    st.caption(
        "Influence of each action's records on the round's own return target, as a share of the round's total |influence|: "
        "blue (+) pushed the return up, orange (−) down. Estimator first_order, recorded minibatch order, "
        f"seed {run.config.seed}. Click a cell to choose its round."
    )
    if not stored:
        st.info("No round of this run has records, so influence can't be computed.", icon=":material/info:")
    elif run.manifest.action_space.kind != "discrete":
        st.info(
            "The map groups records by action, and this run's actions are continuous.",
            icon=":material/info:",
        )
    else:
        important = [page.current_round(run), *(incident.update for incident in reversed(seen.found))]
        formation_map.draw(run, important, page.current_round(run), open_mark)


if chosen is not None and (shown.lists_records or not shown.pages):
    with page.one_line_errors():
        draw_records(chosen)
if shown.has_formation:
    with page.one_line_errors():  # a damaged round takes nothing else with it
        draw_formation()

with st.expander("Settings of this run"):
    language = {} if run.manifest.language is None else {"language model": run.manifest.language.to_json()}
    st.json({"settings": run.config.to_json(), **language, "made with": dict(run.manifest.fingerprint)})

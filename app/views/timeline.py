"""Timeline: how learning went."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.charts import timeline as charts
from app.runs import incidents
from app.shell import downloads, follow_run, kinds, loaders, page, state
from app.shell.text import escape
from engine.analysis.behaviour import unread

MOST_RECORDS = 1_000
# That are listed of a round, for a browser's sake. A comment, because Streamlit shows strings of a page.

name, run = page.current_run()
follow_run.draw(run)
rounds = run.rounds
if not rounds:
    st.info(
        "No round is committed yet. If the run is being trained, the first one is here in a moment.",
        icon=":material/info:",
    )
    st.stop()
stored = run.stored_rounds
dark = state.is_dark()
numbers = [info.round for info in rounds]


def column(key: str) -> list[float | None]:
    """A metric over rounds."""
    return [info.metrics.get(key) for info in rounds]


def open_round(key: str) -> None:
    """Take over the round of a clicked mark, if it has records (a callback)."""
    clicked = state.selected_point(key)
    if clicked is not None and int(clicked) in stored:
        state.put({"round": int(clicked)})


def metrics_table() -> dict[str, list[float | None]]:
    """Every metric over the rounds."""
    return {key: column(key) for key in dict.fromkeys(key for info in rounds for key in info.metrics)}


chosen = page.current_round(run) if stored else None
shown, words = kinds.shown(run), kinds.words(run)
what, collected = words.returned, shown.collected or f"The round's {words.episodes}"
returns = [value for value in column("mean_return") if value is not None]
with st.container(horizontal=True):
    st.metric("Rounds", len(rounds), border=True)
    st.metric("Records", f"{sum(info.metrics.get('records') or 0 for info in rounds):,}", border=True)
    if returns:
        st.metric(f"{'Final' if run.final else 'Latest'} {what}", f"{returns[-1]:.4g}", border=True)
        st.metric(f"Best {what}", f"{max(returns):.4g}", border=True)
    st.metric("Optimizer", escape(f"{run.config.optimizer} {run.config.learning_rate:g}"), border=True)

if origin := kinds.origin(run):
    tested = rounds[0].metrics.get("self_test")
    if isinstance(tested, str):
        origin += f" The first round was replayed while it was recorded: {tested}."
    with st.container(key="origin"):
        st.caption(escape(origin))

seen = incidents.known(run, name)
st.subheader(what.capitalize(), anchor=False)
st.caption(
    f"{collected}: mean, and a band of one standard deviation between "
    f"{words.episodes}. "
    "Filled marks have records: click one to choose the round."
    + ("" if len(stored) == len(rounds) else " Of the rounds with open marks only the metrics are kept.")
)
st.plotly_chart(
    charts.returns(
        numbers,
        column("mean_return"),
        column("std_return"),
        [info.stored for info in rounds],
        chosen,
        dark,
        what,
        seen.found,
        seen.noise,
    ),
    key="returns",
    config=downloads.chart(f"{run.name}-returns"),
    on_select=lambda: open_round("returns"),
    selection_mode="points",
    alt=f"Line chart of the mean {what} of each round, and below it a strip of marks at the rounds with an incident",
)
incidents.draw(seen, name)
with st.container(horizontal=True, vertical_alignment="center"):
    downloads.offer({f"{run.name}-rounds": lambda: pd.DataFrame({"round": numbers, **metrics_table()})})
    if chosen is not None and shown.pages:
        page.to_records(run, name, chosen)


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
    st.subheader("Formation", anchor=False)
    st.caption(
        "Influence of each action's records on the round's own return target, as a share of the round's total |influence|: "
        "blue (+) pushed the return up, orange (−) down. Estimator first_order, recorded minibatch order, "
        f"seed {run.config.seed}. Click a cell to choose its round."
    )
    if not stored:
        st.info("No round of this run has records, so influence can't be computed.", icon=":material/info:")
    elif run.manifest.action_space.kind != "discrete":
        st.info(
            "The map groups records by action, and this run's actions are not of a Discrete space.",
            icon=":material/info:",
        )
    else:
        columns, table, failed = loaders.formation_table(run, "first_order")
        for line in unread(failed):
            st.warning(escape(line), icon=":material/info:")
        if not columns:
            return
        st.plotly_chart(
            charts.formation(columns, page.action_names(run), table, dark),
            key="formation",
            config=downloads.chart(f"{run.name}-formation"),
            on_select=lambda: open_round("formation"),
            selection_mode="points",
            alt="Heatmap of summed influence by action and round",
        )


if chosen is not None and (shown.lists_records or not shown.pages):
    with page.one_line_errors():
        draw_records(chosen)
if shown.has_formation:
    with page.one_line_errors():  # a damaged round takes nothing else with it
        draw_formation()

st.subheader("Update", anchor=False)
st.caption(
    "Means over the optimizer steps of each round's update; explained variance of the critic before it." + shown.updates
)
st.plotly_chart(
    charts.losses(numbers, {key: column(key) for key in charts.LOSSES}, dark),
    key="losses",
    config=downloads.chart(f"{run.name}-losses"),
    alt="Small charts of the losses, entropy, KL, clipping and explained variance per round",
)
with st.expander("Settings of this run"):
    language = {} if run.manifest.language is None else {"language model": run.manifest.language.to_json()}
    st.json({"settings": run.config.to_json(), **language, "made with": dict(run.manifest.fingerprint)})

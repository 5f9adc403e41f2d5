"""The page Outcome's section about an intervention in which nothing was played: numbers on records, beside the controls'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from app.charts import on_records as charts
from app.charts.comparison import arm_names
from app.shell import downloads, state
from app.shell.chart import draw_chart
from app.shell.glossary import explained
from app.shell.text import escape
from engine.intervention.unplayed import NUMBERS, not_played
from engine.jobs.interventions import InterventionJob
from engine.store.read import Run


def titles(result: Mapping[str, Any]) -> dict[str, str]:
    """The changes that are shown: name in the result -> what it is called."""
    names = arm_names(bool(result.get("repair")))
    return {name: names[name] for name in ("counterfactual", "control")} | {
        "difference_from_control": "between the two"
    }


def draw(run: Run, job: InterventionJob, result: Mapping[str, Any]) -> None:
    """What was not played, the chart, and the numbers with the controls' interval."""
    with st.container(key="unplayed"):
        st.warning(escape(not_played(result)), icon=":material/videocam_off:")
    judged = result["judged"]
    named = titles(result)
    for column, (name, title) in zip(st.columns(len(named)), named.items(), strict=True):
        column.markdown(f"{title[0].upper()}{title[1:]}  \n**{interval(judged[name])}**")
    st.caption(
        "Change of the target that the verdict is about: mean with its 95 % t interval over the minibatch orders. A verdict "
        "needs the first and the last to exclude 0 on the same side.",
        help=explained("counterfactual", "control", "interval", "minibatch order", "verdict", "return target", "KL"),
    )
    draw_chart(
        charts.changes_on_records(result, NUMBERS, state.is_dark()),
        key="compare_on_records",
        config=downloads.chart(f"{run.name}-{job.id}-on-records"),
        alt="Change of the return target, of KL and of log-probabilities on the records of the replayed round and of later "
        f"ones, {named['counterfactual']} and {named['control']}. The table below it has the numbers.",
    )
    for line in result["left_out"]:
        st.caption(f"Left out: {escape(line)}")
    st.dataframe(
        table(result),
        key="on_records_table",
        hide_index=True,
        alt="Changes on the records of each round with their intervals",
    )
    st.caption(
        "Large marks: mean with 95 % interval; small marks: one minibatch order each, with random records of its own. Return "
        "target: mean of that round's advantage times the log-probability of its actions. KL in nats, from the original "
        "policy. Later rounds were collected by policies that came from the original update, so their actions are likelier "
        "under it."
    )


def interval(change: Mapping[str, Any]) -> str:
    """+mean (low to high)."""
    if change["low"] is None:
        return f"{change['mean']:+.3g}"
    return f"{change['mean']:+.3g} ({change['low']:+.3g} to {change['high']:+.3g})"


def table(result: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each number on the records of each round."""
    named = titles(result)
    return pd.DataFrame(
        {"round": on["round"], "records": on["records"], "number": NUMBERS[name]}
        | {title: interval(on[name][key]) for key, title in named.items()}
        for on in result["by_round"]
        for name in NUMBERS
        if name in on
    )


def orders_table(result: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each minibatch order: round, number, and its value in every arm."""
    return pd.DataFrame(
        {"round": on["round"], "number": name, "order": order}
        | {arm: values[order] for arm, values in on[name]["order_values"].items()}
        for on in result["by_round"]
        for name in NUMBERS
        if name in on
        for order in range(result["orders"])
    )

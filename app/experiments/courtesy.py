"""The Experiments page's part on the demonstration of language models."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from app.charts import courtesy as charts
from app.shell import state
from app.shell.chart import draw_chart
from app.shell.text import escape
from engine.demos.courtesy.experiment.figures import cost_axis
from engine.demos.courtesy.experiment.findings import COSTS, ratio, reached, sentences, spell
from engine.demos.courtesy.experiment.plan import CONDITIONS, RUDE
from engine.demos.courtesy.experiment.report import CAVEATS, about, number
from engine.demos.courtesy.experiment.results import CourtesyResults
from engine.experiments.plans import STANDARD

SHORT = {"rounds": "rounds", "sequences": "sequences", "seconds": "CPU s"}
"""`COSTS` as heads of columns."""
MEASURES = {"rude": "rude rate", "fluency": "fluency", "variety": "variety", "kl": "KL to the first policy"}


def draw_courtesy(results: CourtesyResults) -> None:
    """What came out, over which cost, and what it must not be taken for."""
    st.caption(escape(about(results)))
    if not results.complete:
        st.info(
            "This campaign is not finished: the figures are about the seeds that are. Continue it with the command below.",
            icon=":material/info:",
        )
    st.warning(escape(f"{CAVEATS[0]} {CAVEATS[1]}"), icon=":material/science:")
    st.markdown("\n".join(f"- {escape(line)}" for line in sentences(results)))
    left, right = st.columns(2)
    with left:
        measure = _control("Measure", "measure", MEASURES)
    with right:
        cost = _control("Over", "cost", COSTS)
    st.caption("Mean over seeds; the band goes from the lowest to the highest seed." + _meaning(measure))
    for column, condition in zip(st.columns(len(CONDITIONS)), CONDITIONS, strict=True):
        with column:
            st.markdown(f"**{condition.capitalize()} rewards**")
            here = [arm for arm in results.plan.arms if results.finished[condition, arm]]
            arms = [
                (arm, cost_axis(results, condition, arm, cost), results.column((condition, arm), measure))
                for arm in here
            ]
            level = RUDE if measure == "rude" else None
            draw_chart(
                charts.over_cost(arms, results.plan.arms, COSTS[cost], MEASURES[measure], level, state.is_dark()),
                key=f"courtesy_{condition}",
                alt=f"{MEASURES[measure].capitalize()} of every arm over {COSTS[cost]}, with {condition} rewards",
            )
    st.dataframe(
        costs_table(results),
        key="courtesy_costs",
        hide_index=True,
        height="content",
        alt="Table of what it cost every arm to become courteous",
    )
    st.caption(
        f"Until the rude rate is first below {RUDE:g}: mean over seeds, and the ratio to PPO of the same seed (geometric mean, "
        "95 % t interval). An arm that never got there counts as one round after the last. Fluency is that at the end."
    )
    _draw_detection(results)
    with st.expander("What the numbers are, and how they were made"):
        st.markdown("\n".join(f"- {escape(line)}" for line in CAVEATS))
        for made in results.made:
            st.code(made["command"], language="bash")


def costs_table(results: CourtesyResults) -> pd.DataFrame:
    """One row a condition and arm: what it cost, and as a share of PPO's cost."""
    rows = []
    for condition in CONDITIONS:
        for arm in results.plan.arms:
            if not results.finished[condition, arm]:
                continue
            mine = reached(results, condition, arm)
            row: dict[str, object] = {"rewards": condition, "arm": arm, "seeds": len(mine.seeds)}
            compared = arm != STANDARD and results.finished.get((condition, STANDARD))
            for cost, title in SHORT.items():
                row[title] = number(mine.costs[cost].mean())
                share = ratio(mine, reached(results, condition, STANDARD), cost) if compared else None
                row[f"{title}: of PPO's"] = "" if share is None else spell(share)
            row["never"] = f"{mine.never} of {len(mine.seeds)}"
            row["fluency"] = f"{results.column((condition, arm), 'fluency')[:, -1].mean():.2f}"
            rows.append(row)
    return pd.DataFrame(rows)


def _draw_detection(results: CourtesyResults) -> None:
    if not results.finished.get(("flipped", "iif")):
        return
    st.subheader("Finding the planted faults", anchor=False)
    st.caption(
        "How well a round's flipped rewards are told from the others, in runs of IIF: 1 is always, 0.5 (dashed) is guessing. "
        "First-order influence on the sequence target, without the value loss, beside the reward as training saw it."
    )
    aucs = [results.column(("flipped", "iif"), f"auc_{name}")[:, 1:] for name in ("influence", "reward")]
    draw_chart(
        charts.detection(aucs[0], aucs[1], state.is_dark()),
        key="courtesy_detection",
        alt="AUC of the planted flips in each round by influence and by reward",
    )


def _control(label: str, key: str, options: Mapping[str, str]) -> str:
    """One of several titles, kept in the address."""
    names = list(options)
    state.choose(key, names, names[0])
    chosen = st.segmented_control(label, names, key=key, required=True, format_func=lambda name: options[name])
    return chosen or names[0]


def _meaning(measure: str) -> str:
    return {
        "rude": f" Judged by the grammar's lexicon; dashed: {RUDE:g}, to be reached.",
        "fluency": " Share of the judged responses that the grammar can make.",
        "variety": " Share of different responses among those judged.",
        "kl": " Mean over responses of the KL to the policy before training.",
    }[measure]

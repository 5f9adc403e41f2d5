"""Experiments: does filtering by influence make PPO learn faster, here and in the paper?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app.charts import experiments as charts
from app.experiments import loaders
from app.experiments.courtesy import draw_courtesy
from app.shell import downloads, state
from app.shell.chart import draw_chart
from app.shell.glossary import explained, meaning
from app.shell.text import escape
from engine.demos.courtesy.experiment.plan import NAME as COURTESY
from engine.demos.courtesy.experiment.results import read_results as read_courtesy
from engine.errors import EngineError
from engine.experiments.findings import evaluation, fewer_rounds, on_a_busier_machine
from engine.experiments.paper import comparable, quoted
from engine.experiments.plans import RESEEDED, STANDARD
from engine.experiments.report_tables import saving_name
from engine.experiments.results import Campaign, Results
from engine.experiments.summary import ALL, SYMMETRIC

EFFICIENCIES = {"se_sym": "SE_sym", "se_ave": "SE_ave", "se_peak": "SE_peak", "rt_peak": "RT_peak"}
OUTCOMES = {"final": "final return", "area": "area"}
GAINS = {SYMMETRIC: "Fewer rounds (SE_sym)", "final": "Final return", "area": "Area under the curve"}
FIRST_ARMS = (STANDARD, "iif 0.5", "guarded 0.5", "random")


def words(low: float, high: float) -> str:
    """What an interval of a difference from PPO says."""
    if np.isnan(low):
        return "one seed, no interval"
    return "better" if low > 0 else "worse" if high < 0 else "within noise"


def around(value: float | None, error: float | None, scale: float = 100) -> str:
    """`21.2 ± 3.4`, or nothing where there is no number."""
    if value is None or np.isnan(value):
        return ""
    return f"{scale * value:.1f}" + ("" if error is None or np.isnan(error) else f" ± {scale * error:.1f}")


def saved(row: Mapping[Hashable, Any], key: str) -> str:
    """An efficiency in per cent: SE_sym with its interval, the paper's with their standard error."""
    if key != SYMMETRIC:
        return around(row[key], row[f"{key}_error"])
    value, low, high = (100 * row[f"{key}{end}"] for end in ("", "_low", "_high"))
    return f"{value:.1f}" + ("" if np.isnan(low) else f" ({low:.0f} to {high:.0f})")


def efficiency_table(rows: pd.DataFrame, results: Results | None) -> pd.DataFrame:
    """What every arm saves in per cent, PPO against PPO first; then what the paper reports, where it trains like this."""
    shown = []
    for row in rows[rows["se_ave"].notna()].to_dict("records"):
        own = {title: saved(row, key) for key, title in EFFICIENCIES.items()}
        never, below = around(row["never"], None), f"{row['below']:.0f} of {row['seeds']}"
        arm = saving_name(row["arm"])
        shown.append({"arm": arm, **own, "levels never reached": never, "seeds below PPO's worst": below})
    paper = None if results is None else quoted(results.config)
    if paper is not None:
        figures = {"se_ave": around(paper.se_ave, paper.se_ave_error, 1), "se_peak": around(paper.se_peak, None, 1)}
        figures |= {"se_sym": "", "rt_peak": around(paper.rt_peak, None, 1)}
        quote = {title: figures[key] for key, title in EFFICIENCIES.items()}
        shown.append({"arm": f"paper: iif {paper.p:g}", **quote})
    table = pd.DataFrame(shown).fillna("")
    return table.loc[:, (table != "").any()]


def returns_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Final return and area of every arm, with intervals and what they say."""
    shown = pd.DataFrame({"arm": rows["arm"], "seeds": rows["seeds"]})
    for key, title in OUTCOMES.items():
        bounds = rows[[key, f"{key}_low", f"{key}_high"]].to_numpy(float)
        gains = rows[[f"{key}_gain", f"{key}_gain_low", f"{key}_gain_high"]].to_numpy(float)
        shown[title] = [
            f"{value:.4g}" + ("" if np.isnan(low) else f" ({low:.4g} to {high:.4g})") for value, low, high in bounds
        ]
        shown[f"{title}: against PPO"] = [
            "" if np.isnan(gain) else f"{gain:+.3g}, {words(low, high)}" for gain, low, high in gains
        ]
        shown[f"P({title} better)"] = rows[f"{key}_better"]
    return shown


def draw_tables(rows: pd.DataFrame, results: Results | None, name: str) -> None:
    """What comes out, sample efficiency, beside the paper's where it trains like this, then returns."""
    records = [
        {str(name): value for name, value in row.items()}
        for row in rows.astype(object).where(rows.notna(), None).to_dict("records")
    ]
    if said := fewer_rounds(records):
        st.markdown(escape(said))
    st.dataframe(
        efficiency_table(rows, results),
        key="efficiency_table",
        hide_index=True,
        height="content",
        placeholder="",
        column_config={
            name: st.column_config.TextColumn(help=meaning(name)) for name in ("arm", *EFFICIENCIES.values())
        },
        alt="Table of every arm's sample efficiency against PPO, and of the paper's",
    )
    st.caption(
        "SE_sym: per cent fewer rounds than PPO, over the levels of return that both reach and all pairs of seeds, with its "
        "95 % interval. The paper's measures compare equal seeds, mean ± standard error: SE_ave over all levels of PPO's return, "
        "SE_peak and RT_peak (training time) at its highest; their zero lies where PPO against another seed of PPO does, in the "
        "first row. A level that was never reached counts as reached one round after the last; the table says for how many per "
        "cent of the levels."
    )
    if results is not None:
        st.caption(escape(comparable(results.config)))
    busier = "" if results is None else on_a_busier_machine(records)
    if busier:
        st.caption(escape(busier))
    chances = {f"P({title} better)": st.column_config.NumberColumn(format="%.2f") for title in OUTCOMES.values()}
    arm = {"arm": st.column_config.TextColumn(width=170, help=meaning("arm"))}
    st.dataframe(
        returns_table(rows),
        key="returns_table",
        hide_index=True,
        height="content",
        column_config=arm | chances,
        placeholder="",
        alt="Table of every arm's final return and area under the curve",
    )
    st.caption(
        "Interquartile means over seeds with 95 % stratified bootstrap intervals. Final return: the last three evaluations; "
        "area under the curve: the mean over all. P(better): how likely a seed of the arm beats a seed of PPO."
    )
    st.download_button(
        "These figures as CSV",
        rows.to_csv(index=False),
        downloads.safe_name(f"{name}-summary.csv"),
        "text/csv",
        icon=":material/download:",
    )


def draw_gains(rows: pd.DataFrame, names: list[str], unit: str) -> None:
    """Rounds saved and both outcomes against PPO, side by side."""
    st.subheader("Against PPO", anchor=False)
    st.caption(
        f"SE_sym, and differences of the interquartile means from PPO's, {unit}, with 95 % bootstrap intervals over seeds. Full "
        "marks: the interval excludes 0. Open marks: within noise."
    )
    compared = rows[rows["final_gain"].notna()]
    if not len(compared):
        st.info("PPO has no finished seed yet, so there is nothing to compare with.", icon=":material/info:")
        return
    for column, (outcome, title) in zip(st.columns(len(GAINS)), GAINS.items(), strict=True):
        with column:
            st.markdown(f"**{title}**")
            draw_chart(
                charts.gains(compared, outcome, names, state.is_dark()),
                key=f"gains_{outcome}",
                alt=f"{title} of every arm against PPO, with intervals",
            )


def draw_experiment(results: Results, rows: pd.DataFrame) -> None:
    """One environment."""
    experiment = results.experiment
    names = sorted((arm.name for arm in experiment.arms), key=lambda arm: arm not in FIRST_ARMS)
    finished = {name: len(results.finished[name]) for name in names}
    planned = {name: len(results.seeds.get(name, ())) for name in names}
    with st.container(horizontal=True):
        st.metric("Environment", escape(experiment.env_id), border=True)
        st.metric("Rounds", escape(experiment.rounds), border=True)
        st.metric("Evaluation episodes", "exact" if experiment.exact else escape(experiment.episodes), border=True)
        st.metric("Training runs", f"{sum(finished.values())} of {sum(planned.values())}", border=True)
        st.metric("Optimizer", escape(f"{results.config.optimizer} {results.config.learning_rate:g}"), border=True)
    if not results.complete:
        st.info(
            "This campaign is not finished: the figures are about the seeds that are. Continue it with the command below.",
            icon=":material/info:",
        )
    if experiment.note:
        st.caption(escape(experiment.note))
    if not rows["arm"].size:
        return

    st.subheader("Learning curves", anchor=False)
    here = [name for name in names if finished[name]]
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    with left:
        state.choose_many("arms", here, [name for name in FIRST_ARMS if name in here], scope=experiment.name)
        chosen = st.multiselect("Arms", here, key="arms", help=explained("arm", "IIF", "guarded"))
    with right:
        state.choose("band", list(charts.BANDS), "all seeds")
        band = st.selectbox("Band", list(charts.BANDS), key="band", help=meaning("band"))
    peak = float(np.nanmax(results.curves(STANDARD).mean(axis=0))) if finished.get(STANDARD) else None
    every = "" if experiment.evaluate_every == 1 else f", every {escape(experiment.evaluate_every)} rounds"
    st.caption(
        f"Mean test return over seeds after each round{every}: {escape(evaluation(results))}. "
        f"Band: {charts.BANDS[band]}. Dashed: the highest mean that PPO reaches."
    )
    draw_chart(
        charts.curves({name: results.curves(name) for name in chosen}, names, band, peak, state.is_dark()),
        key="experiment_curves",
        alt="Learning curves of the chosen arms with bands over seeds",
    )
    st.subheader("How much sooner it learns", anchor=False)
    draw_tables(rows, results, experiment.name)
    draw_gains(rows, names, "in units of return")
    draw_choice_of_p(results, rows)
    with st.expander("How it was made"):
        for made in results.made:
            st.code(made["command"], language="bash")
        st.json({"settings": results.config.to_json(), "made": list(results.made)}, expanded=False)


def draw_choice_of_p(results: Results, rows: pd.DataFrame) -> None:
    """Sample efficiency by p, where an arm's settings name one."""
    arms = {arm.name: arm for arm in results.experiment.arms}
    own = [arms[arm].settings for arm in rows["arm"]]
    reseeded = [arms[arm].reseeded for arm in rows["arm"]]
    table = rows.copy()
    table["p"] = [one.get("drop") for one in own]
    varied = ("filter", "filter_mode", "filter_estimator", "repair")
    table["filter"] = [" ".join(one[name] for name in varied if name in one) for one in own]
    table["filter"] += ["" if not one else f" {RESEEDED}" for one in reseeded]
    several = table.groupby("filter")["p"].transform("nunique") > 1
    table = table[several & table["se_ave"].notna()].sort_values("p")
    if not len(table):
        return
    st.subheader("The choice of p", anchor=False, help=meaning("p"))
    titles = list(EFFICIENCIES.values())
    title = state.choose("metric", titles, titles[0])
    title = st.segmented_control("Metric", titles, key="metric", required=True, help=explained(*titles))
    metric = next(key for key, shown in EFFICIENCIES.items() if shown == title)
    paper = quoted(results.config)
    error = "95 % interval" if metric == SYMMETRIC else "standard error"
    dashed = (
        "" if getattr(paper, metric, None) is None else " Dashed: what the paper reports for IIF, with its choice of p."
    )
    st.caption(f"Mean over seeds, with the {error}.{dashed}")
    draw_chart(
        charts.choice_of_p(table, metric, getattr(paper, metric, None), state.is_dark()),
        key="choice_of_p",
        alt=f"{title} by the share of negative records that is dropped",
    )


def draw_all(campaign: Campaign, rows: pd.DataFrame) -> None:
    """Over all environments."""
    st.caption(
        "Over all environments: returns are normalised in each by PPO's worst and best evaluation there, and arms are "
        f"compared on those environments that have them. Here: {', '.join(map(escape, campaign.experiments))}."
    )
    draw_tables(rows, None, ALL)
    draw_gains(rows, list(rows["arm"]), "as a share of PPO's range")


paths = loaders.campaign_paths()
if not paths:
    st.info(
        "There are no results here yet. Make some, then reload this page:\n\n"
        "`python -m engine reproduce frozenlake --seeds 5 --out runs/reproduction`",
        icon=":material/info:",
    )
    state.stop()
first, second = st.columns(2)
with first:
    state.choose("campaign", list(paths), next(iter(paths)), always=True)
    name = st.selectbox("Campaign", list(paths), key="campaign")
campaign, table = loaders.load_campaign(paths[name])
problems, courtesy = list(campaign.damaged.values()), None
try:
    courtesy = read_courtesy(paths[name])
except EngineError as error:  # it takes no experiment with it
    problems.append(str(error))
for line in problems:
    st.error(escape(line), icon=":material/error:")
options = [*campaign.experiments, *([ALL] if len(campaign.experiments) > 1 else []), *([COURTESY] if courtesy else [])]
if not options:
    state.stop()
with second:
    state.choose("experiment", options, options[0], always=True, scope=name)
    chosen = st.selectbox(
        "Experiment", options, key="experiment", format_func=lambda one: f"{one} environments" if one == ALL else one
    )
if chosen == COURTESY and courtesy is not None:
    draw_courtesy(courtesy)
    state.stop()
rows = table[table["experiment"] == chosen]
if chosen == ALL:
    draw_all(campaign, rows)
else:
    draw_experiment(campaign.experiments[chosen], rows)

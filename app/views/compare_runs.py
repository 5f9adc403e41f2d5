"""Compare runs: two or more runs or branches, in their curves, settings, policies and episodes."""

from __future__ import annotations

import json
from typing import Any, get_args

import pandas as pd
import streamlit as st

from app.charts import compared_runs as charts
from app.charts.timeline import LOSSES
from app.runs import curve_controls, films, policy_difference
from app.shell import loaders, page, state
from app.shell.chart import draw_chart
from app.shell.glossary import explained
from app.shell.text import escape
from engine.analysis.compared_runs import FEWEST_SEEDS, Band, Curve, by_seed, curve, differing_settings
from engine.core.replays.replay import mode_name
from engine.errors import EngineError
from engine.store.read import Run

METRICS = {"mean_return": "mean return", "mean_length": "mean length of an episode", **LOSSES}


def chosen_runs() -> dict[str, Run]:
    """The runs of the bound selector that can be read; stops the page with advice if none is chosen."""
    paths = loaders.run_paths()
    labels = loaders.run_labels(paths)
    state.choose_many("runs", list(paths), [])
    names = st.multiselect(
        "Runs and branches",
        list(paths),
        key="runs",
        help=explained("run", "branch", "control"),
        format_func=lambda name: labels.get(name, name),
        placeholder="choose two or more",
    )
    if not names:
        st.info(
            "Choose two or more runs or branches here, or tick them on the page Runs.", icon=":material/compare_arrows:"
        )
        suggestions(paths)
        state.stop()
    runs = {}
    for name in names:
        try:
            runs[name] = loaders.load_run(paths[name])
        except (EngineError, OSError) as error:
            st.error(escape(f"{name} is left out: {error}"), icon=":material/error:")
    if not runs:
        state.stop()
    if len(runs) == 1:
        st.info("Choose a second run to compare this one with.", icon=":material/compare_arrows:")
    return runs


def suggestions(paths: dict[str, Any]) -> None:
    """Links that compare the runs of one environment."""
    kinds: dict[str, list[str]] = {}
    for name, path in paths.items():
        try:
            kinds.setdefault(loaders.load_run(path).manifest.env_id, []).append(name)
        except (EngineError, OSError):
            continue  # the page Runs names it
    for kind, names in kinds.items():
        if len(names) > 1:
            st.page_link(
                "views/compare_runs.py",
                label=f"The {len(names)} runs and branches of {escape(kind)}",
                query_params={"runs": state.listed(names)},
            )


def seeds_to_join(runs: dict[str, Run]) -> list[list[str]]:
    """Names of the runs that a mean can be taken over: they differ in nothing but their seed, and are not too few."""
    alone = set(state.get("alone") or ())
    groups = ([name for name in names if name not in alone] for names in by_seed(runs))
    return [names for names in groups if len(names) >= FEWEST_SEEDS]


def labelled(runs: dict[str, Run], groups: list[list[str]]) -> dict[str, list[Run]]:
    """What a line of the curves is called -> the runs whose mean it is: one for each group, and one for each other run."""
    joined, lines = {name: names for names in groups for name in names}, {}
    for name in runs:
        names = joined.get(name, [name])
        seeds = f", mean of seeds {', '.join(str(runs[one].config.seed) for one in names)}" if len(names) > 1 else ""
        lines[page.called(runs, names[0]) + seeds] = [runs[one] for one in names]
    return lines


def seed_controls(runs: dict[str, Run]) -> tuple[list[list[str]], Band]:
    """Draw what is asked about seeds, if there are any: the groups that are joined, and the band around each."""
    seeds = [name for names in by_seed(runs) if len(names) >= FEWEST_SEEDS for name in names]
    bands: list[Band] = list(get_args(Band))
    if not seeds:
        return [], bands[0]
    state.choose("join", [False, True], False)
    joined = st.toggle(
        "Mean over seeds", key="join",
        help="One line for the runs that differ only in their seed. Fewer than three are drawn as they are.",
    )  # fmt: skip
    if not joined:
        return [], bands[0]
    band: Band = state.choose("band", bands, "95 % t interval")
    band = st.selectbox("Band over seeds", bands, key="band", width=200, help=explained("band", "interval", "seed"))
    state.choose_many("alone", seeds, [])
    st.multiselect(
        "Not in the mean", seeds, key="alone", width=260, placeholder="all are in it",
        format_func=lambda name: page.called(runs, name),
        help="These runs have a line of their own.",
    )  # fmt: skip
    return seeds_to_join(runs), band


def about_seeds(groups: list[list[str]], band: Band) -> str:
    """How many runs a line is of, in words."""
    if not groups:
        return "One line per run."
    of_mean = ", of the mean" if band == "95 % t interval" else ""
    said = (
        f"; band: {band} over the seeds{of_mean}, where at least {FEWEST_SEEDS} have a value"
        if band != "no band"
        else ""
    )
    return (
        f"Runs that differ only in their seed are one line, their mean{said}. The axis is that of the runs themselves."
    )


def draw_curves(runs: dict[str, Run]) -> None:
    """Return and the other metrics over training."""
    st.subheader("Curves", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.choose("metric", list(METRICS), "mean_return")
        metric = st.selectbox(
            "Metric", list(METRICS), key="metric", format_func=METRICS.__getitem__, width=240,
            help=explained("return", "loss", "entropy", "KL", "clip fraction", "explained variance"),
        )  # fmt: skip
        across = curve_controls.across()
        smoothing = curve_controls.smoothing()
        groups, band = seed_controls(runs)
    lines = labelled(runs, groups)
    by_steps = across == curve_controls.ACROSS[1]

    def draw(name: str) -> dict[str, Curve]:
        return {label: curve(group, name, smoothing, band) for label, group in lines.items()}

    found = draw(str(metric))
    if not any(len(line.round) for line in found.values()):
        st.info(f"None of these runs has a {METRICS[str(metric)]} yet.", icon=":material/info:")
    else:
        draw_chart(
            charts.curves(found, METRICS[str(metric)], by_steps, state.is_dark()),
            key="runs_curves",
            alt=f"Line chart of the {METRICS[str(metric)]} over {across}, one line for each of: {', '.join(found)}",
        )
    st.caption(
        ("Return and length: of the training episodes that ended in the round. " if "mean" in str(metric) else "")
        + (f"Smoothed with weight {smoothing:g}; the faint line is as measured. " if smoothing else "")
        + about_seeds(groups, band)
    )
    others = {title: draw(name) for name, title in METRICS.items() if name != metric}
    there = {title: of for title, of in others.items() if any(len(line.round) for line in of.values())}
    with st.expander("Other metrics", key="other_metrics", on_change="rerun") as panel:
        if panel.open:
            draw_chart(
                charts.small_multiples(there, by_steps, state.is_dark()),
                key="runs_metrics",
                alt=f"Small charts of {', '.join(there)}",
            )


def draw_settings(runs: dict[str, Run]) -> None:
    """The settings in which the runs differ, and where they come from."""
    st.subheader("What differs", anchor=False, help=explained("branch", "mask", "rebatch"))
    rows = {
        field: {name: written(value) for name, value in row.items()} for field, row in differing_settings(runs).items()
    }
    origins = {name: run.manifest.parent for name, run in runs.items()}
    if any(origins.values()):
        rows["branch of"] = {name: parent.run if parent else "" for name, parent in origins.items()}
        rows["from round"] = {name: str(parent.round) if parent else "" for name, parent in origins.items()}
        rows["removed records"] = {
            name: f"{len(parent.removed)} ({mode_name(parent.mode)})" if parent and parent.removed else ""
            for name, parent in origins.items()
        }
        repaired = {name: len(parent.repaired) if parent else 0 for name, parent in origins.items()}
        if any(repaired.values()):
            rows["repaired records"] = {name: str(count) if count else "" for name, count in repaired.items()}
    rows["rounds so far"] = {
        name: str(len(run.rounds)) + ("" if run.final else ", unfinished") for name, run in runs.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(runs))
    table = table.rename(columns={name: page.called(runs, name) for name in runs})
    st.dataframe(
        table,
        key="differing_settings",
        column_config={"_index": st.column_config.TextColumn("", width=150)},
        alt="Table of the settings in which the runs differ, one column a run",
    )
    if not differing_settings(runs):
        st.caption("The runs have the same settings.")
    else:
        st.caption("Only settings that differ are shown.")
    for name in runs:
        link = page.intervention_of(name)
        if link is not None:
            st.page_link(
                "views/compare.py",
                label=f"{escape(page.called(runs, name))}: what the removal did",
                icon=":material/balance:",
                query_params=link,
            )


def written(value: Any) -> str:
    """A setting as it is typed on the command line."""
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


def compare_runs() -> None:
    """The page."""
    runs = chosen_runs()
    with page.one_line_errors():
        draw_curves(runs)
    draw_settings(runs)
    if len(runs) > 1:
        with page.one_line_errors():
            policy_difference.draw(runs)
        with page.one_line_errors():
            films.draw(runs)


compare_runs()

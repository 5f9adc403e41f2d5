"""Part of Compare runs: an episode of each of two policies, with the same start and the same luck."""

from __future__ import annotations

import streamlit as st

from app.charts import films as charts
from app.runs.policy_difference import policy_name
from app.shell import page, state
from app.shell.chart import draw_chart
from app.shell.films import load_film
from app.shell.text import escape
from engine.analysis.films import Film
from engine.core.evaluation import EVALUATION_SEED
from engine.store.read import Run

EPISODES = 1000


def draw(runs: dict[str, Run]) -> None:
    """The section, about the two policies that were chosen above it."""
    chosen = [(str(state.get(f"{key}_policy")), state.get(f"{key}_round")) for key in ("first", "second")]
    if any(name not in runs or k not in runs[name].checkpoint_rounds for name, k in chosen):
        return
    st.subheader("Episodes side by side", anchor=False)
    kinds = [runs[name].manifest.env_id for name, _ in chosen]
    if kinds[0] != kinds[1] or len({runs[name].manifest.environment is None for name, _ in chosen}) > 1:
        st.info(
            escape(f"The two policies act in different environments: {kinds[0]} and {kinds[1]}."),
            icon=":material/info:",
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.choose("play", [False, True], False)
        wanted = st.toggle("Play an episode of each", key="play")
        state.choose("evaluation", range(EPISODES), 0)
        number = st.number_input(
            "Evaluation episode",
            0,
            EPISODES - 1,
            key="evaluation",
            width=180,
            help="Which start and which luck: the evaluation episodes of interventions, counted from 0.",
        )
    seed = EVALUATION_SEED + int(number or 0)
    st.caption(
        f"Both policies chosen above play the evaluation episode of seed {seed}: the same start, and the same random numbers "
        "for the environment and for the sampled actions. It is one episode, an example and not a measurement."
    )
    if not wanted:
        return
    films, labels = [], []
    for name, k in chosen:
        with page.naming(page.called(runs, name)):
            films.append(load_film(runs[name], int(k), seed))
        labels.append(policy_name(name, runs[name], int(k)))
    show(films, labels)


def show(films: list[Film], labels: list[str]) -> None:
    """The films, or without pictures what came of the episodes."""
    with st.container(horizontal=True, key="episode_returns"):
        for one, label in zip(films, labels, strict=True):
            st.metric(
                escape(f"Return of {label}"), f"{one.total:.4g}", escape(f"{one.steps} steps, {one.ended}"), border=True,
                delta_color="off", delta_arrow="off",
            )  # fmt: skip
    complaint = next((one.complaint for one in films if one.complaint), "")
    if complaint:
        st.info(escape(f"No pictures: {complaint}"), icon=":material/image_not_supported:")
        return
    draw_chart(
        charts.side_by_side(films, labels, state.is_dark()),
        key="films",
        config={"displayModeBar": False},
        alt=f"Pictures of an episode of {labels[0]} and of {labels[1]} with a slider over the steps, and their return so far",
    )

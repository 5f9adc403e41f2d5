"""Behaviour: how the agent came to do this here."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app import loaders, page, state
from app.charts import behaviour as charts
from app.text import escape
from engine.attribution.targets import ActionTarget, action_target
from engine.errors import BadInputError
from engine.store.read import Run
from engine.store.snapshot import Snapshot

PER_ROUND = 5


def chosen_record(run: Run) -> tuple[Snapshot, int]:
    """The round and record of the bound text input, written K:I."""
    rounds = page.recorded_rounds(run)
    chosen = state.get("round")
    here = f"{chosen}:{state.get('inspect', 0)}" if chosen in rounds else f"{rounds[len(rounds) // 2]}:0"
    state.choose_text("record", here, scope=str(state.get("run")))
    written = st.text_input("Record", key="record", width=140, help="Round and record number, such as 12:345.")
    match = re.fullmatch(r"\s*(\d{1,9})\s*:\s*(\d{1,9})\s*", written or "")
    if match is None:
        raise BadInputError(f"the record {written!r} must be a round and a record number, such as {rounds[0]}:0")
    snapshot = loaders.load_snapshot(run, int(match[1]))
    record = int(match[2])
    if record >= len(snapshot.buffer):
        raise BadInputError(f"record {record} is out of range; round {match[1]} has 0 to {len(snapshot.buffer) - 1}")
    return snapshot, record


def chosen_action(run: Run, snapshot: Snapshot, record: int) -> ActionTarget:
    """The action that the behaviour is about: the recorded one, or another in the same state."""
    if run.manifest.action_space.kind != "discrete":
        return action_target(snapshot, record=record)
    names = page.action_names(run)
    taken = int(snapshot.buffer.action[record])
    options = ["as recorded", *names]
    state.choose("behaviour_action", options, options[0])
    picked = st.selectbox("Action", options, key="behaviour_action", width=200)
    return action_target(snapshot, record=record, action=taken if picked == options[0] else names.index(picked))


def take_record(key: str) -> None:
    """Follow a click on a record (a callback)."""
    clicked = state.selected_point(key)
    if clicked is not None and ":" in str(clicked):
        state.put({"record": str(clicked), "shown_round": int(str(clicked).split(":")[0])})


def draw_curve(run: Run, snapshot: Snapshot, target: ActionTarget) -> None:
    """pi(a|s) over rounds."""
    st.subheader("π(a | s) over rounds", anchor=False)
    if run.manifest.action_space.kind != "discrete":
        draw_gaussian_curve(run, snapshot, target)
        return
    rounds, probability = loaders.behaviour_curve(run, run.path, run.head, target, str(target.describe()))
    names, action = page.action_names(run), int(target.action[0])
    before, after = probability[0, action], probability[-1, action]
    st.caption(
        f"The policy's probability of **{escape(names[action])}** in this state went from {before:.3f} before round "
        f"{rounds[0]} to {after:.3f} {'at the end' if run.final else f'before round {rounds[-1]}'}; {len(rounds)} checkpoints, "
        f"seed {run.config.seed}."
    )
    st.plotly_chart(
        charts.curve(rounds, probability, names, action, snapshot.round, state.is_dark()),
        key="behaviour_curve",
        alt="Line chart of the action probabilities in this state over rounds",
    )


def draw_gaussian_curve(run: Run, snapshot: Snapshot, target: ActionTarget) -> None:
    """Mean and standard deviation of a continuous action over rounds."""
    rounds, mean, deviation = loaders.behaviour_gaussians(run, run.path, run.head, target, str(target.describe()))
    names = run.manifest.action_space.component_names
    st.caption(
        f"Mean and one standard deviation of the policy's action in this state, {len(rounds)} checkpoints, seed "
        f"{run.config.seed}. Dashed: the action that was taken, before clipping, and the record's round."
    )
    st.plotly_chart(
        charts.gaussian_curve(rounds, mean, deviation, names, target.action[0], snapshot.round, state.is_dark()),
        key="behaviour_curve",
        alt="Line charts of mean and standard deviation of each component of the action in this state over rounds",
    )


def draw_contributors(run: Run, snapshot: Snapshot, target: ActionTarget) -> None:
    """The records behind the behaviour, round by round."""
    st.subheader("Records behind it", anchor=False)
    st.caption(
        f"The {PER_ROUND} records of each recorded round that raised log π(a | s) most and the {PER_ROUND} that "
        "lowered it most. Estimator first_order, action target, recorded minibatch order."
        + (" Filled marks took the same action." if run.manifest.action_space.kind == "discrete" else "")
    )
    found = loaders.behaviour_contributors(run, run.path, run.head, target, str(target.describe()), PER_ROUND)
    rounds = np.concatenate([np.full(len(item.record), item.round) for item in found])
    records = np.concatenate([item.record for item in found])
    influence = np.concatenate([item.influence for item in found])
    if len(records) == 0:
        st.info("No record of any round pushes this action: the policy was certain of it throughout.")
        return
    discrete = run.manifest.action_space.kind == "discrete"
    actions = np.concatenate([item.action for item in found])
    same = actions == target.action[0] if discrete else np.ones(len(records), bool)
    st.plotly_chart(
        charts.contributors(rounds, records, influence, same, state.is_dark()),
        key="contributors",
        on_select=lambda: take_record("contributors"),
        selection_mode="points",
        alt="The most influential records of each round: height is influence on this action",
    )
    recorded = [item.round for item in found]
    state.choose("shown_round", recorded, snapshot.round)
    shown = st.select_slider("Records of round", recorded, key="shown_round")
    rows = rounds == shown
    part = loaders.load_snapshot(run, int(shown)).buffer
    table = pd.DataFrame(
        {
            "record": records[rows],
            "influence": influence[rows],
            **({"same action": same[rows]} if discrete else {}),
            "episode": part.episode[records[rows]],
            **actions_of(run, part.action[records[rows]]),
            "advantage": part.advantage[records[rows]],
            "reward": part.reward[records[rows]],
        }
    )
    st.dataframe(
        table,
        key="round_contributors",
        hide_index=True,
        column_config={"influence": st.column_config.NumberColumn(format="%+.3g")},
        alt="The records of the chosen round",
    )
    st.page_link(
        "views/diagnose.py",
        label=f"Diagnose round {shown}",
        icon=":material/troubleshoot:",
        query_params={"run": str(state.get("run")), "round": str(shown)},
    )


def actions_of(run: Run, actions: NDArray[Any]) -> dict[str, Any]:
    """Columns of a table of records: the action's name, or a column for every component."""
    space = run.manifest.action_space
    if space.kind == "discrete":
        return {"action": [page.action_names(run)[i] for i in actions]}
    return {name: actions[:, j] for j, name in enumerate(space.component_names)}


def behaviour() -> None:
    """The page."""
    _, run = page.current_run()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        snapshot, record = chosen_record(run)
        target = chosen_action(run, snapshot, record)
    st.caption(page.provenance(run, snapshot, f"state of record {record}"))
    picture, curve = st.columns([1, 3], gap="medium")
    with picture:
        drawn = loaders.picture(snapshot, snapshot.hash, record)
        if isinstance(drawn, str):
            st.info(drawn, icon=":material/image_not_supported:")
        else:
            st.image(drawn, caption=f"the state of record {record}", alt="The environment in the record's state")
    with curve:
        draw_curve(run, snapshot, target)
    with page.one_line_errors():  # a damaged round leaves the curve readable
        draw_contributors(run, snapshot, target)


behaviour()

"""Behaviour: how the agent came to do this here."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd
import streamlit as st

from app.behaviour import first_record
from app.behaviour.formation import (
    choose_round,
    chosen_round,
    clicked_round,
    draw_curves,
    draw_groups,
    draw_phases,
    draw_records,
)
from app.behaviour.incremental import IncrementalBehaviour, incremental_behaviour
from app.charts import behaviour as charts
from app.records import asked_state, inspector
from app.scores.target_controls import AS_RECORDED, can_type, typed_state
from app.shell import downloads, follow_run, loaders, page, state, timed
from app.shell.chart import draw_chart
from app.shell.glossary import explained, meaning
from app.shell.text import escape
from engine import arguments
from engine.analysis.behaviour import Behaviour
from engine.core.targets.functions import in_words
from engine.core.targets.of_records import ActionTarget, action_target, typed_target
from engine.errors import BadInputError, EngineError
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

# Of work: before the first picture, and between two pictures. A comment, because Streamlit shows strings of a page.
AT_ONCE_SECONDS, STEP_SECONDS = 0.6, 1.2
OF = {"record": "a record", "state": "a typed state"}


def chosen_record(run: Run) -> tuple[ControlSnapshot, int]:
    """The round and record of the bound text input, written K:I."""
    rounds = page.recorded_rounds(run)
    chosen = state.get("round")
    here = chosen if chosen in rounds else rounds[len(rounds) // 2]
    first = 0
    with suppress(EngineError):  # a round that can't be read is said below, once it is asked for
        first = first_record.of_round(run, loaders.load_snapshot(run, here))
    state.choose_text("record", f"{here}:{first}", scope=str(state.get("run")))
    written = st.text_input("Record", key="record", width=140, help="Round and record number, such as 12:345.")
    number, record = arguments.round_and_record(written or "", "the record")
    snapshot = loaders.load_snapshot(run, number)
    if record >= len(snapshot.buffer):
        raise BadInputError(f"record {record} is out of range; round {number} has 0 to {len(snapshot.buffer) - 1}")
    return snapshot, record


def chosen_action(run: Run, snapshot: ControlSnapshot, record: int) -> ActionTarget:
    """The action that the behaviour is about: the recorded one, or another in the same state."""
    if run.manifest.action_space.kind != "discrete":
        return action_target(snapshot, record=record)
    names = page.action_names(run)
    state.choose("behaviour_action", [AS_RECORDED, *names], AS_RECORDED)
    picked = st.selectbox("Action", [AS_RECORDED, *names], key="behaviour_action", width=200)
    return action_target(snapshot, record=record, action=None if picked == AS_RECORDED else names.index(picked))


def chosen_behaviour(run: Run) -> tuple[ActionTarget, ControlSnapshot | None, int]:
    """What the page is about; the snapshot and the record, unless a state is typed."""
    options = ["record", *(["state"] if can_type(run) else [])]
    asks_about_state = state.get("target") == "action" and state.get("of") == "state"  # on Diagnose
    default = "state" if asks_about_state and "state" in options else "record"
    state.choose("behaviour_of", options, default, always=default == "state")
    of = st.segmented_control("Follow", options, key="behaviour_of", format_func=OF.__getitem__, required=True)
    if of != "state":
        snapshot, record = chosen_record(run)
        return chosen_action(run, snapshot, record), snapshot, record
    name = typed_state(run, any_snapshot(run), 0)
    return (
        typed_target(run.manifest.observation_space, run.manifest.action_space, name.observation, name.action),
        None,
        0,
    )


def any_snapshot(run: Run) -> ControlSnapshot:
    """A round to begin a typed state with: the first one that can be read."""
    problem: EngineError | None = None
    for number in page.recorded_rounds(run):
        try:
            return loaders.load_snapshot(run, number)
        except EngineError as error:
            problem = problem or error
    raise problem or BadInputError("no round of this run has records")


def draw_curve(run: Run, snapshot: ControlSnapshot | None, found: Behaviour, complete: bool) -> None:
    """The policy in this state over rounds."""
    st.subheader("π(a | s) over rounds", anchor=False, help=meaning("π(a | s)"))
    if not found.checkpoints:
        st.info("No checkpoint of this run could be read.", icon=":material/info:")
        return
    rounds, dark = np.array(found.checkpoints), state.is_dark()
    here = None if snapshot is None else snapshot.round
    probability = found.probability
    if probability is None:
        d = found.policy.shape[1] // 2
        st.caption(
            f"Mean and one standard deviation of the policy's action in this state, {len(rounds)} checkpoints, seed "
            f"{run.config.seed}. Dashed: the action followed, before clipping, and the record's round."
        )
        names = run.manifest.action_space.component_names
        figure = charts.gaussian_curve(
            rounds, found.policy[:, :d], found.policy[:, d:], names, found.target.action[0], here, dark, chosen_round()
        )
        alt = "Line charts of mean and standard deviation of each component of the action in this state over rounds"
    else:
        names, action = tuple(page.action_names(run)), int(found.target.action[0])
        st.caption(
            f"The policy's probability of **{escape(names[action])}** in this state went from {probability[0]:.3f} before round "
            f"{rounds[0]} to {probability[-1]:.3f} {'at the end' if run.final else f'before round {rounds[-1]}'}; "
            f"{len(rounds)} checkpoints, seed {run.config.seed}. Click a round to see its records."
        )
        stretches = found.phases.stretches if complete else ()
        figure = charts.curve(rounds, found.policy, names, action, here, stretches, dark, chosen_round())
        alt = "Line chart of the action probabilities in this state over rounds, with the phases shaded"
    draw_chart(
        figure,
        key="behaviour_curve",
        on_select=lambda: clicked_round("behaviour_curve"),
        selection_mode="points",
        config=downloads.chart(f"{run.name}-behaviour"),
        alt=alt,
    )


def draw_head(run: Run, snapshot: ControlSnapshot | None, record: int, found: Behaviour, complete: bool) -> None:
    """The state and the curve."""
    picture, curve = st.columns([1, 3], gap="medium")
    with curve:  # first: a state that is restored by replaying its episode takes a while to draw
        draw_curve(run, snapshot, found, complete)
    with picture:
        if snapshot is None:
            asked_state.picture(any_snapshot(run), found.target.observation)
            return
        drawn = loaders.picture(snapshot, record)
        if isinstance(drawn, str):
            st.info(escape(drawn), icon=":material/image_not_supported:")
        else:
            st.image(drawn, caption=f"the state of record {record}", alt="The environment in the record's state")


def draw(run: Run, snapshot: ControlSnapshot | None, record: int, found: Behaviour, complete: bool) -> None:
    """All that is known."""
    choose_round(run, snapshot)
    draw_head(run, snapshot, record, found, complete)
    for note in found.notes:
        st.warning(escape(note), icon=":material/info:")
    if complete:
        draw_phases(found)
    if found.formation:
        draw_curves(run, found, found.phases.stretches if complete else ())
        draw_groups(run, found)
    draw_records(run, found.target)


def draw_known_so_far(run: Run, snapshot: ControlSnapshot | None, record: int, known: IncrementalBehaviour) -> None:
    """What is known, drawn again and again until nothing is missing."""
    shown = state.get("shown_round")
    first = True

    @timed.every(STEP_SECONDS)
    def step() -> None:
        nonlocal first
        found = known.advance(0 if first else STEP_SECONDS)
        first = False
        if known.is_complete or state.get("shown_round") != shown:
            st.rerun()
        st.progress(known.progress, f"finding the records behind it, round by round: {known.progress:.0%}")
        draw(run, snapshot, record, found, complete=False)

    step()


def followed(run: Run, target: ActionTarget, snapshot: ControlSnapshot | None, record: int) -> str:
    """What the page is about: round, episode, step and action of the record, or the state that was typed; plain text."""
    if snapshot is None:
        state_name = asked_state.name_of(any_snapshot(run), target.observation)
        return f"{state_name[:1].upper()}{state_name[1:]}: {_action(run, target)}"
    title = inspector.title(run, snapshot, loaders.load_fields(snapshot), record)
    taken = np.array_equal(np.ravel(target.action), np.ravel(snapshot.buffer.action[record]))
    return title if taken else f"{title}; followed here: {_action(run, target)}"


def _action(run: Run, target: ActionTarget) -> str:
    """The action that is followed, by its name."""
    if run.manifest.action_space.kind == "discrete":
        return page.action_names(run)[int(target.action[0])]
    values = zip(run.manifest.action_space.component_names, np.ravel(target.action).tolist(), strict=True)
    return ", ".join(f"{name} {value:+.2f}" for name, value in values)


def policy_table(run: Run, found: Behaviour) -> pd.DataFrame:
    """The curve: one row a checkpoint, what the policy says in the state."""
    space = run.manifest.action_space
    names = [f"{what} {part}" for what in ("mean", "deviation") for part in space.component_names]
    columns = page.action_names(run) if found.is_discrete else names
    return pd.DataFrame(found.policy, columns=columns).assign(round=found.checkpoints).set_index("round").reset_index()


def behaviour() -> None:
    """The page."""
    _, run = page.current_run()
    page.only_about(run, "behaviour")
    follow_run.draw(run)
    page.recorded_rounds(run)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        target, snapshot, record = chosen_behaviour(run)
    st.markdown(f"**{escape(followed(run, target, snapshot, record))}**")
    if snapshot is None:
        st.caption(f"{escape(in_words(target, run.manifest.action_space.value_names))} · seed {run.config.seed}")
    else:
        where = page.provenance(run, snapshot, f"state of record {record}")
        st.caption(escape(where), help=explained("seed", "commit"))
    known = incremental_behaviour(run, target)
    found = known.advance(AT_ONCE_SECONDS)
    if known.is_complete:
        draw(run, snapshot, record, found, complete=True)
        downloads.offer({f"{run.name}-behaviour": lambda: policy_table(run, found)})
    else:
        draw_known_so_far(run, snapshot, record, known)


behaviour()

"""The dialog that retrains without the basket, or with its records repaired."""

from __future__ import annotations

import streamlit as st

from app.removal import start
from app.scores.target_controls import in_words as target_in_words
from app.shell import kinds, selection, state
from app.shell.glossary import explained, meaning
from app.shell.text import escape
from engine.core.kind import kind_of
from engine.core.scores import Scores
from engine.core.targets.question import TargetName
from engine.errors import BadInputError, EngineError
from engine.intervention.duration import intervention_seconds
from engine.intervention.origin import in_words
from engine.intervention.plan import Intervention, episodes_per_order, unrepairable
from engine.jobs.launch import jobs_pool
from engine.store.read import Run
from engine.store.snapshot import Snapshot
from engine.terminal import duration

MODES = {"mask": "the same, with gaps", "rebatch": "reshuffled"}
"""Mode -> what becomes of the minibatches, in words."""
DONE = {"remove": "left out", "repair": "repaired"}
"""What is done to the records -> in words."""


@st.dialog("Retrain the round", width="large", on_dismiss=lambda: state.put({"retrain_open": False}))
def retrain_dialog(
    run: Run,
    snapshot: Snapshot,
    scores: Scores | None,
    records: list[int],
    target: TargetName,
) -> None:
    """How to retrain; starts the job.

    Args:
        run: the run.
        snapshot: its round.
        scores: influence on the target; None: not known.
        records: the basket.
        target: whose change is measured beside the return.
    """
    episodes_are = kind_of(snapshot).words.evaluated
    if not records:
        st.info("The basket is empty: select records in a chart or in a table and add them first.")
        return
    if not snapshot.minibatches.size:
        st.info("This round was recorded without its minibatches, so its update can't be replayed without records.")
        return
    try:
        unplayed = kind_of(snapshot).unplayed(snapshot)
    except EngineError as error:
        st.error(escape(error), icon=":material/error:")
        return
    repair = _repair(snapshot, records)
    on = "recorded rounds" if unplayed else f"the same {episodes_are}"
    which = f"**{len(records)}** of {len(snapshot.buffer)} records"
    done = f"with {which} repaired" if repair else f"without {which}"
    st.markdown(
        f"The update of round {snapshot.round} is replayed {done}, and compared on {on} with the original and with the "
        f"{'repair' if repair else 'removal'} of as many random records."
        + (" Repaired records train with their TD errors in the place of their advantages." if repair else "")
    )
    if unplayed:
        st.info(
            f"Nothing will be played: {escape(unplayed)}. The policies are compared by the return target, KL and the "
            "log-probabilities of recorded actions, on this round and later ones. That says nothing of returns.",
            icon=":material/videocam_off:",
        )
    chosen = selection.kept(run, snapshot.round)[0].chosen
    names = run.manifest.action_space.value_names
    st.caption(
        f"Chosen: {escape(in_words(chosen, names))}. Measured beside the return: {escape(_target(run, target))}."
    )
    left, right = st.columns(2)
    mode = left.segmented_control(
        "Minibatches", list(MODES), default="mask", required=True, key="mode", format_func=MODES.__getitem__,
        help="Repaired records stay where they are." if repair else explained("mask", "rebatch"), disabled=repair,
    )  # fmt: skip
    orders = left.number_input(
        "Minibatch orders", 2, 64, 8, key="orders",
        help=f"Replays per arm: a single one is mostly noise of the order. {meaning('minibatch order')}",
    )  # fmt: skip
    episodes = right.number_input(
        f"{episodes_are.capitalize()} per arm",
        2,
        2048,
        64,
        key="episodes",
        disabled=bool(unplayed),
        help="Nothing can be played." if unplayed else "Rounded up to a multiple of the orders.",
    )
    cannot_train = kinds.cannot_train(run) or ("Nothing can be played." if unplayed else "")
    further = right.number_input(
        "Rounds to train on", 0, 200, 0, key="continue_rounds", disabled=bool(cannot_train),
        help=cannot_train or "As a branch run, with data collected anew.",
    )  # fmt: skip
    seeds = left.number_input(
        "Seeds to train on with", 1, 32, 1, key="seeds", disabled=not further,
        help="How often every arm is trained on, each time with data collected anew; at least 2 for an interval.",
    )  # fmt: skip
    plan = None
    try:
        plan = Intervention(
            round=snapshot.round,
            removed=tuple(records),
            repair=repair,
            mode="rebatch" if mode == "rebatch" and not repair else "mask",
            orders=int(orders),
            episodes=int(episodes),
            continue_rounds=int(further),
            seeds=int(seeds) if further else 1,
            measured=target,
        )
        st.caption(_what_happens(run, snapshot, plan, unplayed))
    except BadInputError as error:  # numbers that don't go together
        st.error(escape(error), icon=":material/error:")
    started = st.button(
        "Start", key="retrain_confirm", type="primary", icon=":material/play_arrow:", disabled=plan is None
    )
    if not started or plan is None:
        return
    try:
        job = start.start(run, snapshot, plan, scores, chosen)
    except (EngineError, OSError) as error:
        st.error(escape(error), icon=":material/error:")
        return
    state.put({"retrain_open": False})
    st.switch_page("views/interventions.py", query_params={"run": str(state.get("run")), "iv": job.id})


def _repair(snapshot: Snapshot, records: list[int]) -> bool:
    """Whether the records are repaired in the place of being removed, as a person chooses where they can be."""
    why = unrepairable(snapshot, records)
    chosen = st.segmented_control(
        "The records are", list(DONE), default="remove", required=True, key="done", format_func=DONE.__getitem__,
        help=explained("remove", "repair"), disabled=bool(why),
    )  # fmt: skip
    if why:
        st.caption(f"They can't be repaired, only left out: {escape(why)}.")
    return chosen == "repair" and not why


def _target(run: Run, target: TargetName) -> str:
    return target_in_words(target, run.manifest.action_space.value_names)


def _what_happens(run: Run, snapshot: Snapshot, plan: Intervention, unplayed: str) -> str:
    """What is replayed and played, and how long it takes; Markdown."""
    said = f"3 arms × {plan.orders} minibatch orders: {3 * plan.orders} replays of the update"
    if not unplayed:
        said += f", and {episodes_per_order(plan)} {kinds.words(run).episodes} of each policy after it"
    if plan.continue_rounds:
        said += f"; then {plan.continue_rounds} rounds of training"
    seconds = intervention_seconds(snapshot, plan, jobs_pool())
    time = "not known, since the round does not say what it took"
    if seconds is not None:
        time = f"about {duration(seconds)} in the background, with this machine as busy as it is now"
    return escape(f"{said}. Time: {time}.")

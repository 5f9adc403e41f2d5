"""The controls that choose a target: which question the records are coloured by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from app.shell import loaders, page, selection, state
from app.shell.text import escape
from engine import arguments
from engine.core.targets.question import TargetName
from engine.errors import BadInputError
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run, ranges

OWN, AS_RECORDED = "this round", "as recorded"
OF_RETURN = "return, by this round's advantages"
TARGETS = {"return": OF_RETURN, "action": "an action"}
"""Value in the URL -> words."""
OF = {"record": "one record", "records": "records", "basket": "the basket", "state": "a typed state"}
"""What an action target is about: value in the URL -> words."""
HELP = f"""
* **{OF_RETURN}**: mean of advantage × log π over a round's buffer. It rises where the policy does more of
  what turned out better than the critic expected. It is not the return that the policy would reach: retraining measures that.
* **an action**: log π(a | s), how likely the policy takes an action in the states of some records, or in a state that you type.
"""


def asked(run: Run, snapshot: ControlSnapshot, more: DeltaGenerator) -> tuple[TargetName, str]:
    """Draw the controls; what they say, and what is wrong with it: then the return stands in its place.

    Args:
        run: the run.
        snapshot: its round.
        more: where what is rarely changed goes.
    """
    try:
        name = target_controls(run, snapshot, more)
        if name.target == "action":
            loaders.load_target(snapshot, name)
    except BadInputError as error:
        return TargetName(), str(error)
    return name, ""


def in_words(name: TargetName, action_names: Sequence[str] = ()) -> str:
    """A target as the page calls it.

    >>> in_words(TargetName()), in_words(TargetName(of_round=7))
    ("return, by this round's advantages", "return, by round 7's advantages")
    """
    if name.target != "return":
        return name.sentence(action_names)
    return OF_RETURN if name.of_round is None else f"return, by round {name.of_round}'s advantages"


def in_address(name: TargetName, action_names: Sequence[str] = ()) -> dict[str, str]:
    """What an address says so that these controls say the target, whatever was chosen before.

    >>> in_address(TargetName(of_round=7))
    {'target': 'return', 'of_round': '7'}
    >>> in_address(TargetName(target="action", about=(7, 8, 9), action=1), ["left", "right"])
    {'target': 'action', 'of': 'records', 'asked': '7-9', 'action': 'right'}
    >>> in_address(TargetName(target="action", observation=(14, 0.25), action=0), ["left", "right"])
    {'target': 'action', 'of': 'state', 'state': '14, 0.25', 'typed_action': 'left'}
    """
    if name.target != "action":
        return {"target": name.target, "of_round": OWN if name.of_round is None else str(name.of_round)}
    action = action_names[int(name.action[0])] if name.action and action_names else _in_full(name.action)
    if name.observation:
        return {"target": "action", "of": "state", "state": _in_full(name.observation), "typed_action": action}
    other = {"action": action or AS_RECORDED} if action_names else {}
    return {"target": "action", "of": "records", "asked": ranges(list(name.about)), **other}


def target_controls(run: Run, snapshot: ControlSnapshot, more: DeltaGenerator) -> TargetName:
    """Draw the controls; what they say. Arguments as `asked`.

    Raises:
        BadInputError: something typed can't be read.
    """
    state.choose("target", list(TARGETS), "return")
    target = st.segmented_control(
        "Target", list(TARGETS), key="target", required=True, on_change=_begin_with_inspected,
        format_func=TARGETS.__getitem__, help=HELP,
    )  # fmt: skip
    if target == "return":
        return TargetName(of_round=_of_round(run, more))
    kept = [i for i in selection.kept(run, snapshot.round)[0].basket if i < len(snapshot.buffer)]
    options = [of for of in OF if (of != "basket" or kept) and (of != "state" or can_type(run))]
    state.choose("of", options, "record")
    of = st.selectbox("Of", options, key="of", width=130, format_func=OF.__getitem__)
    if of == "state":
        return typed_state(run, snapshot, min(int(state.get("inspect", 0)), len(snapshot.buffer) - 1))
    records = kept if of == "basket" else [_record(snapshot, more)] if of == "record" else _records(snapshot)
    return TargetName(target="action", about=tuple(records), action=_other_action(run, more))


def ask_about(records: list[int]) -> None:
    """Make the actions of these records the target (at the end of a callback)."""
    one = {"of": "record", "about": records[0]} if len(records) == 1 else {"of": "records", "asked": ranges(records)}
    state.put({"target": "action", **one, "action": AS_RECORDED})
    st.rerun()


def follow(records: list[int]) -> None:
    """Let the action target be about a record that was clicked, if it is to follow (at the end of a callback)."""
    if len(records) == 1 and state.get("follow") and state.get("target") == "action" and state.get("of") == "record":
        state.put({"about": records[0]})
        st.rerun()


def basket_changed() -> None:
    """Let the controls, which offer the basket, be drawn anew (at the end of a callback)."""
    if state.get("target") == "action":
        st.rerun()


def _begin_with_inspected() -> None:
    """Let a new action target be about the inspected record (a callback)."""
    if state.get("target") == "action":
        state.put({"about": int(state.get("inspect", 0))})


def _of_round(run: Run, more: DeltaGenerator) -> int | None:
    options = [OWN, *run.stored_rounds]
    state.choose("of_round", options, OWN)
    chosen = more.selectbox(
        "Over the buffer of", options, key="of_round",
        format_func=lambda option: option if option == OWN else f"round {option}",
        help="The round whose records the target averages over. With a later round: which records of this round made the agent "
        "good in the situations of that one?",
    )  # fmt: skip
    return chosen if isinstance(chosen, int) else None


def _record(snapshot: ControlSnapshot, more: DeltaGenerator) -> int:
    last = len(snapshot.buffer) - 1
    state.choose("about", range(last + 1), min(int(state.get("inspect", 0)), last), always=True, scope=snapshot.hash)
    record = st.number_input("Record", 0, last, step=1, key="about", width=120)
    state.choose("follow", [False, True], False)
    more.toggle("Follow clicks", key="follow", help="A click on a record asks about that record.")
    return int(record or 0)


def _records(snapshot: ControlSnapshot) -> list[int]:
    state.choose_text("asked", str(state.get("inspect", 0)), scope=snapshot.hash)
    asked = st.text_input(
        "Records", key="asked", width=180, help="Such as 3, 17, 40-60: the mean of log π(a | s) over them."
    )
    return sorted(arguments.ranges(asked or "", "the records"))


def _other_action(run: Run, more: DeltaGenerator) -> tuple[float, ...]:
    """The action to ask about in the records' states; empty for those that they took."""
    if run.manifest.action_space.kind != "discrete":
        return ()
    names = page.action_names(run)
    state.choose("action", [AS_RECORDED, *names], AS_RECORDED)
    chosen = more.selectbox(
        "And action", [AS_RECORDED, *names], key="action", help="Ask about another action in the same states."
    )
    return () if chosen in (None, AS_RECORDED) else (names.index(chosen),)


def can_type(run: Run) -> bool:
    """Nobody types an image."""
    return run.manifest.observation_space.encoder not in ("image", "parts")


def typed_state(run: Run, snapshot: ControlSnapshot, begin: int) -> TargetName:
    """Draw the controls of a state and an action that begin as those of the record `begin`; what they say.

    Raises:
        BadInputError: what is typed is not made of numbers.
    """
    space = snapshot.observation_space
    state.choose_text("state", _numbers(snapshot.buffer.observation[begin]), scope=str(run.path))
    names = ", ".join(space.component_names if space.kind == "box" else (f"0 to {space.n - 1}",))
    label, scale = "State", ""
    if snapshot.config.normalize_observation:
        label, scale = "State, normalised", " Normalised as the policy sees it, by the run's running statistics."
    typed = st.text_input(
        label,
        key="state",
        width=110 if space.kind == "discrete" else 320,
        help=f"{escape(names)}, with commas between.{scale}",
    )
    action_space, taken = run.manifest.action_space, snapshot.buffer.action[begin]
    if action_space.kind == "discrete":
        actions = page.action_names(run)
        state.choose("typed_action", actions, actions[int(taken)], always=True)
        chosen = str(st.selectbox("And action", actions, key="typed_action", width=130))
        action = [float(actions.index(chosen))]
    else:
        state.choose_text("typed_action", _numbers(taken), scope=str(run.path))
        components = ", ".join(action_space.component_names)
        written = st.text_input(
            "And action", key="typed_action", width=150, help=f"{escape(components)}, with commas between."
        )
        action = arguments.numbers(written or "", "the action")
    observation = arguments.numbers(typed or "", "the state")
    return TargetName(target="action", observation=tuple(observation), action=tuple(action))


def _in_full(values: Sequence[float]) -> str:
    """Numbers with all their digits, and no more."""
    return ", ".join(repr(value).removesuffix(".0") for value in values)


def _numbers(values: NDArray[Any]) -> str:
    return ", ".join(f"{value:.4g}" for value in np.ravel(values).tolist())

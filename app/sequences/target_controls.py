"""The controls that choose a language model's target: which question its sequences are coloured by."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app.scores.target_controls import OF_RETURN
from app.shell import state
from engine.core.targets.question import TargetName
from engine.kinds.language.sequences import LanguageSnapshot

TARGETS = {"sequence": "sequence", "return": OF_RETURN, "action": "an action"}
"""Value in the URL -> words."""
HELP = f"""
* **sequence**: the paper's f_seq, the mean over validation responses of the last token's advantage × log π(response).
* **{OF_RETURN}**: the mean over this round's own responses of advantage × log π, token by token. It is
  not the reward that the policy would reach: retraining measures that.
* **an action**: why does it say *this* here? log π of some tokens of one response.
"""


def controls(snapshot: LanguageSnapshot) -> TargetName:
    """Draw the controls; what they say."""
    state.choose("target", list(TARGETS), "sequence")
    target = st.segmented_control(
        "Target", list(TARGETS), key="target", required=True, on_change=_begin_with_chosen,
        format_func=TARGETS.__getitem__, help=HELP,
    )  # fmt: skip
    if target != "action":
        return TargetName(target=str(target))
    n = len(snapshot.buffer)
    state.choose("about", range(n), _looked_at(n), always=True, scope=snapshot.hash)
    record = int(st.number_input("Of record", 0, n - 1, step=1, key="about", width=120) or 0)
    places = response_places(snapshot, record)
    if not places:
        return TargetName(target="action", about=(record,))
    scope = f"{snapshot.hash} {record}"
    state.choose("first", places, places[0], scope=scope)
    first = st.selectbox("Tokens", places, key="first", width=84, help="The first token, counted from the prompt's.")
    state.choose("last", places, places[-1], scope=scope)
    last = st.selectbox("To", places, key="last", width=84)
    tokens = min(int(first or 0), int(last or 0)), max(int(first or 0), int(last or 0))
    whole = tokens == (places[0], places[-1])
    return TargetName(target="action", about=(record,), tokens=() if whole else tokens)


def in_address(name: TargetName) -> dict[str, str]:
    """What an address says so that these controls say the target.

    >>> in_address(TargetName(target="action", about=7, tokens=(3, 5)))
    {'target': 'action', 'about': '7', 'first': '3', 'last': '5'}
    """
    about = {"about": str(name.about[0])} if name.about else {}
    span = dict(zip(("first", "last"), map(str, name.tokens), strict=False))
    return {"target": name.target, **about, **span}


def response_places(snapshot: LanguageSnapshot, record: int) -> list[int]:
    """Positions of the response's tokens within the record."""
    places: list[int] = np.flatnonzero(snapshot.buffer.mask[snapshot.buffer.tokens_of(record)]).tolist()
    return places


def ask_about(record: int, first: int, last: int) -> None:
    """Make these tokens the target (at the end of a callback)."""
    state.put({"target": "action", "about": record, "first": first, "last": last})
    st.rerun()


def _begin_with_chosen() -> None:
    """Let a new action target be about the response that is looked at (a callback)."""
    if state.get("target") == "action":
        state.put({"about": _looked_at()})


def _looked_at(n: int | None = None) -> int:
    """The record that the page shows, if it is one of n; Behaviour's choice, a round with a record, is none."""
    record = state.get("record")
    return record if isinstance(record, int) and (n is None or record < n) else 0

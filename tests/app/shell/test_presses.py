"""Presses that reach the server together, late, or twice."""

from __future__ import annotations

import pytest
from pages import Open, errors, press
from streamlit.testing.v1 import AppTest


def two_buttons() -> None:
    """A page that shows what it took, in order."""
    import streamlit as st

    from app.shell import presses

    taken = st.session_state.setdefault("taken", [])

    def take() -> None:
        taken.extend(presses.new(["less", "more"]))

    for key in ("less", "more"):
        presses.button(key, help=key, icon="add", shortcut=key[0], on_press=take)


def taken(app: AppTest) -> list[str]:
    assert errors(app) == []
    return list(app.session_state["taken"])


def test_presses_that_come_together_are_taken_one_by_one_in_their_order() -> None:
    app = AppTest.from_function(two_buttons).run()
    assert taken(press(app, "more", "less", "less", "more")) == ["more", "less", "less", "more"]
    assert taken(app.run()) == ["more", "less", "less", "more"], "each of them once"
    assert taken(press(app, "less")) == ["more", "less", "less", "more", "less"]


def test_what_was_said_before_is_not_taken_again() -> None:
    app = AppTest.from_function(two_buttons).run()
    assert taken(press(app, "more", "more")) == ["more", "more"]
    states = app._tree.get_widget_states()
    element = next(one for one in app.get("bidi_component") if one.proto.id.endswith("-more"))
    states.widgets.add(id=element.proto.id, json_value='{"presses": [1e9, 2e9]}')
    assert taken(app._run(states)) == ["more"] * 4
    states.widgets[-1].json_value = '{"presses": [1e9, 2e9, 3e9]}'
    assert taken(app._run(states)) == ["more"] * 5


def test_a_server_that_was_started_anew_takes_what_comes_from_then_on() -> None:
    """A browser that is connected again says all that it knows."""
    before = AppTest.from_function(two_buttons).run()
    element = next(one for one in before.get("bidi_component") if one.proto.id.endswith("-more"))
    states = before._tree.get_widget_states()
    states.widgets.add(id=element.proto.id, json_value='{"presses": [1e9, 2e9]}')
    app = AppTest.from_function(two_buttons)._run(states)
    assert taken(app) == []
    states.widgets[-1].json_value = '{"presses": [1e9, 2e9, 3e9]}'
    assert taken(app._run(states)) == ["more"]


@pytest.mark.parametrize(
    ("keys", "round"),
    [
        (["next_round"], 1),
        (["next_round"] * 2, 2),
        (["next_round"] * 5, 2),
        (["next_round"] * 4 + ["previous_round"], 1),
        (["previous_round", "next_round"], 1),
    ],
)
def test_every_press_moves_the_round_as_far_as_there_are_some(open_page: Open, keys: list[str], round: int) -> None:
    app = press(open_page("timeline", run="cartpole", round="0"), *keys)
    assert errors(app) == []
    assert app.session_state["round"] == round

"""The URL is the view: what a link, the Back button, a widget and another page make of it, run by run of a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.runtime.scriptrunner import RerunData, RerunException, StopException

import app
from app.shell import state

ESTIMATORS = ["first_order", "tracin"]


class Url(dict[str, list[str]]):
    """`st.query_params`, as far as the dashboard uses it."""

    written = 0

    def get_all(self, key: str) -> list[str]:
        return self.get(key, [])

    def from_dict(self, said: Mapping[str, Iterable[str]]) -> None:
        self.written += 1
        self.clear()
        self.update({key: list(values) for key, values in said.items()})

    def says(self) -> dict[str, str]:
        return {key: values[-1] for key, values in self.items()}


class Widgets(dict[str, Any]):
    """`st.session_state`, and which widgets were set."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __setitem__(self, key: str, value: Any) -> None:
        self.told.append(key)
        super().__setitem__(key, value)


class Browser:
    """One person's session: the URL, the widgets' values, what was warned of, and a clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.url, self.widgets, self.warned, self.now = Url(), Widgets(), list[str](), 0.0
        patch.setattr(state.st, "query_params", self.url)
        patch.setattr(state.st, "session_state", self.widgets)
        patch.setattr(state.st, "warning", self.warned.append)
        patch.setattr(state.time, "monotonic", lambda: self.now)

    def shows(self, draw: Callable[[], Any], page: str = "diagnose", after: float = 10.0) -> Any:
        """A run of the page, some seconds after the one before it."""
        self.now += after
        state.enter(page)
        drawn = draw()
        state.publish()
        return drawn

    def goes_to(self, **said: str) -> None:
        """By a link."""
        self.url.clear()
        self.url.update({key: [value] for key, value in said.items()})

    def goes_back(self, draw: Callable[[], Any], page: str = "diagnose", **said: str) -> Any:
        """By the Back button, to an address that says this."""
        self.goes_to(**said)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(state, "_goes_back", lambda: True)
            return self.shows(draw, page)


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    return Browser(monkeypatch)


def round_and_estimator() -> tuple[int, str]:
    return state.choose("round", range(5), 4, always=True), state.choose("estimator", ESTIMATORS, "first_order")


def test_the_url_names_what_differs_from_the_default_and_what_depends_on_the_runs(browser: Browser) -> None:
    assert browser.shows(round_and_estimator) == (4, "first_order")
    assert browser.url.says() == {"round": "4"}
    browser.widgets["estimator"] = "tracin"
    assert browser.shows(round_and_estimator) == (4, "tracin")
    assert browser.url.says() == {"round": "4", "estimator": "tracin"}


def test_a_link_is_followed_and_the_widgets_show_it(browser: Browser) -> None:
    browser.goes_to(round="2", estimator="tracin")
    assert browser.shows(round_and_estimator) == (2, "tracin")
    assert (browser.widgets["round"], browser.widgets["estimator"]) == (2, "tracin")
    assert browser.warned == []


def test_what_a_link_names_and_is_not_here_is_said(browser: Browser) -> None:
    browser.goes_to(round="99", estimator="tracin")
    assert browser.shows(round_and_estimator) == (4, "tracin")
    [line] = browser.warned
    assert "'99' is not here; showing 4" in line
    assert browser.url.says() == {"round": "4", "estimator": "tracin"}


def test_a_widget_counts_for_more_than_the_url_that_it_was_shown_with(browser: Browser) -> None:
    browser.goes_to(round="2")
    browser.shows(round_and_estimator)
    browser.widgets["round"] = 3
    assert browser.shows(round_and_estimator) == (3, "first_order")
    assert browser.url.says() == {"round": "3"}


def test_back_leads_to_what_was_shown_before(browser: Browser) -> None:
    browser.shows(round_and_estimator)
    browser.widgets.update(round=1, estimator="tracin")
    browser.shows(round_and_estimator)
    assert browser.goes_back(round_and_estimator, round="4") == (4, "first_order"), (
        "where the older URL names no estimator"
    )
    assert browser.url.says() == {"round": "4"}


def test_a_click_that_the_browser_sends_with_an_older_url_is_no_way_back(browser: Browser) -> None:
    """A browser hears of a new URL a while after it was written, and says the old one until then."""
    browser.shows(round_and_estimator)
    browser.widgets["round"] = 1
    browser.shows(round_and_estimator)
    browser.goes_to(round="4")
    assert browser.shows(round_and_estimator, after=state.ADDRESS_SECONDS / 2) == (1, "first_order")
    assert browser.url.says() == {"round": "1"}


def test_a_link_back_to_an_older_url_is_followed_once_the_browser_has_asked_with_the_new_one(browser: Browser) -> None:
    browser.shows(round_and_estimator)
    browser.widgets["round"] = 1
    browser.shows(round_and_estimator)
    assert browser.url.says() == {"round": "1"}
    browser.shows(round_and_estimator, after=0.1)
    browser.goes_to(round="4")
    assert browser.shows(round_and_estimator, after=0.1) == (4, "first_order")


def test_a_link_from_a_page_to_itself_is_followed_and_told(browser: Browser) -> None:
    """The browser asks with the link's address and goes on showing the one before."""
    browser.shows(round_and_estimator)
    browser.goes_to(round="2")
    written = browser.url.written
    assert browser.shows(round_and_estimator) == (2, "first_order")
    assert browser.url.written == written + 1


def test_a_run_that_is_begun_anew_takes_nothing_from_the_address(browser: Browser) -> None:
    def broken_off() -> None:
        state.choose("round", range(5), 4, always=True)
        raise RerunException(RerunData())

    browser.goes_to(round="2", estimator="tracin")
    with pytest.raises(RerunException), state.run_of("diagnose"):
        broken_off()
    assert browser.url.says() == {"round": "2", "estimator": "tracin"}
    assert browser.shows(round_and_estimator) == (2, "tracin")


def test_the_url_is_told_before_a_page_stops(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> None:
        assert browser.url.says() == {"round": "4", "estimator": "tracin"}
        raise StopException

    monkeypatch.setattr(state.st, "stop", stopped)
    browser.goes_to(estimator="tracin")

    def page() -> None:
        with state.run_of("diagnose"):
            round_and_estimator()
            state.stop()

    with pytest.raises(StopException):
        page()


def test_no_page_stops_without_telling_the_url() -> None:
    pages = [path for path in Path(app.__file__).parent.rglob("*.py") if path != Path(state.__file__)]
    assert [path.name for path in pages if "st.stop()" in path.read_text().replace("state.stop()", "")] == []


def a_round() -> int:
    return int(state.choose("round", range(9), 0, always=True))


def test_keys_that_are_pressed_before_the_browser_heard_of_the_last_one_count(browser: Browser) -> None:
    browser.shows(a_round)
    for _ in range(3):
        browser.widgets["round"] = 0  # what the browser shows, and says with every press
        state.step("round", range(9), 1)
    assert browser.shows(a_round, after=0.1) == 3
    browser.widgets["round"] = 1
    assert browser.shows(a_round, after=0.1) == 1, "what the widget never was is a choice"


def test_keys_that_are_pressed_in_a_browser_that_hears_late_count(browser: Browser) -> None:
    browser.shows(a_round)
    state.step("round", range(9), 1)
    assert browser.shows(a_round) == 1
    browser.now += 2 * state.LAG_SECONDS
    browser.widgets["round"] = 0  # as it was before the press that a page was drawn for
    state.step("round", range(9), 1)
    assert browser.shows(a_round) == 2


def test_a_widget_may_be_moved_back_once_the_browser_has_heard(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LAG_SECONDS", 3.0)
    browser.shows(a_round)
    state.step("round", range(9), 1)
    browser.shows(a_round)
    browser.widgets["round"] = 0
    assert browser.shows(a_round, after=2.0) == 1
    browser.widgets["round"] = 0
    assert browser.shows(a_round, after=4.0) == 0


def test_a_widget_is_set_again_until_the_browser_asks_with_it(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an unfinished run sent is lost: a widget that nobody sets then shows its first option, and says so."""
    browser.goes_to(round="5")
    browser.shows(a_round)
    browser.widgets.told.clear()
    browser.shows(a_round)
    assert browser.widgets.told == ["round"]
    known = SimpleNamespace(get_widget_states=lambda: [SimpleNamespace(id="$$ID-abc-round")])
    monkeypatch.setattr(
        state, "get_script_run_ctx", lambda **_: SimpleNamespace(session_state=known, is_history_navigation=False)
    )
    browser.shows(a_round)
    browser.widgets.told.clear()
    browser.shows(a_round)
    assert browser.widgets.told == []


def the_outcome() -> str:
    return str(state.choose("iv", ["a1", "b2"], "a1", always=True))


def test_what_the_page_before_wrote_late_does_not_stay(browser: Browser) -> None:
    """The browser is back already when it hears of it, and asks with it."""
    browser.shows(round_and_estimator)
    browser.goes_to(iv="a1")
    browser.shows(the_outcome, "compare")
    written = browser.url.written
    browser.goes_back(round_and_estimator, round="4")
    assert browser.url.written == written + 1, "the bar may show what was late"
    browser.goes_to(round="4", iv="a1", embed="true")
    browser.shows(round_and_estimator)
    assert browser.url.says() == {"round": "4", "embed": "true"}, "what no page has is somebody else's"


def test_a_page_that_ended_early_forgets_nothing_and_one_may_keep_what_it_does_not_show(browser: Browser) -> None:
    browser.shows(the_outcome, "compare")
    browser.goes_to(round="2", iv="b2")
    state.enter("diagnose")
    state.publish(to_the_end=False)
    assert browser.url.says() == {"round": "2", "iv": "b2"}
    browser.goes_to(iv="b2")
    browser.shows(lambda: state.keep("iv"), "interventions")
    assert browser.url.says() == {"iv": "b2"}


def test_nothing_is_written_where_nothing_changed(browser: Browser) -> None:
    browser.shows(round_and_estimator)
    written = browser.url.written
    browser.shows(round_and_estimator)
    assert browser.url.written == written


def test_what_others_put_into_the_url_stays(browser: Browser) -> None:
    browser.goes_to(round="2", embed="true")
    browser.shows(round_and_estimator)
    assert browser.url.says() == {"round": "2", "embed": "true"}


def test_a_choice_about_something_else_is_forgotten(browser: Browser) -> None:
    def record(about: str) -> int:
        return state.choose("record", range(10), 0, scope=about)

    browser.shows(lambda: record("round 1"))
    browser.widgets["record"] = 7
    assert browser.shows(lambda: record("round 1")) == 7
    assert browser.shows(lambda: record("round 2")) == 0
    assert browser.url.says() == {}


def test_a_choice_lasts_from_page_to_page(browser: Browser) -> None:
    browser.shows(round_and_estimator)
    browser.widgets["round"] = 2
    browser.shows(round_and_estimator)
    del browser.widgets["round"]  # Streamlit forgets widgets that a page does not draw
    browser.shows(lambda: None, page="runs")
    assert state.get("round") == 2
    assert state.get("never drawn", "nothing") == "nothing"
    browser.goes_to()
    assert browser.shows(round_and_estimator) == (2, "first_order")


def test_several_values_may_have_commas_in_their_names(browser: Browser) -> None:
    arms = ["ppo", "lr=1,seed=0", "50%", "50%2C"]

    def chosen() -> list[str]:
        return state.choose_many("arms", arms, ["ppo"])

    assert browser.shows(chosen) == ["ppo"]
    assert browser.url.says() == {}
    browser.widgets["arms"] = arms[1:]
    browser.shows(chosen)
    link = browser.url.says()
    browser.widgets.clear()
    browser.goes_to(**link)
    assert browser.shows(chosen, page="another tab") == arms[1:]
    browser.goes_to(arms="50%,nobody,ppo")
    assert browser.shows(chosen) == ["50%", "ppo"], "older links have names as they are"
    assert "'nobody' is not here" in browser.warned[-1]


def test_a_text_may_say_anything_and_can_be_emptied(browser: Browser) -> None:
    def typed() -> str:
        return state.choose_text("search", "")

    browser.goes_to(search="a & b=c")
    assert browser.shows(typed) == "a & b=c"
    browser.widgets["search"] = ""
    assert browser.shows(typed) == ""
    assert browser.url.says() == {}


def test_a_part_that_is_drawn_again_by_itself_tells_the_url(browser: Browser) -> None:
    def page() -> str:
        state.choose("round", range(5), 4, always=True)
        return parts()

    def parts() -> str:
        with state.fragment():
            return state.choose("estimator", ESTIMATORS, "first_order")

    assert browser.shows(page) == "first_order"
    browser.widgets["estimator"] = "tracin"
    assert parts() == "tracin"
    assert browser.url.says() == {"round": "4", "estimator": "tracin"}


def test_what_a_button_sets_counts_whatever_was_chosen_before(browser: Browser) -> None:
    """Also where the same press leads to another round, which choices about the old one do not survive."""

    def record(about: str) -> int:
        return state.choose("record", range(10), 0, scope=about)

    browser.shows(lambda: record("round 1"))
    state.put({"record": 5})
    assert browser.shows(lambda: record("round 2")) == 5


@pytest.mark.parametrize(("here", "by", "there"), [(2, 1, 3), (4, 1, 4), (0, -1, 0), (3, -2, 1)])
def test_a_step_stays_within_the_rounds(browser: Browser, here: int, by: int, there: int) -> None:
    browser.widgets["round"] = here
    state.step("round", range(5), by)
    assert browser.widgets["round"] == there

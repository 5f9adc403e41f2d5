"""The Behaviour page in a real browser: a click on a round shows its records."""

from __future__ import annotations

import re

import pytest
from browsing import idle
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

PLACE = """([key, trace, x]) => {
    const holder = document.querySelector(`.st-key-${key}`);
    holder.scrollIntoView({block: 'center'});
    const plot = holder.querySelector('.js-plotly-plot'), data = plot._fullData[trace];
    const axis = name => plot._fullLayout[name.replace(/^([xy])/, '$1axis')];
    const across = axis(data.xaxis), up = axis(data.yaxis), box = plot.getBoundingClientRect();
    const i = Array.from(data.x).findIndex(one => String(one) === String(x));
    return [box.left + across._offset + across.d2p(data.x[i]), box.top + up._offset + up.d2p(data.y[i])];
}"""


def click(page: Page, key: str, trace: int, x: object) -> None:
    """Click the mark of a chart that stands at x."""
    page.locator(f".st-key-{key} .js-plotly-plot .main-svg").first.wait_for()
    page.evaluate(PLACE, [key, trace, x])
    page.wait_for_timeout(600)
    across, up = page.evaluate(PLACE, [key, trace, x])
    page.mouse.move(across, up)
    page.wait_for_timeout(400)
    page.mouse.click(across, up)


@pytest.fixture
def behaviour(page: Page, url: str) -> Page:
    """The page of a record, drawn to its end, with its groups by action."""
    page.goto(f"{url}/behaviour?run=FrozenLake-v1&record=20:1000&grouping=same or other action")
    page.locator(".st-key-phases").wait_for()
    page.locator(".st-key-groups_same_or_other_action .js-plotly-plot .main-svg").first.wait_for()
    idle(page)
    return page


def shows_the_records_of(page: Page, round: int) -> None:
    expect(page).to_have_url(re.compile(f"shown_round={round}(&|$)"))
    expect(page.get_by_text(re.compile(f"of round {round}'s \\d+ records"))).to_be_visible()


def test_a_click_on_a_round_shows_its_records_and_one_on_a_cell_those_of_its_group(behaviour: Page) -> None:
    click(behaviour, "behaviour_curve", 2, 6)
    shows_the_records_of(behaviour, 6)
    idle(behaviour)
    click(behaviour, "groups_same_or_other_action", 1, "7")
    expect(behaviour).to_have_url(re.compile("shown_round=7(&|$)"))
    expect(behaviour).to_have_url(re.compile(r"shown_group=same(\+|%20)action"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "trace", "x", "round"), [("make_up", 0, 9, 9), ("roughness", 0, 11, 11), ("contributors", 0, 14, 14)]
)
def test_so_does_a_click_in_any_other_chart(behaviour: Page, key: str, trace: int, x: int, round: int) -> None:
    click(behaviour, key, trace, x)
    shows_the_records_of(behaviour, round)

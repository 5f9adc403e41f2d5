"""The Behaviour page in a real browser: a click on a round shows its records."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

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


@pytest.mark.parametrize(
    ("key", "trace", "x", "round"),
    [
        ("behaviour_curve", 2, 6, 6),
        pytest.param("make_up", 0, 9, 9, marks=pytest.mark.slow),
        pytest.param("roughness", 0, 11, 11, marks=pytest.mark.slow),
        pytest.param("contributors", 0, 14, 14, marks=pytest.mark.slow),
    ],
)
def test_a_click_on_a_round_shows_its_records(
    browser: BrowserContext, url: str, key: str, trace: int, x: int, round: int
) -> None:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{url}/behaviour?run=FrozenLake-v1&record=20:1000")
    page.locator(".st-key-phases").wait_for()
    page.locator("[data-testid=stApp]:not([data-test-script-state=running])").wait_for()
    page.wait_for_timeout(1500)
    click(page, key, trace, x)
    expect(page).to_have_url(re.compile(f"shown_round={round}(&|$)"))
    expect(page.get_by_text(re.compile(f"of round {round}'s \\d+ records"))).to_be_visible()
    page.close()


def test_a_click_on_a_cell_shows_the_records_of_its_group(browser: BrowserContext, url: str) -> None:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{url}/behaviour?run=FrozenLake-v1&record=20:1000&grouping=same or other action")
    page.locator(".st-key-phases").wait_for()
    page.wait_for_timeout(2500)
    click(page, "groups_same_or_other_action", 1, "7")
    expect(page).to_have_url(re.compile("shown_round=7(&|$)"))
    expect(page).to_have_url(re.compile(r"shown_group=same(\+|%20)action"))
    page.close()

"""What the dashboard does when Streamlit's part in the browser breaks down, in a real browser."""

from __future__ import annotations

import re

import pytest
from browsing import idle, visit
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

BREAKS_DOWN = """() => {
    const drawn = document.querySelector("[data-testid=stMainBlockContainer] [data-testid=stVerticalBlock]")
    drawn.lastElementChild.remove()  // React can't take away what is not there
}"""


def test_a_page_that_goes_blank_is_loaded_anew_once(page: Page, url: str) -> None:
    page.goto(f"{url}/interventions?run=FrozenLake-v1")
    expect(page.locator(".st-key-jobs")).to_contain_text("done")
    idle(page)
    page.evaluate("window.isAsBefore = true")
    page.evaluate(BREAKS_DOWN)
    visit(page, "Words")
    page.wait_for_function("!window.isAsBefore")
    expect(page).to_have_url(re.compile(r"/(interventions|words)"))
    expect(page.get_by_test_id("stTopNav")).to_be_visible()
    idle(page)
    visit(page, "Words")
    expect(page).to_have_url(re.compile("/words"))
    idle(page)
    page.evaluate(BREAKS_DOWN)
    visit(page, "Runs")
    expect(page.locator("#root")).to_have_text(re.compile("broke down in the browser, twice"))

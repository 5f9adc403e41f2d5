"""A stranger's runs in a real browser: nothing that they say is fetched, run or formatted, and it can be read as written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import idle
from hostile_runs import HOST, LANGUAGE, hostile, quoted, write_hostile_runs
from playwright.sync_api import Page, expect

from engine.store.read import Run

pytestmark = pytest.mark.browser
FOUND = f"""() => ({{
  owned: window.owned ?? null,
  pictures: [...document.images].map(one => one.src).filter(src => src.includes('{HOST}')),
  links: [...document.querySelectorAll('a')].map(one => one.getAttribute('href') ?? one.getAttribute('xlink:href') ?? '')
    .filter(link => /^(javascript|mailto):/i.test(link) || new URL(link, location).hostname.includes('{HOST}')),
  bold: [...document.querySelectorAll('strong, b, h1, h2, h3')].filter(one => /^(bold|head)/.test(one.innerText)).length,
  formulas: document.querySelectorAll('.katex').length,
}})"""
NOTHING = {"owned": None, "pictures": [], "links": [], "bold": 0, "formulas": 0}


@pytest.fixture(scope="module")
def addresses(runs: Path, cartpole: Run) -> Iterator[list[str]]:
    """Of the pages that show them; they are taken away again."""
    folder = runs / "strangers"
    folder.mkdir()
    yield write_hostile_runs(folder, cartpole, "strangers/")
    shutil.rmtree(folder)


def test_no_page_asks_anybody_else(page: Page, url: str, addresses: list[str]) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    for address in addresses:
        page.goto(url + address)
        expect(page.locator("[data-testid=stMain] [data-testid=stElementContainer]").first).to_be_attached()
        idle(page)
        assert page.evaluate(FOUND) == NOTHING, address
    own = (url, url.replace("http", "ws"), "data:", "blob:")
    assert [one for one in asked if not one.startswith(own)] == []


def test_a_response_is_read_and_copied_as_it_was_written(
    page: Page, url: str, runs: Path, addresses: list[str]
) -> None:
    page.goto(f"{url}/sequences?run=strangers/{quoted(LANGUAGE)}&round=1&record=5")
    page.get_by_text("The response as text").click()
    written = page.locator("[data-testid=stExpanderDetails] [data-testid=stMarkdownContainer]").first
    expect(written).to_be_visible()
    idle(page)
    expect(written.locator("span").first).to_have_css("white-space", "pre-wrap")
    assert written.inner_text() == hostile("r5")
    written.evaluate("one => getSelection().selectAllChildren(one)")
    assert page.evaluate("getSelection().toString()") == hostile("r5")

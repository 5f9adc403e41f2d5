"""A language model's records in a real browser: found, read token by token, chosen for removal and taken along."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browsing import idle
from language_runs import write_run
from playwright.sync_api import Page, expect

import engine
from engine.arguments import record_numbers
from engine.intervention.record_sets import read_sets

pytestmark = pytest.mark.browser


def test_from_a_search_to_a_drop_list(page: Page, url: str, runs: Path, tmp_path: Path) -> None:
    write_run(runs / "talk", 120)
    buffer = engine.open_run(runs / "talk").snapshot(1).buffer
    page.goto(f"{url}/timeline?run=talk&round=1")
    page.get_by_role("link", name="Open the sequences of round 1").click()
    expect(page).to_have_url(re.compile(r"/sequences\?.*run=talk"))
    expect(page.get_by_text("120 sequences")).to_be_visible()
    search = page.locator(".st-key-sequence_search input")
    search.fill("a FOOL")
    search.press("Enter")
    found = [i for i, text in enumerate(buffer.response) if "a fool" in text]
    expect(page.get_by_text(f"{len(found)} of 120 sequences")).to_be_visible()
    idle(page)

    table = page.locator(".st-key-sequences_table")
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 18, box["y"] + 35 * 2.5)  # the second row's tick; the table is a canvas
    expect(page.locator(".st-key-record input")).to_have_value(str(found[1]))
    idle(page)
    strip = page.locator(".st-key-token_strip")
    expect(strip).to_have_count(1)
    tokens = strip.locator(".bars .point")
    expect(tokens).to_have_count(4)
    expect(strip.locator(".bars .point text").nth(1)).to_have_text("fool")
    strip.scroll_into_view_if_needed()
    tokens.nth(1).hover(force=True)  # the chart's drag layer lies above the tokens
    expect(strip.locator(".hoverlayer")).to_contain_text("entropy")

    page.locator(".st-key-add_to_basket button").first.click()
    expect(page.locator(".st-key-basket")).to_contain_text("Basket of round 1: 1 record")
    assert read_sets(engine.open_run(runs / "talk"), 1).basket == [found[1]]
    page.locator(".st-key-edit_basket button").first.click()
    with page.expect_download() as waiting:
        page.locator(".st-key-drop_list button").first.click()
    waiting.value.save_as(tmp_path / "drop.txt")
    assert record_numbers(tmp_path / "drop.txt") == [found[1]]
    page.reload()  # nothing is lost
    expect(page.locator(".st-key-record input")).to_have_value(str(found[1]))
    expect(page.locator(".st-key-basket")).to_contain_text("1 record")

"""The first screen, in a real browser: what is seen without scrolling, and runs that come by themselves."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from browsing import idle
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
ROW = 35
"""Pixels: height of a row of the table, and of its head."""


def bottom(page: Page, what: str) -> float:
    box = page.locator(what).first.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


def test_the_first_screen_has_sentence_doors_and_rows_and_new_runs_come(page: Page, url: str, runs: Path) -> None:
    page.goto(url)
    expect(page.locator(".st-key-runs_table canvas").first).to_be_visible()
    expect(page.locator(".st-key-doors strong")).to_have_count(4)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
        for width, height in ((1280, 900), (1024, 768), (1600, 1000)):
            page.set_viewport_size({"width": width, "height": height})
            idle(page)
            assert (
                bottom(page, "text=Which experiences made your agent")
                < bottom(page, ".st-key-doors")
                < height - 3 * ROW
            )
            table = page.locator(".st-key-runs_table").bounding_box()
            assert table is not None
            assert table["y"] + 3 * ROW < height, "its head and two rows"
            for label in page.locator(".st-key-doors p strong").all():
                assert label.evaluate("p => p.scrollWidth <= p.parentElement.clientWidth + 1"), "it is not cut"

    page.set_viewport_size({"width": 1280, "height": 900})
    count = page.locator(".st-key-ticked_runs")
    before = int(re.findall(r"\d+", count.inner_text())[0])
    box = page.locator(".st-key-runs_table canvas").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + ROW * 1.5)
    expect(page.get_by_text("is open:")).to_be_visible()
    ticked = page.url
    shutil.copytree(runs / "small", runs / "0-new")
    expect(count).to_contain_text(f"{before + 1} runs")
    idle(page)
    expect(page.get_by_text("is open:")).to_be_visible()
    assert page.url == ticked
    expect(page.locator(".st-key-archive_runs")).to_be_visible()
    shutil.rmtree(runs / "0-new")
    expect(count).to_contain_text(f"{before} runs")

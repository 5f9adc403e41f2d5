"""The verdict on the round's update, in a real browser: played in the background, kept, and downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from browsing import idle
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_an_update_is_examined_and_the_verdict_stays(page: Page, url: str, tmp_path: Path) -> None:
    page.goto(f"{url}/autopsy?run=small&round=1")
    verdict = page.locator(".st-key-autopsy_verdict")
    expect(verdict).to_contain_text("The round is what it claims to be")
    page.locator(".st-key-play_autopsy button").click()
    expect(verdict).to_contain_text("on 64 common seeds")
    expect(page.locator(".st-key-autopsy_change .main-svg").first).to_be_visible()
    expect(page.locator(".st-key-autopsy_arms")).to_be_visible()
    said = verdict.locator("p").first.inner_text()

    page.reload()
    expect(verdict.locator("p").first).to_have_text(said)
    idle(page)
    page.locator(".st-key-download button").first.click()
    with page.expect_download() as waiting:
        page.locator(".st-key-html_0 button").click()
    waiting.value.save_as(tmp_path / "report.html")
    assert waiting.value.suggested_filename == "small-round-1-autopsy.html"
    assert said.partition(". ")[2] in (tmp_path / "report.html").read_text()

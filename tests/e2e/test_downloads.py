"""What is downloaded from Diagnose: opened in a browser without a network, it shows the numbers that were on the screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from browsing import idle, patient_page
from playwright.sync_api import BrowserContext, Page, expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(browser: BrowserContext, url: str) -> Iterator[Page]:
    """Diagnose, for all of them: what a test opens there it closes."""
    page = patient_page(browser)
    page.goto(f"{url}/diagnose?run=FrozenLake-v1&round=12&estimator=first_order&picture=scatter")
    expect(page.locator(".st-key-records_scatter .nsewdrag").first).to_be_visible()
    idle(page)
    yield page
    page.close()


@contextmanager
def more(page: Page) -> Iterator[None]:
    """The downloads, opened and closed again."""
    page.locator(".st-key-more button").first.click()
    yield
    page.keyboard.press("Escape")
    expect(page.locator(".st-key-html_0")).to_have_count(0)


def downloaded(page: Page, key: str, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.locator(f".st-key-{key} button").click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_tables_have_every_record(page: Page, tmp_path: Path) -> None:
    with more(page):
        text = pd.read_csv(downloaded(page, "csv_0", tmp_path))
        exact = pd.read_parquet(downloaded(page, "parquet_0", tmp_path))
    assert len(text) == len(exact) == 2048
    assert list(text.columns) == list(exact.columns)
    worst = int(page.locator(".st-key-inspect input").input_value())
    assert int(exact["record"][exact["influence"].idxmin()]) == worst
    assert "round 12" in exact.attrs["source"]


def test_a_chart_gives_its_picture_in_the_chosen_format(page: Page, tmp_path: Path) -> None:
    with more(page):
        page.locator(".st-key-picture_format button").filter(has_text="SVG").click()
        expect(page).to_have_url(re.compile("picture_format=svg"))
    idle(page)
    page.locator(".st-key-records_scatter .nsewdrag").first.hover()
    with page.expect_download() as waiting:
        page.locator(".st-key-records_scatter .modebar-btn[data-title*='ownload']").click()
    assert waiting.value.suggested_filename == "FrozenLake-v1-round-12-records.svg"
    waiting.value.save_as(tmp_path / "chart.svg")
    assert "<svg" in (tmp_path / "chart.svg").read_text()[:200]


def test_the_report_opens_without_a_network_and_has_the_numbers_of_the_screen(
    page: Page, browser: BrowserContext, tmp_path: Path
) -> None:
    source = page.locator(".st-key-source").get_by_test_id("stCaptionContainer").first.inner_text().strip()
    inspected = page.locator(".st-key-inspector")
    record = inspected.locator(".st-key-inspect input").input_value()
    influence = re.search(r"Influence ([+-][\d.e-]+)", inspected.inner_text())
    assert influence is not None
    with more(page):
        file = downloaded(page, "html_0", tmp_path)
    assert file.name == "FrozenLake-v1-round-12-return-target-first_order.html"

    browser.set_offline(True)
    try:
        report = browser.new_page()
        asked: list[str] = []
        failed: list[str] = []
        report.on("request", lambda request: asked.append(request.url))
        report.on("pageerror", lambda error: failed.append(str(error)))
        report.goto(file.as_uri())
        charts = report.locator(".js-plotly-plot .main-svg")
        expect(charts.first).to_be_visible()
        expect(report.locator(".scatterlayer, .gl-canvas").first).to_be_attached()
        report.wait_for_timeout(500)  # in which it might ask for something
        text = report.locator("body").inner_text()
        assert source in text
        assert f"{record}\t{float(influence[1]):+.3g}\t" in text, "the worst record heads the bottom table"
        assert report.locator("[data-title*=loud]").count() == 0, "no button sends anything anywhere"
        assert asked == [file.as_uri()]
        assert failed == []
        report.close()
    finally:
        browser.set_offline(False)

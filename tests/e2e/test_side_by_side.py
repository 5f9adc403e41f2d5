"""From the table of runs to two of them side by side, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browsing import idle
from playwright.sync_api import Page, expect

import engine
from engine.analysis.films import film
from engine.core.evaluation import EVALUATION_SEED

pytestmark = pytest.mark.browser
ROW = 35
"""Pixels: height of a row of a table, and of its head."""


def tick(page: Page, table: str, row: int) -> None:
    """Tick a row of the table with that key, counted from 0."""
    box = page.locator(f".st-key-{table} canvas").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + ROW * (row + 1.5))
    idle(page)


def film_step(page: Page) -> str:
    """What the films' first title says."""
    titles = "document.querySelector('.st-key-films .js-plotly-plot')._fullLayout.annotations.map(a => a.text)"
    return str(page.evaluate(titles)[0])


def test_from_the_table_of_runs_to_two_policies(page: Page, url: str, runs: Path) -> None:
    page.goto(f"{url}/?branches=True&environment=FrozenLake-v1")
    expect(page.locator(".st-key-runs_table canvas").first).to_be_visible()
    idle(page)
    tick(page, "runs_table", 0)
    tick(page, "runs_table", 2)
    page.get_by_role("link", name="Compare these 2 runs").click()
    expect(page).to_have_url(re.compile(r"/compare_runs\?.*runs="))
    expect(page.locator(".st-key-runs_curves .legendtext")).to_have_count(2)
    expect(page.locator(".st-key-policy_difference")).to_contain_text("nats")
    expect(page.locator(".st-key-difference_over_rounds .js-plotly-plot")).to_be_visible()
    idle(page)

    page.locator(".st-key-differing_states").scroll_into_view_if_needed()
    tick(page, "differing_states", 2)
    expect(page).to_have_url(re.compile(r"differing_record=\d+"))
    record = re.search(r"differing_record=(\d+)", page.url)
    assert record is not None

    page.get_by_text("Play an episode of each").click()
    expect(page.locator(".st-key-films .js-plotly-plot")).to_be_visible()
    idle(page)
    parent = engine.open_run(runs / "FrozenLake-v1")
    k = re.match(r"FrozenLake-v1, round (\d+)<br>step 0: return 0$", film_step(page))
    assert k is not None
    played = film(parent, int(k[1]), EVALUATION_SEED, cache=False)
    expect(page.locator(".st-key-episode_returns")).to_contain_text(f"{played.total:.4g}")
    page.locator(".st-key-films").scroll_into_view_if_needed()
    rail = page.locator(".st-key-films .slider-rail-touch-rect").bounding_box()
    assert rail is not None
    page.mouse.click(rail["x"] + rail["width"] - 2, rail["y"] + rail["height"] / 2)
    page.wait_for_timeout(500)
    assert f"step {played.steps}, {played.ended}: return {played.total:.4g}" in film_step(page)
    expect(page.get_by_test_id("stAlertContentError")).to_have_count(0)

    page.reload()  # the view is in the URL
    expect(page.locator(".st-key-films .js-plotly-plot")).to_be_visible()
    page.get_by_role("link", name=f"Diagnose record {record[1]}").click()
    expect(page).to_have_url(re.compile(rf"/diagnose\?.*inspect={record[1]}(&|$)"))
    expect(page.locator(".st-key-inspect input")).to_have_value(record[1])


def test_a_link_to_all_runs_of_an_environment_keeps_them_at_the_next_click(page: Page, url: str) -> None:
    page.goto(f"{url}/compare_runs")
    page.get_by_role("link", name=re.compile(r"The \d+ runs and branches of FrozenLake-v1")).click()
    drawn = page.locator(".st-key-runs_curves .legendtext")
    expect(drawn.first).to_be_visible()
    idle(page)
    lines, there = drawn.count(), page.url
    assert lines > 1
    assert re.search(r"/compare_runs\?.*runs=", there)
    page.get_by_text("environment steps", exact=True).first.click()
    expect(page).to_have_url(re.compile("across=environment"))
    idle(page)
    expect(drawn).to_have_count(lines)
    asked = re.search(r"runs=[^&]+", page.url)
    assert asked is not None
    assert asked[0] in there

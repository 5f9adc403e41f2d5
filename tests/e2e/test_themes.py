"""Every page in light and in dark, in a real browser: drawn in its theme's colours, and accessible."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import idle
from language_runs import write_run
from playwright.sync_api import Page, expect

import engine
from app.charts.theme import DARK, LIGHT, Theme
from engine.jobs.interventions import list_jobs

pytestmark = pytest.mark.browser

COLOURS = """() => Array.from(document.querySelectorAll('.js-plotly-plot'))
    .map(plot => (JSON.stringify(plot.data) + JSON.stringify(plot.layout)).match(/#[0-9a-f]{6}\\b/gi) || [])"""
"""The colours that each chart of the page was drawn with."""
CHARTS = {"timeline": 2, "diagnose": 6, "behaviour": 5, "compare": 1, "compare_runs": 2, "sequences": 1}
"""At least so many charts are on these pages."""
PAGES = [
    "",
    "timeline",
    "diagnose",
    "autopsy",
    "behaviour",
    "sequences",
    "interventions",
    "compare",
    "compare_runs",
    "experiments",
    "words",
]
LIGHT_SEEN_ELSEWHERE = pytest.mark.slow
"""All other tests in a browser are in light."""
SHOWN = [
    *(("dark", path) for path in PAGES),
    ("light", "diagnose"),
    *(pytest.param("light", path, marks=LIGHT_SEEN_ELSEWHERE) for path in PAGES if path != "diagnose"),
]


def serious(page: Page) -> list[str]:
    """What axe-core finds wrong that is serious or worse: rule and element."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if not any(re.search(ours, node["html"]) for ours in NOT_OURS.get(rule["id"], ()))
    ]


def colours_of(theme: Theme) -> set[str]:
    """All colours that a theme draws with."""
    drawn = [value for name, value in asdict(theme).items() if name != "page"]
    return {colour for value in drawn for colour in ([value] if isinstance(value, str) else value)}


def brightness(page: Page, what: str, style: str) -> int:
    """0 to 765, of a colour of the first element that fits."""
    colour = page.locator(what).first.evaluate(f"element => getComputedStyle(element).{style}")
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3])


NOT_OURS: dict[str, tuple[str, ...]] = {}
"""Rule of axe-core -> elements that Streamlit or Plotly draw so, whatever this project says."""


@pytest.mark.parametrize(("scheme", "path"), SHOWN)
def test_every_page_draws_in_both_themes(page: Page, url: str, runs: Path, path: str, scheme: str) -> None:
    job = next(job for job in list_jobs(engine.open_run(runs / "FrozenLake-v1")) if job.result)
    branch = f"FrozenLake-v1/interventions/{job.id}/branch"
    queries = {
        "compare": f"iv={job.id}",
        "compare_runs": f"runs=FrozenLake-v1,{branch}",
        "sequences": f"run=in-{scheme}",
    }
    query = queries.get(path, "run=FrozenLake-v1")
    if path == "sequences":
        write_run(runs / f"in-{scheme}", 12)
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"{url}/{path}?{query}")
    first = page.get_by_test_id("stAlertContainer").or_(page.get_by_test_id("stSelectbox"))
    expect(first.or_(page.get_by_test_id("stTextInput")).first).to_be_visible()
    if path in CHARTS:
        page.wait_for_function(f"document.querySelectorAll('.js-plotly-plot:has(.main-svg)').length >= {CHARTS[path]}")
    idle(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_test_id("stAlertContentError")).to_have_count(0)
    background = brightness(page, "[data-testid=stApp]", "backgroundColor")
    words = brightness(page, "[data-testid=stApp] p", "color")
    assert background < 200 < 500 < words if scheme == "dark" else words < 300 < 600 < background
    right, wrong = (colours_of(theme) for theme in ((DARK, LIGHT) if scheme == "dark" else (LIGHT, DARK)))
    charts = [{colour.lower() for colour in chart} for chart in page.evaluate(COLOURS)]
    assert len(charts) >= CHARTS.get(path, 0)
    assert not charts or set.union(*charts) & right, "the charts have colours of this theme"
    for colours in charts:
        assert not colours & (wrong - right), "no chart has colours of the other theme"
    for text in page.locator(".js-plotly-plot .xtick text").all()[:1]:
        expect(text).not_to_have_css("fill", "rgb(0, 0, 0)")  # which it is until the theme has reached it
        lightness = sum(int(part) for part in re.findall(r"\d+", text.evaluate("t => getComputedStyle(t).fill"))[:3])
        assert abs(lightness - background) > 200, "the numbers on the axes can be read"
    idle(page)
    page.wait_for_timeout(1000)  # what was pale while it was drawn anew has its colour again
    assert serious(page) == []

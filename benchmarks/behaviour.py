"""The Behaviour page on a run of 150 rounds in a real Chromium: first picture, all rounds, and again from the cache."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import engine
from benchmarks.dashboard import FLAGS, start_server
from benchmarks.timing import Figure, milliseconds
from engine.analysis.behaviour import behaviour

if TYPE_CHECKING:
    from playwright.sync_api import Page

CURVE = """() => document.querySelector('.st-key-behaviour_curve .js-plotly-plot')?._fullData?.length > 0"""
COMPLETE = """rounds => document.querySelector('.st-key-phases') !== null
    && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState !== 'running'
    && new Set(document.querySelector('.st-key-contributors .js-plotly-plot')?._fullData?.[0].x).size === rounds
    && document.querySelector('.st-key-round_contributors canvas') !== null"""


def figures(quick: bool) -> Iterator[Figure]:
    """Seconds until the page shows the curve, and until it shows everything; of processor time without a page."""
    rounds, asked_rounds = (30, (10, 15, 20)) if quick else (150, (20, 75, 120, 140))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lander"
        engine.train(engine.preset("LunarLander-v3", "v0.1", rounds=rounds), path)
        yield _alone(path, asked_rounds[0], rounds)
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            print("behaviour: no Chromium found; install one to measure it (apt-get install chromium)")
            return
        yield from _in_browser(browser, Path(folder), rounds, asked_rounds)


def _alone(path: Path, round: int, rounds: int) -> Figure:
    run = engine.open_run(path)
    target = engine.action_target(run.snapshot(round), record=10)
    begun = time.process_time()
    behaviour(run, target, cache=False)
    return milliseconds(f"a behaviour over {rounds} rounds, processor time, no page", [time.process_time() - begun])


def _in_browser(browser: str, folder: Path, rounds: int, asked_rounds: tuple[int, ...]) -> Iterator[Figure]:
    from playwright.sync_api import sync_playwright

    first, complete, again, returned = [], [], [], []
    server, url = start_server("--runs", str(folder))
    try:
        with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
            context = playwright.chromium.launch_persistent_context(
                profile, executable_path=browser, args=list(FLAGS), viewport={"width": 1280, "height": 900}
            )
            page = context.new_page()
            page.set_default_timeout(120_000)
            page.goto(f"{url}/timeline?run=lander")  # the server has imported everything by then
            page.locator(".st-key-returns .js-plotly-plot").wait_for()
            for number in asked_rounds:
                found = _visit(page, f"{url}/behaviour?run=lander&record={number}:10", rounds)
                first.append(found[0])
                complete.append(found[1])
        server.terminate()
        server.wait(10)
        server, url = start_server("--runs", str(folder))  # nothing is in memory now, all is in derived/
        with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
            context = playwright.chromium.launch_persistent_context(
                profile, executable_path=browser, args=list(FLAGS), viewport={"width": 1280, "height": 900}
            )
            page = context.new_page()
            page.goto(f"{url}/timeline?run=lander")
            page.locator(".st-key-returns .js-plotly-plot").wait_for()
            for number in asked_rounds:
                again.append(_visit(page, f"{url}/behaviour?run=lander&record={number}:10", rounds)[1])
                returned.append(_return(page, rounds))
    finally:
        server.terminate()
        server.wait(10)
    yield milliseconds(f"Behaviour, {rounds} rounds: first picture", first, target="<= 2000")
    yield milliseconds("the same complete", complete, target="<= 20000")
    yield milliseconds("the same from the cache, coming from another page", returned, target="<= 1000")
    yield milliseconds("the same from the cache, server new and the browser's page loaded anew", again)


def _visit(page: Page, url: str, rounds: int) -> tuple[float, float]:
    """Seconds to the first picture and to the complete page."""
    begun = time.perf_counter()
    page.goto(url)
    page.wait_for_function(CURVE, polling=20)
    first = time.perf_counter() - begun
    page.wait_for_function(COMPLETE, arg=rounds, polling=20)
    return first, time.perf_counter() - begun


def _return(page: Page, rounds: int) -> float:
    """Seconds to the complete page from a click on its tab."""
    page.get_by_role("link", name="Timeline", exact=True).first.click()
    page.locator(".st-key-returns .js-plotly-plot").wait_for()
    page.wait_for_timeout(1500)
    begun = time.perf_counter()
    page.get_by_role("link", name="Behaviour", exact=True).first.click()
    page.wait_for_function(COMPLETE, arg=rounds, polling=20)
    return time.perf_counter() - begun

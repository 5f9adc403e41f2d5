"""Diagnose on a round of 65,536 records in a real Chromium: opened, another round, and lassos of a tenth to half of them."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine
from benchmarks.dashboard import DRAWN, FLAGS, INFLUENCES, clear_selection, lasso, start_server
from benchmarks.timing import Figure, milliseconds

RECORDS: dict[str, Any] = {"n_envs": 32, "n_steps": 2048}


def figures(quick: bool) -> Iterator[Figure]:
    """Seconds until what a person waits for is on the screen."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("large_round: no Chromium found; install one to measure it (apt-get install chromium)")
        return
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        settings = engine.preset("CartPole-v1", "default", rounds=2, batch_size=1024, n_epochs=2, **RECORDS)
        engine.train(settings, Path(folder) / "large")
        server, url = start_server("--runs", folder)
        try:
            with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
                context = playwright.chromium.launch_persistent_context(
                    profile, executable_path=browser, args=list(FLAGS), viewport={"width": 1280, "height": 900}
                )
                page = context.new_page()
                page.set_default_timeout(120_000)
                page.goto(f"{url}/timeline?run=large")  # the server has imported everything by then
                page.locator(".st-key-returns .js-plotly-plot").wait_for()
                start = time.perf_counter()
                page.goto(f"{url}/diagnose?run=large&round=0")
                page.wait_for_function(DRAWN, arg=[0, ""], polling=20)
                yield milliseconds(
                    "Diagnose of 65,536 records opened for the first time", [time.perf_counter() - start]
                )
                before = page.evaluate(INFLUENCES)
                start = time.perf_counter()
                page.locator(".st-key-next_round button").first.click()
                page.wait_for_function(DRAWN, arg=[1, before], polling=20)
                yield milliseconds("another round for the first time", [time.perf_counter() - start])
                selected = []
                for right in (0.1, 0.3) if quick else (0.1, 0.2, 0.3, 0.4, 0.5):
                    clear_selection(page)
                    selected.append(lasso(page, right))
                yield milliseconds("lasso to all linked charts redrawn", selected, target="<= 1500")
                context.close()
        finally:
            server.terminate()
            server.wait(10)

"""The dashboard in a real Chromium: server start, opening Diagnose, changing the round, a lasso, a click as the target."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.timing import Figure, milliseconds

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
WARM_MS = 10_000
"""Some time after a server's first page all that its pages import is there."""
INFLUENCES = """() => document.querySelector('.st-key-records_scatter .js-plotly-plot')
    ._fullData[0].marker.color.slice(0, 9).join()"""
DRAWN = """([round, before]) => {
    const app = document.querySelector('[data-testid=stApp]');
    const trust = document.querySelector('.st-key-trust');
    const plot = document.querySelector('.st-key-records_scatter .js-plotly-plot');
    return app?.dataset.testScriptState !== 'running' && trust?.innerText.includes(`round ${round} `)
        && plot?._fullLayout?.xaxis && plot._fullData[0].marker.color.slice(0, 9).join() !== before
        && document.querySelector('.st-key-bottom_records canvas') !== null;
}"""
APART = """count => {
    const plot = document.querySelector('.st-key-records_scatter .js-plotly-plot');
    const layout = plot._fullLayout, trace = plot._fullData[0], box = plot.getBoundingClientRect();
    const points = Array.from(trace.customdata, (record, i) => [record,
        box.left + layout.xaxis._offset + layout.xaxis.d2p(trace.x[i]),
        box.top + layout.yaxis._offset + layout.yaxis.d2p(trace.y[i])]);
    const bar = document.querySelector('.st-key-basket').getBoundingClientRect().top;
    const nearest = ([one, x, y]) => Math.min(...points.filter(([other]) => other !== one)
        .map(([_, u, v]) => Math.hypot(u - x, v - y)));
    return points.filter(([_, x, y]) => y < bar - 40).map(point => [nearest(point), point])
        .sort((a, b) => b[0] - a[0]).slice(0, count).map(([_, point]) => point);
}"""
"""Record and place of the points in sight with the most room around them."""
ASKED = """([record, before]) => {
    const plot = document.querySelector('.st-key-records_scatter .js-plotly-plot');
    return document.querySelector('.st-key-trust')?.innerText.includes(`record ${record} `)
        && plot?._fullData?.[0].marker.color.slice(0, 9).join() !== before;
}"""
AT_REST = "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState !== 'running'"
LINKED = """() => {
    const text = key => document.querySelector(`.st-key-${key}`)?.innerText ?? '';
    const count = /Selection: (\\d+) of/.exec(text('selection'))?.[1];
    const drawn = key => document.querySelector(`.st-key-${key} .js-plotly-plot`)?._fullData
        .find(trace => trace.name === 'selected');
    return document.querySelector('[data-testid=stApp]').dataset.testScriptState !== 'running'
        && drawn('influence_histogram')?.y.reduce((sum, one) => sum + one, 0) === Number(count)
        && drawn('influence_over') !== undefined && drawn('composition') !== undefined
        && text('basket').includes(`Add ${count} selected`);
}"""
"""Every chart, the line below them and the button at the bottom show the same selection."""


def figures(quick: bool) -> Iterator[Figure]:
    """Seconds until what a person waits for is on the screen."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("dashboard: no Chromium found; install one to measure it (apt-get install chromium)")
        return
    from playwright.sync_api import sync_playwright

    started = time.perf_counter()
    server, url = start_server()
    try:
        up = time.perf_counter() - started
        yield milliseconds("server up", [up], target="<= 3000")
        with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
            context = playwright.chromium.launch_persistent_context(
                profile, executable_path=browser, args=list(FLAGS), viewport={"width": 1280, "height": 900}
            )
            page = context.new_page()
            opened, changed, selected = [], [], []
            for attempt in range(2 if quick else 6):
                start = time.perf_counter()
                page.goto(f"{url}/diagnose?run=LunarLander-v3&round={attempt}")
                page.wait_for_function(DRAWN, arg=[attempt, ""], polling=20)
                opened.append(time.perf_counter() - start)
            yield milliseconds("Diagnose open, server warm", opened[1:], target="<= 3000")
            page.goto(f"{url}/diagnose?run=LunarLander-v3&round=48")
            page.wait_for_function(DRAWN, arg=[48, ""], polling=20)
            for round in range(49, 52 if quick else 56):
                page.wait_for_timeout(500)
                before = page.evaluate(INFLUENCES)
                start = time.perf_counter()
                page.locator(".st-key-next_round button").first.click()
                page.wait_for_function(DRAWN, arg=[round, before], polling=20)
                changed.append(time.perf_counter() - start)
            yield milliseconds("another round, redrawn", changed, target="<= 700")
            for right in (0.3, 0.5) if quick else (0.1, 0.3, 0.5, 0.7, 0.9):
                clear_selection(page)
                selected.append(lasso(page, right))
            yield milliseconds("lasso to all linked charts redrawn, 2048 records", selected, target="<= 400")
            recoloured, complete = zip(*_clicks(page, url, 4 if quick else 12), strict=True)
            yield milliseconds("click on a record, recoloured with it as the target", recoloured, target="<= 500")
            yield milliseconds("the same, also what is out of sight below", complete)
            context.close()
    finally:
        server.terminate()
        server.wait(10)


def _clicks(page: Page, url: str, count: int) -> Iterator[tuple[float, float]]:
    """Seconds from a click on a record until the scatter and the badge, and until all, say what made the agent act so."""
    page.goto(f"{url}/diagnose?run=LunarLander-v3&round=5&target=action&follow=True&tool=click")
    page.wait_for_function(DRAWN, arg=[5, ""], polling=20)
    page.evaluate("document.querySelector('.st-key-records_scatter').scrollIntoView({block: 'center'})")
    page.wait_for_timeout(2000)
    for record, x, y in page.evaluate(APART, count):
        before = page.evaluate(INFLUENCES)
        page.mouse.move(x, y)
        page.wait_for_timeout(500)
        start = time.perf_counter()
        page.mouse.click(x, y)
        page.wait_for_function(ASKED, arg=[record, before], polling=20)
        recoloured = time.perf_counter() - start
        page.wait_for_function(AT_REST, polling=20)
        yield recoloured, time.perf_counter() - start
        page.wait_for_timeout(500)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start_server(*arguments: str, port: int | None = None) -> tuple[subprocess.Popen[bytes], str]:
    """A server of the dashboard that answers, and its address.

    Args:
        arguments: the app's own.
        port: one that a browser knows keeps what it loaded from there before; else any that is free.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app", "--server.headless=true", f"--server.port={port}"]
    command += ["--", *arguments] if arguments else []
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=1)
            break
        except OSError:
            time.sleep(0.02)
    return server, url


def clear_selection(page: Page) -> None:
    """Nothing is selected then, and the page is at rest."""
    if page.locator(".st-key-clear_selection button").first.is_enabled():
        page.locator(".st-key-clear_selection button").first.click()
    page.locator(".st-key-selection").get_by_text("none").wait_for()
    page.evaluate("document.querySelector('.st-key-records_scatter').scrollIntoView({block: 'center'})")
    page.wait_for_timeout(1500)


def lasso(page: Page, right: float) -> float:
    """Drag around the records left of a share of the plot's width; seconds from letting go until all is redrawn."""
    box = page.locator(".st-key-records_scatter .nsewdrag").first.bounding_box()
    assert box is not None
    corners = [(0.02, 0.02), (right, 0.02), (right, 0.98), (0.02, 0.98), (0.02, 0.03)]
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=5)
    start = time.perf_counter()
    page.mouse.up()
    page.wait_for_function(LINKED, polling=20)
    return time.perf_counter() - start

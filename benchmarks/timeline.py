"""The Timeline of long runs in a real Chromium: how soon its first picture is there, and what an index of commits is worth."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import engine
from benchmarks.dashboard import FLAGS, WARM_MS, free_port, start_server
from benchmarks.grown_runs import Unsynced
from benchmarks.timing import Figure, alternate, milliseconds, ratio
from engine.store import RunWriter, open_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

LONG, WITH_RECORDS = 10_000, 2_000
"""Rounds of a run of which only the metrics are kept, and of one that keeps all records."""
CURVES = "() => document.querySelector('.st-key-returns .js-plotly-plot .scatterlayer .trace') !== null"
MAP = "() => document.querySelector('.st-key-formation .js-plotly-plot .heatmaplayer image') !== null"
AT_REST = """() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState !== 'running'
    && document.querySelector('.st-key-returns .js-plotly-plot') !== null
    && document.querySelector('[data-testid=stProgress]') === null"""


def make_long(path: Path, rounds: int) -> Path:
    """A run of which only the metrics are kept; its return falls now and then."""
    source, rng = engine.open_run("sample_runs/LunarLander-v3"), np.random.default_rng(0)
    metrics = [dict(info.metrics) for info in source.rounds]
    with RunWriter.create(path, source.manifest, Unsynced()) as writer:
        for k in range(rounds):
            mean = (60.0 if k % 3000 > 2600 else 220.0) + float(rng.normal(0, 20))
            writer.commit_metrics(k, metrics[k % len(metrics)] | {"mean_return": mean})
    return path


def make_with_records(path: Path, rounds: int) -> Path:
    """A run that keeps every round; the rounds are one and the same."""
    config = engine.preset("CartPole-v1", "default", rounds=1, n_steps=256, n_envs=1)
    snapshot = next(iter(engine.rounds(config, path.parent / "one")))
    recorded = engine.open_run(path.parent / "one")
    with RunWriter.create(path, recorded.manifest, Unsynced()) as writer:
        for k in range(rounds):
            writer.commit_round(replace(snapshot, round=k), dict(snapshot.metrics))
    shutil.rmtree(path.parent / "one")
    return path


def figures(quick: bool) -> Iterator[Figure]:
    """Milliseconds until the curves of a long run are on the screen, and its map of formation."""
    with tempfile.TemporaryDirectory() as folder:
        long = make_long(Path(folder, "runs", "long"), LONG)
        many = make_with_records(Path(folder, "runs", "many"), WITH_RECORDS // (10 if quick else 1))
        yield from _opened(long, 2 if quick else 5)
        yield from _drawn(long, many, 2 if quick else 4)


def _opened(run: Path, repeats: int) -> Iterator[Figure]:
    open_run(run, indexed=True)
    ways = {"commits": lambda: open_run(run), "index": lambda: open_run(run, indexed=True)}
    times = alternate(ways, repeats)
    yield milliseconds(f"open {LONG:,} rounds by their commits", times["commits"])
    against: Mapping[str, Any] = {"ratio": ratio(times, "index", "commits"), "against": "commits"}
    yield milliseconds("the same by their index", times["index"], **against)


def _drawn(long: Path, many: Path, repeats: int) -> Iterator[Figure]:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("timeline: no Chromium found; install one to measure it (apt-get install chromium)")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=browser, args=list(FLAGS), viewport={"width": 1280, "height": 900}
        )
        page, port = context.new_page(), free_port()
        first, again = [], []
        for _ in range(repeats + 1):
            server, url = start_server("--runs", str(long.parent), port=port)
            try:
                page.goto(f"{url}/experiments")  # what every first page of a server pays for
                page.wait_for_timeout(WARM_MS)
                first.append(_until(page, f"{url}/timeline?run=long", CURVES))
                again.append(_until(page, f"{url}/timeline?run=long", CURVES))
            finally:
                server.terminate()
                server.wait(10)
        yield milliseconds(f"curves of {LONG:,} rounds, never opened by this server", first[1:], target="<= 2000")
        yield milliseconds("the same by a browser that never saw the dashboard", first[:1])
        yield milliseconds("the same again", again[1:])
        server, url = start_server("--runs", str(many.parent), port=port)
        try:
            page.goto(f"{url}/experiments")
            page.wait_for_timeout(WARM_MS)
            yield from _filled_in(page, f"{url}/timeline?run=many", len(open_run(many).rounds))
        finally:
            server.terminate()
            server.wait(10)
        context.close()


def _filled_in(page: Page, address: str, rounds: int) -> Iterator[Figure]:
    """Of a run whose map of formation nobody has asked for before."""
    start = time.perf_counter()
    curves = _until(page, address, CURVES)
    page.wait_for_function(MAP, polling=20, timeout=600_000)
    map_seen = time.perf_counter() - start
    page.wait_for_function(AT_REST, polling=20, timeout=600_000)
    done = time.perf_counter() - start
    yield milliseconds(f"curves of {rounds:,} rounds with records", [curves], target="<= 2000")
    yield milliseconds("its map of formation, as far as it is known", [map_seen])
    yield milliseconds("the same, filled in", [done])


def _until(page: Page, address: str, seen: str) -> float:
    """Seconds from asking for a page until something is on it."""
    start = time.perf_counter()
    page.goto(address)
    page.wait_for_function(seen, polling=20, timeout=600_000)
    return time.perf_counter() - start

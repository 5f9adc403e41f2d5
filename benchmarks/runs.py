"""The page Runs with many runs: until its first picture, until all is read, and again with what is kept.

`python -m benchmarks.runs COUNT OUT` makes such a folder, to be looked at.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import engine
from benchmarks.dashboard import FLAGS, WARM_MS, start_server
from benchmarks.grown_runs import Unsynced
from benchmarks.timing import Figure, milliseconds
from engine.analysis.run_index import RunIndex
from engine.kinds.control.learner import ControlLearner
from engine.store.commit import RunWriter
from engine.store.find import find_runs

ROUNDS = 60
"""Of every run."""
DIFFERENT = 10
"""Runs that are no copies of others."""
DRAWN = """count => document.querySelector('.st-key-runs_table canvas') !== null
    && new RegExp(`${count.toLocaleString('en').replace(',', ',?')} runs`).test(document.body.innerText)"""
IDLE = """() => document.querySelector('.st-key-campaign') !== null
    || document.querySelector('[data-testid=stAlert]') !== null"""


def figures(quick: bool = False) -> Iterator[Figure]:
    """With 200 and with 1,000 runs: the page without an index, the index, and the page with it."""
    for count in (200,) if quick else (200, 1000):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            folder = Path(temporary) / "runs"
            make(folder, count)
            yield from _page(folder, count, "nothing kept")
            yield from _index(folder, count)
            yield from _page(folder, count, "index kept")


def _index(folder: Path, count: int) -> Iterator[Figure]:
    """All rows made, and all found again."""
    for what in ("made", "found again"):
        start = time.perf_counter()
        index = RunIndex(folder)
        index.look(find_runs(folder))
        index.advance()
        seconds = time.perf_counter() - start
        assert len(index.rows) == count
        yield milliseconds(f"rows of {count:,} runs {what}", [seconds])


def _page(folder: Path, count: int, what: str) -> Iterator[Figure]:
    """In a browser, where there is one: a server that has just imported all of the app, and the page loaded anew."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        return
    from playwright.sync_api import sync_playwright

    server, url = start_server("--runs", str(folder))
    try:
        with sync_playwright() as playwright, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            context = playwright.chromium.launch_persistent_context(
                profile, executable_path=browser, args=list(FLAGS), viewport={"width": 1280, "height": 900}
            )
            page = context.new_page()
            page.set_default_timeout(600_000)
            page.goto(f"{url}/experiments")
            page.wait_for_function(IDLE, polling=50)
            page.wait_for_timeout(WARM_MS)
            seconds = []
            for _ in range(2):
                start = time.perf_counter()
                page.goto(url)
                page.wait_for_function(DRAWN, arg=count, polling=20)
                seconds.append(time.perf_counter() - start)
            yield milliseconds(f"Runs, {count:,} runs, {what}: first picture", seconds[:1], target="<= 2000")
            yield milliseconds("the same, the page loaded anew", seconds[1:], target="<= 2000")
            context.close()
    finally:
        server.kill()
        server.wait()


def make(folder: Path, count: int) -> None:
    """So many finished runs of `ROUNDS` rounds, of which only the metrics are kept; the files of most are hard links."""
    learner = ControlLearner.begin(
        engine.preset("CartPole-v1", "default", rounds=ROUNDS, n_steps=64, batch_size=32, n_epochs=1)
    )
    metrics, rng = learner.collect().metrics, np.random.default_rng(0)
    for number in range(count):
        path = folder / f"run-{number:04d}"
        if number >= DIFFERENT:
            first = folder / f"run-{number % DIFFERENT:04d}"
            shutil.copytree(first, path, copy_function=os.link, ignore=shutil.ignore_patterns("*.lock"))
            continue
        returns = 20.0 + np.cumsum(rng.normal(1.0, 4.0, ROUNDS))
        with RunWriter.create(path, learner.manifest(), Unsynced()) as writer:
            for k, mean in enumerate(returns.tolist()):
                writer.commit_metrics(k, {**metrics, "episodes": 12, "mean_return": mean, "std_return": 8.0})
            writer.commit_final(ROUNDS, learner.state())


if __name__ == "__main__":
    make(Path(sys.argv[2]), int(sys.argv[1]))

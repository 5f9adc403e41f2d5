"""Somebody who clicks, drags, presses keys and goes back at random, while a run is written and a check runs.

After every step all that is shown must agree: the URL, the header, the scatter, the bars, the basket, the tables, the disk.
`WALK_SEED=7` walks the walk of that seed again, `WALK_SECONDS=600` a longer one.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browsing import lasso, visit
from playwright.sync_api import Page

import engine
from engine.intervention.record_sets import read_sets

pytestmark = pytest.mark.browser

SETTLED_SECONDS = 60.0
"""So long after a step the page may still be on its way to what it shows in the end."""
WRITTEN_SECONDS = 4.0
"""Between two rounds of the run that is written: a busy machine takes a while to draw one."""
PAGES = (
    "Runs",
    "Timeline",
    "Diagnose",
    "Diagnose",
    "Diagnose",
    "Behaviour",
    "Interventions",
    "Outcome",
    "Compare runs",
)
"""Links of the navigation; the page with most to go wrong is visited most."""
LAST_STEPS = 12
"""So many are named where something does not agree."""
SHOWN = """() => {
    const one = selector => document.querySelector(selector)
    const all = selector => [...document.querySelectorAll(selector)]
    const text = selector => one(selector)?.innerText ?? null
    const scatter = one('.st-key-records_scatter .js-plotly-plot')?._fullData?.[0]
    const bars = one('.st-key-influence_histogram .js-plotly-plot')?._fullData
    const button = one('.st-key-add_to_basket button')
    const rows = key => all(`.st-key-${key} canvas tbody [role=row]`)
    const rankings = [...rows('top_records'), ...rows('bottom_records')]
    const record = row => Number(row.querySelector('[role=gridcell]').textContent)
    return {
        running: one('[data-testid=stApp]')?.dataset.testScriptState !== 'notRunning',
        broken: all('[data-testid=stException], [data-testid=stAlertContentError]').map(e => e.innerText),
        warned: all('[data-testid=stAlertContentWarning]').map(e => e.innerText),
        run: one('.st-key-run input')?.value ?? null,
        round: one('.st-key-round input[type=range]')?.getAttribute('aria-valuetext') ?? null,
        source: text('.st-key-source'),
        selection: text('.st-key-selection'),
        basket: text('.st-key-basket'),
        add: button && {label: button.innerText, disabled: button.disabled},
        scatter: scatter ? Array.from(scatter.selectedpoints ?? [], i => Number(scatter.customdata[i])) : null,
        bars: bars ? bars.filter(trace => trace.name === 'selected')
            .reduce((sum, trace) => sum + Array.from(trace.y).reduce((a, b) => a + b, 0), 0) : null,
        inspected: one('.st-key-inspect input')?.value ?? null,
        listed: rankings.map(record),
        ticked: rankings.filter(row => row.getAttribute('aria-selected') === 'true').map(record),
    }
}"""


@contextmanager
def being_written(folder: Path) -> Iterator[None]:
    """A run that grows."""
    settings = engine.preset("CartPole-v1", "default", rounds=500, n_steps=128, batch_size=64, n_epochs=2)
    training, enough = engine.rounds(settings, folder), threading.Event()
    for _ in range(4):
        next(training)

    def write() -> None:
        while not enough.wait(WRITTEN_SECONDS):
            next(training)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        enough.set()
        writer.join()
        training.close()


class Walker:
    """Does what a person may do, knows what must be seen then."""

    def __init__(self, page: Page, url: str, runs: Path, seed: int, live: str) -> None:
        self.page, self.url, self.runs, self.seed, self.dice = page, url, runs, seed, random.Random(seed)
        self.run = self.live = live
        self.round: int | None = None
        """The one that must be shown, where that is known."""
        self.chosen = {live}
        """Runs that were chosen."""
        self.asked: str | None = None
        """The address that the browser went to by itself: the view must be the one that it names."""
        self.done: list[str] = []

    def opens(self, path: str) -> None:
        self.page.goto(self.url + path)
        self.asked = self.page.url

    def steps(self) -> dict[str, Callable[[], None]]:
        """What can be done here."""
        steps: dict[str, Callable[[], None]] = {"navigate": self.navigates, "look": self.looks}
        if self.page.evaluate("navigation.canGoBack"):
            steps |= {"back": self.goes_back}
        if "/diagnose" in self.page.url:
            steps |= {
                "lasso": self.lassoes,
                "lasso again": self.lassoes,
                "keys": self.presses_a_key,
                "hurry": self.hurries,
                "click": self.clicks,
                "click something else": self.clicks,
                "reload": self.reloads,
            }
        if self.page.locator(".st-key-run input").count():
            steps |= {"run": self.chooses_a_run}
        return steps

    def steps_once(self) -> None:
        """One step at random, and what came of it."""
        name, step = self.dice.choice(sorted(self.steps().items()))
        self.round = self.asked = None
        self.done.append(name)
        try:
            step()
            self.checks()
        except Exception as error:
            error.add_note(
                f"WALK_SEED={self.seed}, step {len(self.done)}; the last: {', '.join(self.done[-LAST_STEPS:])}"
            )
            raise

    def navigates(self) -> None:
        name = self.dice.choice(PAGES)
        self.done[-1] += f" to {name}"
        visit(self.page, name)

    def looks(self) -> None:
        self.page.wait_for_timeout(self.dice.choice((500, 2500)))

    def goes_back(self) -> None:
        self.page.go_back()
        self.asked = self.page.url
        self.done[-1] += f" to {self.asked}"

    def reloads(self) -> None:
        self.page.reload()
        self.asked = self.page.url

    def chooses_a_run(self) -> None:
        self.run = self.dice.choice((self.live, "small", "FrozenLake-v1"))
        self.chosen.add(self.run)
        self.done[-1] += f" {self.run}"
        box = self.page.locator(".st-key-run input")
        box.click()
        box.fill(self.run)
        self.page.get_by_role("option", name=self.run, exact=True).click()
        box.blur()  # keys would be typed into it

    def lassoes(self) -> None:
        if self.page.locator(".st-key-records_scatter .nsewdrag").count():
            x, y = self.dice.uniform(0, 0.6), self.dice.uniform(0, 0.6)
            lasso(self.page, x, y, x + self.dice.uniform(0.1, 0.35), y + self.dice.uniform(0.1, 0.35))

    def presses_a_key(self) -> None:
        key = self.dice.choice(("n", "p", "b", "u", "Shift+U"))
        self.done[-1] += f" {key}"
        self.page.keyboard.press(key)

    def hurries(self) -> None:
        """The next round, three times, faster than a page is drawn."""
        here = int(self.asks("round"))
        rounds = engine.open_run(self.runs / self.run).stored_rounds
        if self.run != self.live:
            self.round = rounds[min(rounds.index(here) + 3, len(rounds) - 1)]
        for _ in range(3):
            self.page.keyboard.press("n")
            self.page.wait_for_timeout(50)

    def clicks(self) -> None:
        keys = (
            "add_to_basket",
            "clear_selection",
            "clear_basket",
            "undo",
            "next_round",
            "previous_round",
            "trust_check",
        )
        may_be_clicked = "button:enabled:not([aria-disabled=true])"
        here = [key for key in keys if self.page.locator(f".st-key-{key} {may_be_clicked}").count()]
        if here:
            key = self.dice.choice(here)
            self.done[-1] += f" {key}"
            self.page.locator(f".st-key-{key} {may_be_clicked}").first.click()

    def asks(self, key: str) -> str:
        return parse_qs(urlsplit(self.page.url).query).get(key, [""])[-1]

    def checks(self) -> None:
        """What is shown in the end must agree."""
        end, quiet, at_rest = time.monotonic() + SETTLED_SECONDS, 0, "nothing"
        while quiet < 2:
            self.page.wait_for_timeout(300)
            seen = {**self.page.evaluate(SHOWN), "url": self.page.url}
            seen["running"] |= self.page.locator(".st-key-next_round button:disabled").count() > 0
            problems = ["the page is being drawn"] if seen["running"] else [*self.problems(seen)]
            at_rest = at_rest if seen["running"] else f"{problems}: {seen}"
            quiet = 0 if problems else quiet + 1
            if time.monotonic() > end:
                break
        assert not problems, f"{problems} at {self.page.url}; at rest it last showed {at_rest}"

    def problems(self, seen: dict[str, Any]) -> Iterator[str]:
        """What does not fit together."""
        yield from (f"an error: {line}" for line in seen["broken"])
        yield from (f"a warning: {line}" for line in seen["warned"] if "is not here" in line)
        if self.asked is not None:
            if self.asked != seen["url"]:
                yield f"{self.asked} became another address"
            if self.asks("run") not in self.chosen and "/compare_runs" not in self.asked:
                yield f"nobody was at {self.asked}"
            self.run = self.asks("run") or self.run
        if seen["run"] is not None and (seen["run"] != self.run or self.asks("run") != self.run):
            yield f"the header shows {seen['run']}, the URL {self.asks('run')}, chosen was {self.run}"
        if seen["round"] is not None and seen["round"] != self.asks("round"):
            yield f"the header shows round {seen['round']}, the URL {self.asks('round')}"
        if self.round is not None and str(self.round) != self.asks("round"):
            yield f"round {self.asks('round')} where {self.round} was asked for"
        if seen["scatter"] is not None:
            yield from self.problems_of_a_round(seen, int(self.asks("round")))

    def problems_of_a_round(self, seen: dict[str, Any], round: int) -> Iterator[str]:
        """What Diagnose shows of a round against the disk."""
        sets = read_sets(engine.open_run(self.runs / self.run), round)
        new = len(set(sets.selection) - set(sets.basket))
        if f"round {round} " not in seen["source"]:
            yield f"the scores are not about round {round}: {seen['source']}"
        said = re.search(r"Selection: (\d+) of", seen["selection"])
        if len(sets.selection) != (int(said[1]) if said else 0):
            yield f"{len(sets.selection)} are selected: {seen['selection']}"
        if sorted(seen["scatter"]) != sets.selection:
            yield f"the scatter shows {len(seen['scatter'])} of {len(sets.selection)}"
        if seen["bars"] != len(sets.selection):
            yield f"the bars show {seen['bars']} of {len(sets.selection)}"
        if not re.search(rf"round {round}: {len(sets.basket)} record", seen["basket"]):
            yield f"{len(sets.basket)} are in the basket: {seen['basket']}"
        if seen["add"]["disabled"] != (not new) or (new and f"Add {new} selected" not in seen["add"]["label"]):
            yield f"{new} could be added: {seen['add']}"
        if set(seen["ticked"]) != set(seen["listed"]) & set(sets.selection):
            yield f"of {seen['listed']} are ticked {seen['ticked']}"


@pytest.mark.parametrize(
    ("seconds", "seed"), [(10, 20), pytest.param(120, random.randrange(10**6), marks=pytest.mark.slow, id="long")]
)
def test_whatever_is_done_all_that_is_shown_agrees(page: Page, url: str, runs: Path, seconds: int, seed: int) -> None:
    seed, seconds = int(os.environ.get("WALK_SEED", seed)), int(os.environ.get("WALK_SECONDS", seconds))
    live = f"live-{seed}"
    walker = Walker(page, url, runs, seed, live)
    with being_written(runs / live):
        walker.opens(f"/diagnose?run={live}&round=1&refresh=True")
        walker.checks()
        walker.page.locator(".st-key-trust_check button").first.click()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            walker.steps_once()

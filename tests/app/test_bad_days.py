"""Somebody uses the dashboard while the disk fills, caches and runs vanish, and the clock jumps: each page says what is so."""

from __future__ import annotations

import errno
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import Open, errors, press, tick
from streamlit.testing.v1 import AppTest

from benchmarks.faults.failing_files import through
from engine.jobs import launch
from engine.store import Files, find_runs, verify_run

WRITES = (os.write, os.mkdir, os.link, os.replace, os.rename)
PAGES = ("runs", "timeline", "diagnose", "diagnose", "behaviour", "interventions", "autopsy", "compare", "compare_runs")
PRESSES = ("next_round", "previous_round")
JUMPS = (-86400.0, -3600.0, 3600.0, 86400.0 * 365)
"""Seconds by which the clock is set."""


class FillingDisk(Files):
    """Nothing can be written to it while it is full."""

    is_full = False

    def call(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.is_full and (operation in WRITES or (operation is os.open and args[1] & os.O_CREAT)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return operation(*args, **kwargs)


class Day:
    """What may happen, and what somebody does meanwhile."""

    def __init__(self, open_page: Open, folder: Path, seed: int, patch: pytest.MonkeyPatch) -> None:
        self.open_page, self.folder, self.dice = open_page, folder, random.Random(seed)
        self.disk, self.away, self.shift = FillingDisk(), folder.parent / "away", 0.0
        clock = time.time
        patch.setattr(time, "time", lambda: clock() + self.shift)
        self.done: list[str] = []
        self.app: AppTest = open_page("runs", folder)

    def steps(self) -> dict[str, Callable[[], None]]:
        happens = {
            "the disk is full, or is not": self.fills,
            "derived is deleted": self.forgets,
            "a run goes, or comes back": self.moves_a_run,
            "the clock jumps": self.jumps,
        }
        return happens | {f"goes to {page}": lambda page=page: self.goes(page) for page in PAGES} | self.here()

    def here(self) -> dict[str, Callable[[], None]]:
        """What can be done on the page."""
        buttons = [button.key for button in self.app.button if button.key and not button.disabled]
        found: dict[str, Callable[[], None]] = {f"clicks {key}": lambda key=key: self.clicks(key) for key in buttons}
        there = {one.proto.id.rpartition("-")[2] for one in self.app.get("bidi_component")}
        found |= {f"presses {key}": lambda key=key: self.presses(key) for key in PRESSES if key in there}
        tables = [frame.key for frame in self.app.dataframe if frame.key in ("top_records", "bottom_records")]
        return found | {f"ticks {key}": lambda key=key: self.ticks(key) for key in tables}

    def goes(self, page: str) -> None:
        run = self.dice.choice(("one", "two"))
        self.app = self.open_page(page, self.folder, run=run, round=f"{self.dice.randrange(3)}", record="1:3")

    def clicks(self, key: str) -> None:
        self.app = self.app.button(key=key).click().run()

    def presses(self, key: str) -> None:
        self.app = press(self.app, key)

    def ticks(self, key: str) -> None:
        self.app = tick(self.app, key, self.dice.randrange(5))

    def fills(self) -> None:
        self.disk.is_full = not self.disk.is_full
        self.app = self.app.run()

    def forgets(self) -> None:
        shutil.rmtree(self.folder / self.dice.choice(("one", "two")) / "derived", ignore_errors=True)
        self.app = self.app.run()

    def moves_a_run(self) -> None:
        place, away = self.folder / "two", self.away
        (away.rename(place) if away.exists() else place.rename(away))
        self.app = self.app.run()

    def jumps(self) -> None:
        self.shift += self.dice.choice(JUMPS)
        self.app = self.app.run()

    def goes_on(self, steps: int) -> None:
        with through(self.disk):
            for _ in range(steps):
                choices = self.steps()
                self.done.append(self.dice.choice(sorted(choices)))
                choices[self.done[-1]]()
                said = errors(self.app)
                assert all("\n" not in line and "Traceback" not in line for line in said), said


@pytest.mark.long
@pytest.mark.parametrize(
    ("steps", "seed"), [(15, 4), pytest.param(400, random.randrange(10**6), marks=pytest.mark.slow, id="long")]
)
def test_a_page_says_what_is_so_whatever_happens_to_the_disk(
    open_page: Open, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, seed: int
) -> None:
    seed = int(os.environ.get("DAY_SEED", seed))
    monkeypatch.setattr(launch, "_start", lambda folder, options: None)  # no worker comes
    for name in ("one", "two"):
        shutil.copytree(runs / "cartpole", tmp_path / "runs" / name)
    day = Day(open_page, tmp_path / "runs", seed, monkeypatch)
    try:
        day.goes_on(steps)
    except BaseException as error:
        error.add_note(f"DAY_SEED={seed}: {day.done[-12:]}")
        raise
    assert [verify_run(run) for run in find_runs(tmp_path)] == [[]] * len(find_runs(tmp_path))

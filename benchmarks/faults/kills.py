"""A process is killed with SIGKILL at random moments: forked from this one, or started cold."""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.faults.writer import Bench, Part, Tally, Wrong, aftermath, attempt, forget

WARM, COLD = 10_000, 500
"""Kills over all writers."""
MOST_IN_A_ROW = 3
"""Times that the same work is killed, each time while it goes on."""
LONGER = 1.1
"""Of the time that the work takes: a few kills come when it is over."""
ROOT = Path(__file__).resolve().parents[2]

Killed = Callable[[Bench, Path, float], tuple[list[str], bool]]
"""Starts the work in a folder and kills it after so many seconds (0: never): what it said, and whether it was over."""


def kill_forked(bench: Bench, part: Part, tally: Tally, of: int) -> None:
    """Kill children that are forked from this warm process, so many over `of` writers, as far as the part has them."""
    _kill(bench, part, tally, _forked, -(-WARM // of))


def kill_cold(bench: Bench, part: Part, tally: Tally, of: int) -> None:
    """As `kill_forked`, of processes that begin with importing what they need."""
    _kill(bench, part, tally, _cold, -(-COLD // of))


def _kill(bench: Bench, part: Part, tally: Tally, killed: Killed, kills: int) -> None:
    taken = [number for number in range(kills) if part.takes(number)]
    if not taken:
        return
    with bench.fresh() as folder:
        bench.writer.act(folder, lambda _: None)  # what a warm process has loaded
    with bench.fresh() as folder:
        begun = time.monotonic()
        killed(bench, folder, 0.0)
        takes = time.monotonic() - begun
    for number in taken:
        dice = random.Random(f"{bench.writer.name} {number}")
        with bench.fresh() as folder:
            said: list[str] = []
            found: list[Wrong] = []
            for _ in range(dice.randint(1, MOST_IN_A_ROW)):
                new, is_over = killed(bench, folder, dice.uniform(0, LONGER * takes))
                found += [Wrong("traceback", line) for line in new if line.startswith(FAILED)]
                said += [line for line in new if not line.startswith(FAILED)]
                tally.notes["killed when it was over" if is_over else "killed in the middle"] += 1
                if is_over:
                    break
            tally.add(f"kill {number}", [*found, *aftermath(bench.writer, folder, said)])


FAILED = "failed: "
"""Begins the line of a child whose work ended in an error, which no kill explains."""


def _forked(bench: Bench, folder: Path, seconds: float) -> tuple[list[str], bool]:
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(bench, folder, theirs), daemon=True)
    child.start()
    theirs.close()
    is_over = False
    if seconds:
        child.join(seconds)
        is_over = child.exitcode is not None
        child.kill()
    child.join()
    said = []
    try:
        while True:
            said.append(mine.recv())
    except (EOFError, OSError):
        mine.close()
    return said, is_over


def _work(bench: Bench, folder: Path, pipe: Connection) -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    forget()
    for wrong in attempt(bench.writer, folder, pipe.send):
        pipe.send(FAILED + wrong.what)
    os._exit(0)


def _cold(bench: Bench, folder: Path, seconds: float) -> tuple[list[str], bool]:
    command = [sys.executable, "-m", "benchmarks.faults.cold", bench.writer.name, str(folder)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    is_over = False
    try:
        child.wait(seconds or None)
        is_over = bool(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
    said, _ = child.communicate()
    return [line for line in said.splitlines(keepends=True) if line.endswith("\n")], is_over

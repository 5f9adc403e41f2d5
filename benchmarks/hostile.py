"""Hostile archives, runs, results and dumps: does each end in one line, soon, within a gigabyte, and does nothing arrive?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import engine
from benchmarks.hostile_archives import MARK, Maker, archives
from benchmarks.hostile_read import dumps, results
from benchmarks.hostile_runs import runs
from benchmarks.timing import Figure
from engine.intervention.record_sets import change_basket, save_group
from engine.store import find_runs, verify_run
from engine.store.run_notes import RunNotes, change_run_notes
from engine.store.transfer.archive import archive_run, is_of_a_run

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 60.0
"""Seconds after which one is given up."""
GIB = 2**30
_MEASURE = """
import json, resource, subprocess, sys, time
begun = time.monotonic()
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
try:
    said, code = child.communicate(timeout=float(sys.argv[1])), child.returncode
except subprocess.TimeoutExpired:
    child.kill()
    said, code = child.communicate(), None
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([code, *(each.decode(errors="replace") for each in said), time.monotonic() - begun, peak]))
"""
"""Run by a small process: what a command is given by the one that forks it counts as its own memory."""


@dataclass(frozen=True)
class Attempt:
    """What came of one."""

    name: str
    seconds: float
    memory: int
    """Bytes that the command, or what it started, had at most."""
    refused: bool
    wrong: str
    """Empty, or what should not have happened."""


def figures(quick: bool = False) -> Iterator[Figure]:
    """All of them, or every tenth."""
    with tempfile.TemporaryDirectory() as work:
        made = every(Path(work))
        found = [attempt(name, make, Path(work)) for name, make in (made[::10] if quick else made)]
    for each in found:
        if each.wrong:
            print(f"{each.name}: {each.wrong}")
    yield _count("tried", len(found), ">= 300")
    yield _count("refused in one line", sum(each.refused for each in found))
    yield _count(
        "read, and nothing of what was hostile arrived", sum(not (each.refused or each.wrong) for each in found)
    )
    yield _count("otherwise", sum(bool(each.wrong) for each in found), "0")
    slowest, largest = max(each.seconds for each in found), max(each.memory for each in found) / GIB
    yield Figure("the slowest", slowest, slowest, "s", target="<= 5")
    yield Figure("the largest", largest, largest, "GiB", target="<= 1")


def _count(what: str, number: int, target: str = "") -> Figure:
    return Figure(what, number, number, "", target=target)


def every(work: Path) -> list[tuple[str, Maker]]:
    """Names, and what makes each: archives, runs, results and other trainers' dumps.

    Args:
        work: a folder, where the run that they are made of is trained.
    """
    sound = work / "sound"
    settings = {"rounds": 3, "n_steps": 32, "n_envs": 1, "batch_size": 16, "n_epochs": 2, "hidden": (4,)}
    engine.train(engine.preset("FrozenLake-v1", "default", **settings), sound)
    run = engine.open_run(sound)
    change_basket(run, 1, [1, 2, 3])
    save_group(run, 1, "three", [1, 2, 3])
    change_run_notes(sound, lambda _: RunNotes("sound", ("small",)))
    archive_run(sound, work / "sound.tar")
    removed = shutil.copytree(sound, work / "removed")
    chosen = ["--round", "1", "--drop-bottom", "0.5", "--orders", "2", "--evaluate", "4"]
    subprocess.run([sys.executable, "-m", "engine", "retrain", str(removed), *chosen], check=True, capture_output=True)
    return [*archives((work / "sound.tar").read_bytes()), *runs(sound), *results(removed), *dumps()]


def attempt(name: str, make: Maker, work: Path) -> Attempt:
    """Make one, and import it or, of a dump or a result, read it."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        given, into = Path(folder) / ("given.tar" if name.startswith("archive") else "given"), Path(folder) / "runs"
        make(given)
        reads = [sys.executable, "-m", "benchmarks.hostile_read", str(given)]
        imports = [sys.executable, "-m", "engine", "import", str(given), "--into", str(into), "--json"]
        is_read = name.startswith(("dump", "result"))
        code, out, err, seconds, memory = _measured(reads if is_read else imports)
        if is_read and out:
            seconds = float(out)
        wrong = _wrong(code, out, err)
        if not wrong and into.exists():
            wrong = _arrived(into, code)
    return Attempt(name, seconds, memory, code == 2, wrong)


def _measured(command: Sequence[str]) -> tuple[int | None, str, str, float, int]:
    """Exit code (None: it was given up), what it said, its time and its peak memory."""
    said = subprocess.run(
        [sys.executable, "-S", "-c", _MEASURE, str(LIMIT), *command],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        stdout=subprocess.PIPE,
        check=True,
    )
    code, out, err, seconds, memory = json.loads(said.stdout)
    return code, out, err, seconds, memory * 1024


def _wrong(code: int | None, out: str, err: str) -> str:
    """What is wrong with how it ended."""
    if code is None:
        return f"no end in {LIMIT:g} s"
    if MARK in out:
        return "something hostile was executed, or shown"
    if code == 0:
        return "" if not err else f"it was read, and says {err[:200]!r}"
    if code != 2:
        return f"exit code {code}: {err[-200:]!r}"
    lines = err.splitlines()
    return (
        "" if len(lines) == 1 and lines[0].startswith("error: ") and len(lines[0]) < 1000 else f"it says {err[-400:]!r}"
    )


def _arrived(into: Path, code: int | None) -> str:
    """What arrived that should not have."""
    left = sorted(path.name for path in into.iterdir())
    if code == 2:
        return f"it was refused, and left {left}" if left else ""
    for run in find_runs(into):
        if damage := verify_run(run):
            return f"it was read, and the new run is damaged: {damage[0].problem}"
        for file in (path for path in run.rglob("*") if path.is_file()):
            parts = file.relative_to(run).parts
            if not is_of_a_run(parts) and parts[-1] not in ("writer.lock", "lock"):
                return f"{'/'.join(parts)} arrived"
            if MARK.encode() in file.read_bytes():
                return f"what was planted arrived in {'/'.join(parts)}"
    return ""

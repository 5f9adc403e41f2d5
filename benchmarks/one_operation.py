"""One thing that is done with a run, in a process of its own, and what it took.

So nothing is known of the run before, and the memory is that of the operation alone.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: F401  # pyarrow imports it once it is handed values
import torch

import engine
from benchmarks.grown_runs import Unsynced
from engine.analysis.formation import formation
from engine.cli.runs import runs, show
from engine.core.influence import influence
from engine.executors import INLINE
from engine.store import Files, export_run, open_run, verify_run
from engine.store.sound_files import SoundFiles
from engine.store.transfer.archive import archive_run
from engine.store.verify import verify_rounds

Operation = Callable[[], object]
MEASURES = ("read, kB", "files", "memory, MB", "seconds")
"""Read and opened for it, held at most beyond what was there before, and the time."""
LAST = 10
"""Rounds whose records an export keeps."""


class Counted:
    """Bytes that are read and files that are opened for it, by the one door that all file operations of a run go through."""

    def __init__(self) -> None:
        """Begin to count."""
        self.bytes = self.files = 0
        call = Files.call

        def counted(files: Files, operation: Any, *args: Any, **kwargs: Any) -> Any:
            result = call(files, operation, *args, **kwargs)
            if operation is os.read:
                self.bytes += len(result)
            elif operation is os.open and not args[1] & (os.O_WRONLY | os.O_RDWR | os.O_DIRECTORY):
                self.files += 1
            return result

        Files.call = Unsynced.call = counted  # type: ignore[method-assign, assignment]


def memory(anew: bool = False) -> float:
    """MB that this process has had in memory at most, or has now (`anew`), from where the most is then counted."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1e3 if found else 0.0


def _asked(path: Path) -> tuple[Any, Any]:
    """A run, and a behaviour in it."""
    run = open_run(path)
    return run, engine.action_target(run.snapshot(run.stored_rounds[len(run.stored_rounds) // 2]), record=7)


def _resumed(path: Path) -> Operation:
    config = open_run(path).config

    def first_round() -> None:
        """Up to what would be committed next; nothing is."""
        training = engine.rounds(config, path, resume=True)
        next(training)
        training.close()

    return first_round


def _verified_new(path: Path) -> Operation:
    return lambda: verify_rounds(path, sound=SoundFiles(path))


def _formed(path: Path, cache: bool) -> Operation:
    run, target = _asked(path)
    return lambda: list(formation(run, target, cache=cache))


def _behaved(path: Path) -> Operation:
    run, target = _asked(path)
    return lambda: engine.behaviour(run, target)


def _influence(path: Path) -> Operation:
    snapshot = open_run(path).snapshot(0)
    return lambda: influence(snapshot, "return", cache=False)


def _validated(path: Path) -> Operation:
    snapshot = open_run(path).snapshot(0)
    return lambda: engine.validate(snapshot, "return", subsets=4, orders=1, pool=INLINE)


OPERATIONS: dict[str, Callable[[Path, Path], Operation]] = {
    "open": lambda run, beside: lambda: open_run(run),
    "open, and write the index": lambda run, beside: lambda: open_run(run, indexed=True),
    "open by the index": lambda run, beside: lambda: open_run(run, indexed=True),
    "list": lambda run, beside: lambda: runs(run.parent, as_json=True),
    "show": lambda run, beside: lambda: show(run),
    "one metric of every round": lambda run, beside: (
        lambda: [info.metrics["mean_return"] for info in open_run(run, indexed=True).rounds]
    ),
    "incidents": lambda run, beside: lambda: engine.incidents(run),
    "resume": lambda run, beside: _resumed(run),
    "verify": lambda run, beside: lambda: verify_run(run),
    "verify, nothing known": lambda run, beside: _verified_new(run),
    "verify what is new": lambda run, beside: _verified_new(run),
    "export with ten rounds": lambda run, beside: (
        lambda: export_run(run, beside / "copy", open_run(run).stored_rounds[-LAST:], Unsynced())
    ),
    "export to one file": lambda run, beside: lambda: archive_run(run, beside / "run.tar", Unsynced()),
    "formation": lambda run, beside: _formed(run, cache=False),
    "behaviour": lambda run, beside: _behaved(run),
    "behaviour, kept": lambda run, beside: _behaved(run),
    "read the round": lambda run, beside: lambda: open_run(run).snapshot(0),
    "influence": lambda run, beside: _influence(run),
    "validate": lambda run, beside: _validated(run),
}
"""Name -> what prepares it, uncounted, with a folder for what it writes."""


def take(name: str, path: Path) -> dict[str, float]:
    """Do it, and say what it took, by `MEASURES`; to be called once in a process."""
    torch.set_num_threads(1)
    with redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as beside:
        operation = OPERATIONS[name](path, Path(beside))
        counted = Counted()
        before, start = memory(anew=True), time.perf_counter()
        result = operation()
        seconds, peak = time.perf_counter() - start, memory()
        del result
    return dict(zip(MEASURES, (counted.bytes / 1e3, float(counted.files), peak - before, seconds), strict=True))

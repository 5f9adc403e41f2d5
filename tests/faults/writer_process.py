"""What other processes do to a run in these tests."""

import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.faults import dropping
from benchmarks.faults.made_up_rounds import METRICS, make_manifest, make_snapshot
from engine.errors import EngineError
from engine.store import RunWriter
from engine.store.files import Files


class AsOnADisk(Files):
    """File operations that take time, also where the tests' folder lies in memory: else no kill would fall into one."""

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Do one system call."""
        if operation is os.fsync:
            time.sleep(0.001)
        return super().call(operation, *args, **kwargs)


def write_rounds(path: Path, rounds: int, acknowledged: Connection) -> None:
    """Start or continue the run at `path` up to `rounds` rounds and say each number once it is committed."""
    started = (path / "run.json").exists()
    files = AsOnADisk()
    with RunWriter.append(path, files) if started else RunWriter.create(path, make_manifest(), files) as writer:
        for k in range(writer.next_round or 0, rounds):
            writer.commit_round(make_snapshot(k), METRICS)
            acknowledged.send(k)


def write_dropping(path: Path, rounds: int, acknowledged: Connection) -> None:
    """As `write_rounds`, and every commit drops the round three before it."""
    started = (path / "run.json").exists()
    with RunWriter.append(path) if started else RunWriter.create(path, dropping.manifest()) as writer:
        for k in range(writer.next_round or 0, rounds):
            writer.commit_round(make_snapshot(k), METRICS, [k - 3] if k >= 3 else [])
            acknowledged.send(k)


def try_to_append(path: Path, answer: Connection) -> None:
    """Say the error, or that there was none."""
    try:
        with RunWriter.append(path):
            answer.send("no error")
    except EngineError as error:
        answer.send(f"{type(error).__name__}: {error}")

"""Start background work. A job is a process of its own; everything about it is on disk."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.loaders import ROOT
from engine.intervention.retrain import Intervention
from engine.intervention.workspace import Job, create_job, predicted
from engine.store.read import Run
from engine.store.snapshot import Snapshot


def start(run: Run, snapshot: Snapshot, plan: Intervention, estimator: str) -> Job:
    """Begin an intervention, or give back the equal one that is there already.

    The worker is in a session of its own: it outlives a page reload and a restart of the server.

    Raises:
        EngineError: the plan can't be carried out, or the run's folder can't be written.
    """
    return _start(*create_job(run, snapshot, plan, predicted(snapshot, plan, estimator)))


def start_again(run: Run, job: Job) -> None:
    """Begin an intervention that failed, was cancelled or lost its worker anew."""
    about = {key: value for key, value in job.about.items() if key != "created"}
    _start(*create_job(run, run.snapshot(job.plan.round), job.plan, about))


@dataclass(frozen=True)
class Check:
    """A validation of a round's scores in the background: `python -m engine validate` with these arguments.

    Its finished replays are kept in the run's `derived/` by the command itself; the two files here say whether it runs,
    and what it said last.
    """

    run: Run
    round: int
    name: str
    """Of its files; one for each round and target."""
    arguments: tuple[str, ...]

    @property
    def _file(self) -> Path:
        return self.run.path / "derived" / f"validate-{self.round}-{self.name}.lock"

    @property
    def _log(self) -> Path:
        return self._file.with_suffix(".log")

    def start(self, estimators: Sequence[str]) -> None:
        """Begin, unless it runs already. The process holds a lock on its file for as long as it lives.

        Raises:
            OSError: the run's folder can't be written.
        """
        self._file.parent.mkdir(exist_ok=True)
        chosen = [word for name in estimators for word in ("--estimator", name)]
        command = ["-m", "engine", "validate", str(self.run.path.resolve()), "--round", str(self.round), "--json"]
        with self._file.open("a+") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with self._log.open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, *command, *self.arguments, *chosen],
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=(lock.fileno(),),
                )
            lock.truncate(0)
            lock.write(str(process.pid))

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        try:
            with self._file.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def stop(self) -> None:
        """End it as Ctrl-C does; finished replays are kept."""
        if self.running:
            with suppress(OSError, ValueError):
                os.killpg(int(self._file.read_text()), signal.SIGINT)

    @property
    def complaint(self) -> str:
        """The line that it ended with, if it failed."""
        try:
            lines = self._log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return next((line for line in reversed(lines) if line.startswith("error: ")), "").removeprefix("error: ")


def _start(job: Job, to_be_started: bool) -> Job:
    if to_be_started:
        with (job.folder / "log.txt").open("wb") as log:
            subprocess.Popen(
                [sys.executable, "-m", "engine.intervention.worker", str(job.folder.resolve())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    return job

"""Start background work. A job is a process of its own; everything about it is on disk."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from engine.kinds.language.influence import SequenceScores

from app.loaders import ROOT
from engine.allowed import allowed
from engine.core.estimators import DEFAULT_ESTIMATOR
from engine.core.scores import Scores
from engine.errors import EngineError, LockedRunError
from engine.intervention.across import Series, SeriesJob, create_series
from engine.intervention.plan import Intervention
from engine.intervention.workspace import Job, Work, create_job, predicted
from engine.kinds.language.models import check_base
from engine.kinds.language.sequences import LanguageSnapshot
from engine.store.files import Files, inside
from engine.store.read import Run
from engine.store.snapshot import Snapshot

LONGEST_LOG = 2**20
"""Bytes of a log that are read."""


def start(
    run: Run, snapshot: Snapshot | LanguageSnapshot, plan: Intervention, scores: Scores | SequenceScores | None
) -> Job:
    """Begin an intervention, or give back the equal one that is there already.

    The worker is in a session of its own: it outlives a page reload and a restart of the server.

    Args:
        run: the run.
        snapshot: its round.
        plan: what to remove.
        scores: what predicts the outcome; None: nothing does.

    Raises:
        EngineError: the plan can't be carried out, or the run's folder can't be written.
    """
    about: dict[str, Any]
    if isinstance(snapshot, LanguageSnapshot):
        check_base(snapshot.language)
    if isinstance(scores, Scores) and isinstance(snapshot, Snapshot):
        about = predicted(snapshot, plan, scores.estimator, scores.orders)
    elif scores is None:
        about = {"estimator": DEFAULT_ESTIMATOR, "orders": 1, "summed_influence": None}
    else:
        removed = float(scores.influence[list(plan.removed)].sum())
        about = {"estimator": scores.estimator, "orders": 1, "summed_influence": removed}
    job, to_be_started = create_job(run, snapshot, plan, about)
    _start(job, to_be_started, _worker(run))
    return job


def start_again(run: Run, job: Job) -> None:
    """Begin an intervention that failed, was cancelled or lost its worker anew."""
    about = {key: value for key, value in job.about.items() if key != "created"}
    snapshot = run.language_snapshot if run.is_language else run.snapshot
    _start(*create_job(run, snapshot(job.plan.round), job.plan, about), _worker(run))


@dataclass(frozen=True)
class Check:
    """An engine command about a round in the background, whose result is kept in the run's `derived/` by the command itself.

    `validate`, whose finished replays are kept too, `diagnose`, whose finished rollouts are, or `influence`. The two files
    here say whether it runs, and what it said last.
    """

    run: Run
    round: int
    name: str
    """Of its files; one for each round and question."""
    arguments: tuple[str, ...]
    command: Literal["validate", "influence", "diagnose"] = "validate"

    @property
    def _file(self) -> Path:
        return self._beside("lock")

    @property
    def _log(self) -> Path:
        return self._beside("log")

    def _beside(self, ending: str) -> Path:
        return inside(self.run.path, "derived", f"{self.command}-{self.round}-{self.name}.{ending}")

    def start(self, estimators: Sequence[str]) -> None:
        """Begin, unless it runs already. The process holds a lock on its file for as long as it lives.

        Raises:
            DamagedRunError: its lock or log is no plain file.
            StorageError: the run's folder can't be written.
        """
        files = Files()
        files.make_folder(inside(self.run.path, "derived"))
        chosen = [word for name in estimators for word in ("--estimator", name)]
        command = ["-m", "engine", self.command, str(self.run.path.resolve()), "--round", str(self.round), "--json"]
        models = allowed().options if self.run.is_language else ()
        with suppress(LockedRunError):
            lock = files.lock(self._file)
            with os.fdopen(lock, "r+b") as held, open_log(self._log) as log:
                process = subprocess.Popen(
                    [sys.executable, *command, *self.arguments, *chosen, *models],
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=(lock,),
                )
                held.truncate(0)
                held.write(" ".join((str(process.pid), *estimators)).encode())

    @property
    def estimators(self) -> tuple[str, ...]:
        """Those that it was last started with."""
        return tuple(self._words("lock").split()[1:])

    def _words(self, ending: str) -> str:
        """What its lock or log holds; nothing where there is none, or none that can be read."""
        try:
            return Files().read(self._beside(ending), limit=LONGEST_LOG).decode(errors="replace")
        except (FileNotFoundError, EngineError):
            return ""

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        files = Files()
        try:
            if files.exists(self._file):
                files.unlock(files.lock(self._file))
        except LockedRunError:
            return True
        except EngineError:
            return False
        return False

    def stop(self) -> None:
        """End it as Ctrl-C does; finished replays are kept."""
        if self.running:
            with suppress(OSError, ValueError, IndexError):
                os.killpg(int(self._words("lock").split()[0]), signal.SIGINT)

    @property
    def complaint(self) -> str:
        """The line that it ended with, if it failed."""
        return next((line for line in self._said() if line.startswith("error: ")), "").removeprefix("error: ")

    @property
    def progress(self) -> tuple[float, str]:
        """The share that is done, from the last line that says one, and that line; (0, "") before the first."""
        for line in self._said():
            if share := re.search(r"\((\d+)(%|/(\d+))", line):
                return min(int(share[1]) / max(1, int(share[3] or 100)), 1.0), line
        return 0.0, ""

    def _said(self) -> list[str]:
        """What it printed, the last line first."""
        return self._words("log").splitlines()[::-1]


def open_log(path: Path) -> BinaryIO:
    """An empty log for a process to write to.

    Raises:
        DamagedRunError: what is there is no plain file.
        StorageError: the folder can't be written.
    """
    return os.fdopen(Files().kept_open(path, emptied=True), "wb")


def start_series(run: Run, series: Series) -> SeriesJob:
    """Begin a series of interventions, or go on with it where it was stopped; finished rounds are kept.

    Raises:
        EngineError: the run's folder can't be written.
    """
    job, to_be_started = create_series(run, series)
    _start(job, to_be_started)
    return job


RECORDS = ("engine.intervention.worker",)


def _worker(run: Run) -> Sequence[str]:
    """The module that carries out an intervention on the run, and what it may load."""
    return ("engine.kinds.language.worker", *allowed().options) if run.is_language else RECORDS


def _start(job: Work, to_be_started: bool, worker: Sequence[str] = RECORDS) -> None:
    if to_be_started:
        with open_log(inside(job.folder, "log.txt")) as log:
            subprocess.Popen(
                [sys.executable, "-m", *worker, str(job.folder.resolve())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

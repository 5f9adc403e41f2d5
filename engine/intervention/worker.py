"""The process that carries out one intervention, or a series of them: `python -m engine.intervention.worker FOLDER`.

It outlives the page and the server that started it, says in `status.json` how far it is, and stops between two
minibatches when the file `cancel` appears.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import BadInputError, CancelledError, EngineError, LockedRunError
from engine.intervention.across import SERIES_FILE, carry_out_series, read_series
from engine.intervention.plan import Intervention, Progress
from engine.intervention.retrain import carry_out
from engine.intervention.workspace import LOCK_FILE, State, read_job, write_status
from engine.store.files import Files
from engine.store.read import Run, open_run
from engine.terminal import Estimate

STATUS_SECONDS = 0.3

M = TypeVar("M", bound=Mapping[str, Any])


CarryOut = Callable[[Run, Intervention, Path, Progress], Mapping[str, Any]]


def work(folder: Path, report: Progress | None = None, *, carry_out: CarryOut = carry_out) -> Mapping[str, Any]:
    """Carry out the intervention in `folder`; an equal one that is done is not done again.

    Args:
        folder: made by `workspace.create_job`.
        report: is told what `status.json` says.
        carry_out: how that is done in this kind of run.

    Returns:
        The result, as `result.json` has it.

    Raises:
        EngineError: it could not be carried out, or was cancelled; `status.json` says so too.
    """

    def begin(progress: Callable[[], Progress]) -> Mapping[str, Any]:
        job = read_job(folder)
        if job is None:
            raise BadInputError(f"{folder} holds no intervention")
        if job.result is not None:
            return job.result
        return carry_out(open_run(job.run_path), job.plan, folder / "branch", progress())

    if read_job(folder) is None:
        raise BadInputError(f"{folder} holds no intervention")
    return _supervise(folder, report, begin)


def work_series(
    run: Run,
    folder: Path,
    report: Progress | None = None,
    *,
    executor: str = "processes",
    workers: int | None = None,
) -> dict[str, Any]:
    """Carry out the series of interventions in `folder`; rounds that are finished are not done again.

    Args:
        run: its run.
        folder: made by `across.create_series`.
        report: is told what `status.json` says.
        executor: see `executors.run_tasks`.
        workers: rounds at a time.

    Returns:
        What `across.carry_out_series` returns.

    Raises:
        EngineError: as `work`.
    """

    def begin(progress: Callable[[], Progress]) -> dict[str, Any]:
        job = read_series(folder)
        if job is None:
            raise BadInputError(f"{folder} holds no series of interventions")
        return carry_out_series(run, job.series, folder, progress(), executor=executor, workers=workers)

    return _supervise(folder, report, begin)


def _supervise(folder: Path, report: Progress | None, begin: Callable[[Callable[[], Progress]], M]) -> M:
    """Do the work of a folder as the only worker; `status.json` says how far it is and how it ended.

    Args:
        folder: with the work's lock and status.
        report: is told what `status.json` says.
        begin: does the work; it asks for the progress to report to when there is something to be done.
    """
    files = Files()
    lock = _lock(files, folder)
    status = _Status(folder, report)
    try:
        result = begin(status.begin)
        status.end("done", "finished")
    except (CancelledError, KeyboardInterrupt):
        status.end("cancelled", "cancelled")
        raise
    except EngineError as error:
        status.end("failed", str(error))
        raise
    except BaseException as error:
        status.end("failed", f"{type(error).__name__}: {error}; see log.txt in {folder}")
        raise
    finally:
        files.unlock(lock)
    return result


def _lock(files: Files, folder: Path) -> int:
    """Only one worker may be at a job; somebody who looks whether there is one holds the lock for a moment."""
    for _ in range(20):
        try:
            return files.lock(folder / LOCK_FILE)
        except LockedRunError:
            time.sleep(0.05)
    raise LockedRunError(f"another worker is at the intervention {folder.name}; wait for it")


class _Status:
    """Writes `status.json` a few times a second, and watches for the file `cancel`."""

    def __init__(self, folder: Path, report: Progress | None) -> None:
        self.folder, self.report = folder, report
        self.begun, self.last, self.left = False, 0.0, Estimate()
        self.done, self.total = 0, 1

    def begin(self) -> Progress:
        self.begun = True
        write_status(self.folder, "running", "starting", self.done, self.total)
        return self

    def __call__(self, doing: str, done: int, total: int) -> None:
        self.done, self.total = done, total
        if (self.folder / "cancel").exists():
            raise CancelledError("cancelled")
        if self.report is not None:
            self.report(doing, done, total)
        left = self.left(done, total)
        if time.monotonic() - self.last > STATUS_SECONDS:
            write_status(self.folder, "running", doing + left, done, total)
            self.last = time.monotonic()

    def end(self, state: State, doing: str) -> None:
        if self.begun:
            done = self.total if state == "done" else self.done
            write_status(self.folder, state, doing, done, self.total)


def main(folder: Path) -> None:
    """Carry out what is in a folder that lies among a run's interventions."""
    if folder.parent.name == "across" and (folder / SERIES_FILE).exists():
        work_series(open_run(folder.parents[2]), folder)
    else:
        work(folder)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except EngineError as problem:
        sys.exit(str(problem))

"""The process that carries out one intervention: `python -m engine.intervention.worker FOLDER`.

It outlives the page and the server that started it, says in `status.json` how far it is, and stops between two
minibatches when the file `cancel` appears.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from engine.errors import BadInputError, CancelledError, EngineError, LockedRunError
from engine.intervention.retrain import Progress, carry_out
from engine.intervention.workspace import LOCK_FILE, read_job, write_status
from engine.store.files import Files
from engine.store.read import open_run

STATUS_SECONDS = 0.3


def work(folder: Path, report: Progress | None = None) -> dict[str, Any]:
    """Carry out the intervention in `folder`; an equal one that is done is not done again.

    Args:
        folder: made by `workspace.create_job`.
        report: is told what `status.json` says.

    Returns:
        What `retrain` returns.

    Raises:
        EngineError: it could not be carried out, or was cancelled; `status.json` says so too.
    """
    if read_job(folder) is None:
        raise BadInputError(f"{folder} holds no intervention")
    files = Files()
    lock = _lock(files, folder)
    try:
        return _work(folder, report)
    finally:
        files.unlock(lock)


def _lock(files: Files, folder: Path) -> int:
    """Only one worker may be at a job; somebody who looks whether there is one holds the lock for a moment."""
    for _ in range(20):
        try:
            return files.lock(folder / LOCK_FILE)
        except LockedRunError:
            time.sleep(0.05)
    raise LockedRunError(f"another worker is at the intervention {folder.name}; wait for it")


def _work(folder: Path, report: Progress | None) -> dict[str, Any]:
    job = read_job(folder)
    if job is None:
        raise BadInputError(f"{folder} holds no intervention")
    if job.result is not None:
        return job.result
    done, total, last = 0, 1, 0.0

    def progress(doing: str, now_done: int, now_total: int) -> None:
        nonlocal done, total, last
        done, total = now_done, now_total
        if (folder / "cancel").exists():
            raise CancelledError("cancelled")
        if report is not None:
            report(doing, done, total)
        if time.monotonic() - last > STATUS_SECONDS:
            write_status(folder, "running", doing, done, total)
            last = time.monotonic()

    write_status(folder, "running", "starting", done, total)
    try:
        result = carry_out(open_run(job.run_path), job.plan, folder / "branch", progress)
    except (CancelledError, KeyboardInterrupt):
        write_status(folder, "cancelled", "cancelled", done, total)
        raise
    except EngineError as error:
        write_status(folder, "failed", str(error), done, total)
        raise
    except BaseException as error:
        write_status(folder, "failed", f"{type(error).__name__}: {error}; see log.txt in {folder}", done, total)
        raise
    write_status(folder, "done", "finished", total, total)
    return result


if __name__ == "__main__":
    try:
        work(Path(sys.argv[1]))
    except EngineError as problem:
        sys.exit(str(problem))

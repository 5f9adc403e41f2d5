"""The process that carries out one intervention: `python -m engine.intervention.worker FOLDER`.

It outlives the page and the server that started it, says in `status.json` how far it is, and stops between two
minibatches when the file `cancel` appears.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from engine.errors import CancelledError, EngineError
from engine.intervention.retrain import retrain
from engine.intervention.workspace import read_job, write_status

STATUS_SECONDS = 0.3


def work(folder: Path) -> int:
    """Carry out the intervention in `folder`; returns the exit code."""
    job = read_job(folder)
    if job is None:
        print(f"{folder} holds no intervention", file=sys.stderr)
        return 2
    done, total, last = 0, 1, 0.0

    def progress(doing: str, now_done: int, now_total: int) -> None:
        nonlocal done, total, last
        done, total = now_done, now_total
        if (folder / "cancel").exists():
            raise CancelledError("cancelled")
        if time.monotonic() - last > STATUS_SECONDS:
            write_status(folder, "running", doing, done, total, os.getpid())
            last = time.monotonic()

    plan = job.plan
    try:
        retrain(
            job.run_path,
            plan.round,
            plan.removed,
            folder / "branch",
            mode=plan.mode,
            orders=plan.orders,
            episodes=plan.episodes,
            continue_rounds=plan.continue_rounds,
            progress=progress,
        )
    except CancelledError:
        write_status(folder, "cancelled", "cancelled", done, total)
        return 0
    except EngineError as error:
        write_status(folder, "failed", str(error), done, total)
        return 1
    except BaseException as error:
        write_status(folder, "failed", f"{type(error).__name__}: {error}; see log.txt in {folder}", done, total)
        raise
    write_status(folder, "done", "finished", total, total)
    return 0


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1])))

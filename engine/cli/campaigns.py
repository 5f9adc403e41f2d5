"""What every command that trains a campaign does with it: progress on the way, and a report of what is there if it stops."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.errors import BadInputError, CancelledError, EngineError
from engine.terminal import progress

if TYPE_CHECKING:
    from engine.executors import Progress

Trained = TypeVar("Trained")


def trained(
    train: Callable[[str, Progress], Trained],
    report_what_is_there: Callable[[], object],
    finished_tasks: Callable[[], tuple[int, int]],
    out: Path,
) -> Trained:
    """What `train` gives, which is called with this process's command and with what shows its progress.

    Where it stops early, what is there is reported.

    Raises:
        CancelledError: it was interrupted; says how many tasks are finished.
    """
    try:
        with progress(percent=True) as report:
            return train(shlex.join(["python", "-m", "engine", *sys.argv[1:]]), report)
    except BadInputError:
        raise
    except (EngineError, KeyboardInterrupt) as stopped:
        report_what_is_there()
        if isinstance(stopped, EngineError):
            raise
        done, total = finished_tasks()
        raise CancelledError(
            f"stopped; {done} of {total} tasks are finished in {out}; continue with the same command"
        ) from None

"""The worker: `python -m engine.jobs FOLDER [--executor NAME] [--workers N] [--base PATH] ...` does the work of one job.

It says in `status.json` how far it is, and stops when the file `cancel` appears. The options are those of the person who
started it, see `engine.executors` and `engine.allowed`.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from engine import executors
from engine.allowed import add_options, allow_options
from engine.errors import EngineError
from engine.jobs.work import work_in


def main() -> None:
    """Do the work; what ends it early is one line."""
    parser = argparse.ArgumentParser(prog="python -m engine.jobs")
    parser.add_argument("folder", type=Path, help="the job's")
    parser.add_argument("--lock", type=int, metavar="FD", help="the job's lock, where whoever started this took it")
    executors.add_options(parser)
    add_options(parser)
    asked = parser.parse_args()
    # A script that starts the dashboard in the background has it ignore Ctrl-C, and so would the jobs that it cancels.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pool = executors.Pool(asked.executor, asked.workers)
        work_in(asked.folder, lock=asked.lock, before=lambda: allow_options(asked), pool=pool)
    except (EngineError, KeyboardInterrupt) as problem:
        sys.exit(str(problem) or "interrupted")


if __name__ == "__main__":
    main()

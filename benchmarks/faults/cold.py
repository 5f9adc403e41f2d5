"""`python -m benchmarks.faults.cold WRITER FOLDER`: do the work of a writer, and say in a line each what is acknowledged."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

from benchmarks.faults.kills import FAILED
from benchmarks.faults.writer import attempt
from benchmarks.faults.writers import WRITERS


def main() -> None:
    """Do it."""
    name, folder = sys.argv[1:]
    say = partial(print, file=sys.stdout, flush=True)
    with redirect_stdout(sys.stderr):
        for wrong in attempt(WRITERS[name], Path(folder), say):
            say(FAILED + wrong.what)


if __name__ == "__main__":
    main()

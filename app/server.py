"""What `python -m app` becomes: Streamlit's own command, whose server imports what pages need as soon as it is up."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from streamlit import runtime
from streamlit.runtime import RuntimeState
from streamlit.web.cli import main

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # a file that is run finds nothing beside its folder
    sys.path.insert(0, str(ROOT))

from app.shell.ahead import import_pages  # noqa: E402

WAIT_SECONDS, LOOK_SECONDS, PAUSE_SECONDS = 60.0, 0.1, 1.0
"""How long at most one waits until the server is up, between two looks, and after them: whoever waited for it comes first."""


def until_it_is_up() -> None:
    """Return some time after Streamlit has begun to serve pages."""
    until = time.monotonic() + WAIT_SECONDS
    while not _is_up() and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    time.sleep(PAUSE_SECONDS)


def _is_up() -> bool:
    return runtime.exists() and runtime.get_instance().state is not RuntimeState.INITIAL


if __name__ == "__main__":
    import_pages(until_it_is_up)
    main(prog_name="streamlit")

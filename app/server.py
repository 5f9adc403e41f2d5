"""What `python -m app` becomes: Streamlit's own command, whose server imports what pages need as soon as it is up."""

from __future__ import annotations

import sys
from pathlib import Path

from streamlit import runtime
from streamlit.runtime import RuntimeState
from streamlit.web.cli import main

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # a file that is run finds nothing beside its folder
    sys.path.insert(0, str(ROOT))

from app.shell.ahead import import_pages  # noqa: E402


def is_up() -> bool:
    """Whether Streamlit has begun to serve pages."""
    return runtime.exists() and runtime.get_instance().state is not RuntimeState.INITIAL


if __name__ == "__main__":
    import_pages(is_up)
    main(prog_name="streamlit")

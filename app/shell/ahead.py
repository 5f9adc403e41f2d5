"""What pages import is imported beside all else, before anybody opens them: a page that is opened first waits for no module."""

from __future__ import annotations

import pkgutil
import time
from collections.abc import Callable
from functools import cache
from importlib import import_module
from threading import Thread

PACKAGES = ("app", "engine.kinds", "engine.intervention")
"""All modules in these: pages, and parts of them, import some from the engine when they need them."""
STARTED = ("app.__main__", "app.console", "app.server", "app.streamlit_app")
"""What is run, and not imported, like the pages themselves."""
WAIT_SECONDS, LOOK_SECONDS, PAUSE_SECONDS = 60.0, 0.1, 1.0
"""How long at most one waits until importing may begin, between two looks, and after them: others have something to do then."""


@cache
def import_pages(may_begin: Callable[[], bool] = lambda: True) -> Thread:
    """Begin to import, in a thread that ends with the process; once for each condition.

    Args:
        may_begin: asked until it says so, such as whether the server is up: importing slows down all else.
    """
    thread = Thread(target=_import, args=(may_begin,), name="imports", daemon=True)
    thread.start()
    return thread


def _import(may_begin: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not may_begin() and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    time.sleep(PAUSE_SECONDS)
    for name in PACKAGES:
        for module in pkgutil.walk_packages(import_module(name).__path__, f"{name}."):
            if module.name not in STARTED:
                import_module(module.name)

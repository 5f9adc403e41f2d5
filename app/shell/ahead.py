"""What pages import is imported beside all else, before anybody opens them: a page that is opened first waits for no module."""

from __future__ import annotations

import gc
import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from threading import Thread

PACKAGES = ("app", "engine.kinds", "engine.intervention")
"""All modules in these: pages, and parts of them, import some from the engine when they need them."""
STARTED = ("app.__main__", "app.console", "app.server", "app.streamlit_app")
"""What is run, and not imported, like the pages themselves."""


@cache
def import_pages(begin: Callable[[], None] = lambda: None) -> Thread:
    """Begin to import, in a thread that ends with the process; once for each `begin`.

    Args:
        begin: called first, in the thread; returns when importing may begin, which slows down all else.
    """
    thread = Thread(target=_import, args=(begin,), name="imports", daemon=True)
    thread.start()
    return thread


def _import(begin: Callable[[], None]) -> None:
    begin()
    for name in PACKAGES:
        for module in pkgutil.walk_packages(import_module(name).__path__, f"{name}."):
            if module.name not in STARTED:
                import_module(module.name)
    gc.freeze()  # what is there by now stays: to look through it for garbage takes a third of a long run's first picture

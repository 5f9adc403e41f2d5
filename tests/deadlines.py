"""Waiting in tests: never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest


def wait_until(condition: Callable[[], object], *, within: float = 120, every: float = 0.05) -> None:
    """Look again and again until the condition holds; the test fails where it does not within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"what the test waited for did not happen within {within:g} seconds")
        time.sleep(every)

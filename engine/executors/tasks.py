"""Tasks that are handed out, and what becomes of them: what all executors have in common."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
"""Called with (what is being done, or was done last; done; total) by long work; raise from it to cancel."""
Next = Callable[[], T | None]
"""Gives the next task each time that it is called; None: there is none before another one is finished, or none at all."""
Outcomes = Generator[tuple[Any, Callable[[], Any]], None, None]
"""Tasks as they are finished, each with a function that gives its result or raises what the task raised."""

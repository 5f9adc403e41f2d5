"""Disks that fail, and processes that die, at one operation of the store."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from engine.store import Files

ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO, "forbidden": errno.EACCES}
"""Fault -> what the disk says."""


class CrashError(BaseException):
    """The process died here: nothing in the engine may catch it and go on."""


class FailingFiles(Files):
    """The operation number `index` fails in the way of `fault`; after a crash nothing works any more.

    Faults: those of `ERRORS`, `short` (a write or read does half of what was asked), `crash` (the process dies before the
    operation) and `torn` (it dies halfway through a write).
    """

    def __init__(self, index: int, fault: str) -> None:
        self.index, self.fault = index, fault
        self.done: list[str] = []
        self.open: set[int] = set()
        self.crashed = False

    def call(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do one system call, or fail."""
        if self.crashed:
            raise CrashError
        self.done.append(operation.__name__)
        if len(self.done) - 1 == self.index:
            args = self._fail(operation, args)
        result = operation(*args, **kwargs)
        if operation is os.open:
            self.open.add(result)
        elif operation is os.close:
            self.open.discard(args[0])
        return result

    def _fail(self, operation: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Fail, or give the arguments with which the operation does only half."""
        if self.fault == "short":
            if operation is os.write:
                return args[0], args[1][: max(1, len(args[1]) // 2)]
            return (args[0], max(1, args[1] // 2)) if operation is os.read else args
        if self.fault in ("crash", "torn"):
            self.crashed = True
            if self.fault == "torn" and operation is os.write:
                os.write(args[0], args[1][: len(args[1]) // 2])
            raise CrashError
        if operation is os.close:
            os.close(args[0])
            self.open.discard(args[0])
        number = ERRORS[self.fault]
        raise OSError(number, os.strerror(number))

    def bury(self) -> None:
        """What the operating system does with a dead process's files."""
        for descriptor in self.open:
            os.close(descriptor)
        self.open.clear()


@contextmanager
def through(files: Files) -> Iterator[None]:
    """Whoever uses the store meanwhile uses it through these file operations."""
    with patch.object(Files, "call", lambda _self, operation, *args, **kwargs: files.call(operation, *args, **kwargs)):
        yield

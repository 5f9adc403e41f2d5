"""What a process may take while it reads what somebody else made."""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, ParamSpec, TypeVar

from msgspec import Meta

from engine.errors import StorageError
from engine.store.files import Files
from engine.typed import settle

P = ParamSpec("P")
T = TypeVar("T")

GIB = 2**30
Positive = Annotated[float, Meta(gt=0, le=2**20, extra={"right": "a number above 0"})]


@dataclass(frozen=True)
class Limits:
    """Of the process that imports a run.

    >>> Limits(memory=0)
    Traceback (most recent call last):
    engine.errors.BadInputError: memory is 0; it must be a number above 0

    Raises:
        BadInputError: a limit is not a number above 0.
    """

    memory: Positive = 4.0
    """GiB of address space, the program's own included."""
    seconds: Positive = 600.0
    """From its start to its end."""
    disk: Positive = 20.0
    """GiB that it writes, what it unpacks included."""

    def __post_init__(self) -> None:
        settle(self)

    def hold(self) -> None:
        """Hold this process to them from now on, but for the disk, which `LimitedFiles` looks after."""
        for what, most in (
            (resource.RLIMIT_AS, round(self.memory * GIB)),
            (resource.RLIMIT_CPU, math.ceil(self.seconds) + 1),
            (resource.RLIMIT_FSIZE, round(self.disk * GIB)),
            (resource.RLIMIT_CORE, 0),
        ):
            _, hard = resource.getrlimit(what)
            with suppress(ValueError, OSError):  # not every system has every limit
                resource.setrlimit(what, (most, hard) if hard == resource.RLIM_INFINITY else (min(most, hard), hard))


@dataclass
class LimitedFiles(Files):
    """File operations that write no more than so many bytes."""

    most: int
    lasting: bool = True
    """Whether what is written survives a power loss; False for what is deleted before long."""
    written: int = field(default=0, init=False)

    def call(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do one system call, unless it would write too much.

        Raises:
            StorageError: it would.
        """
        if operation is os.fsync and not self.lasting:
            return None  # type: ignore[return-value]
        if operation is os.write:
            self.written += len(args[1])  # type: ignore[arg-type]
            if self.written > self.most:
                raise StorageError(f"it takes more than {self.most / GIB:.3g} GiB of disk; allow more with --disk")
        return super().call(operation, *args, **kwargs)

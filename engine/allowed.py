"""What the person at the keyboard allows: where a base model lies, and whether a hub may be asked.

It is held for the process, and handed to workers as arguments. A run never says any of it.
"""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInputError


@dataclass(frozen=True)
class Allowed:
    """By default nothing: models are local files, and adapters without their base model can only be looked at."""

    base: Path | None = None
    """Folder of the base model of runs that trained adapters (LoRA)."""
    download: bool = False
    """Whether a model that is not here may be looked up by its name, in the hub's local cache or on the hub."""
    packages: tuple[str, ...] = ()
    """Packages whose classes a policy's recipe may name."""

    @property
    def options(self) -> tuple[str, ...]:
        """For the command line of a worker: `("--base", "/models/llama", "--download")`."""
        return (*(() if self.base is None else ("--base", str(self.base))), *(("--download",) if self.download else ()))


def add_options(parser: ArgumentParser) -> None:
    """Let a command line that is not the engine's take the same options."""
    parser.add_argument(
        "--base", type=Path, metavar="PATH", help="folder of the base model of runs that trained adapters"
    )
    parser.add_argument("--download", action="store_true", help="look for models in the hub's cache and on the hub")


_now = Allowed()


def allow(base: str | Path | None = None, *, download: bool = False) -> Allowed:
    """Say what this process may load for the runs of language models, in the place of what was allowed before.

    >>> before = allow(download=True)
    >>> allow(before.base, download=before.download).options
    ('--download',)

    Args:
        base: folder of the base model of runs that trained adapters.
        download: whether a hub may be asked for models that are not here.

    Returns:
        What was allowed before.

    Raises:
        BadInputError: the base is no folder.
    """
    global _now
    if base is not None and not Path(base).is_dir():
        raise BadInputError(f"--base {base} is no folder; name one that save_pretrained wrote")
    before, _now = _now, Allowed(None if base is None else Path(base).resolve(), download)
    return before


def allowed() -> Allowed:
    """What is allowed now."""
    return _now

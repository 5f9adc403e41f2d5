"""What the person at the keyboard allows: which packages are imported, where a base model lies, whether a hub may be asked.

It is held for the process, and handed to workers as arguments. A run never says any of it.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from importlib import import_module, invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.environment_spec import FACTORY, MODULE
from engine.errors import BadInputError


@dataclass(frozen=True)
class Allowed:
    """By default nothing: no code of anybody's is imported, and models are local files.

    Adapters without their base model can then only be looked at.
    """

    base: Path | None = None
    """Folder of the base model of runs that trained adapters (LoRA)."""
    download: bool = False
    """Whether a model that is not here may be looked up by its name, in the hub's local cache or on the hub."""
    imports: tuple[str, ...] = ()
    """Modules that were imported, so that the environments which they register are known."""
    make: str = ""
    """The function that makes an environment, as `package:function`."""
    packages: tuple[str, ...] = ()
    """Packages whose classes the recipe of a policy may name."""
    directory: Path | None = None
    """Where the person stood who named them: what lies there is found, too. None where nothing was named."""

    @property
    def options(self) -> tuple[str, ...]:
        """For the command line of a worker: `("--base", "/models/llama", "--download")`."""
        said = [("--base", self.base), ("--make", self.make), ("--import-from", self.directory)]
        said += [("--import", name) for name in self.imports] + [("--allow", name) for name in self.packages]
        words = [word for option, value in said if value for word in (option, str(value))]
        return (*words, *(("--download",) if self.download else ()))

    def function(self) -> Callable[[], Any]:
        """What `make` names.

        Raises:
            BadInputError: it is not there, or can't be called.
        """
        module, _, path = self.make.partition(":")
        try:
            found = reduce(getattr, path.split("."), _imported(module, f"--make {self.make}"))
        except AttributeError:
            raise BadInputError(f"--make {self.make}: {module} has no {path}; name a function of it") from None
        if not callable(found):
            raise BadInputError(f"--make {self.make}: {path} is no function; name one that returns an environment")
        return found


def add_options(parser: ArgumentParser) -> None:
    """Let a command line that is not the engine's take the same options; `allow_options` makes them count."""
    parser.add_argument(
        "--base", type=Path, metavar="PATH", help="folder of the base model of runs that trained adapters"
    )
    parser.add_argument("--download", action="store_true", help="look for models in the hub's cache and on the hub")
    parser.add_argument("--import", action="append", dest="imports", metavar="PKG", help="module to import; repeatable")
    parser.add_argument("--make", default="", metavar="PKG:FUNCTION", help="function that makes the environment")
    parser.add_argument(
        "--allow", action="append", dest="packages", metavar="PKG", help="package of classes of policies; repeatable"
    )
    parser.add_argument("--import-from", type=Path, metavar="DIR", help="where modules are looked for last")


def allow_options(asked: Any) -> Allowed:
    """`allow` with what a parser read that `add_options` was told of."""
    return allow(
        asked.base,
        download=asked.download,
        imports=asked.imports or (),
        make=asked.make,
        packages=asked.packages or (),
        directory=asked.import_from,
    )


_now = Allowed()


def allow(
    base: str | Path | None = None,
    *,
    download: bool = False,
    imports: Iterable[str] = (),
    make: str = "",
    packages: Iterable[str] = (),
    directory: str | Path | None = None,
) -> Allowed:
    """Say what this process may load and import, in the place of what was allowed before.

    Modules lie where Python finds them, or in the working directory. They are imported at once.

    >>> before = allow(download=True, imports=["json"])
    >>> allow(before.base, download=before.download).imports
    ('json',)

    Args:
        base: folder of the base model of runs that trained adapters.
        download: whether a hub may be asked for models that are not here.
        imports: modules that make environments known to Gymnasium.
        make: a function that returns an environment, as `package:function`.
        packages: whose classes the recipe of a policy may name; they are imported when one does.
        directory: in the place of the working directory.

    Returns:
        What was allowed before.

    Raises:
        BadInputError: the base is no folder, a module is not there or can't be imported, or there is no such function.
    """
    global _now
    imports, packages = tuple(imports), tuple(packages)
    if base is not None and not Path(base).is_dir():
        raise BadInputError(f"--base {base} is no folder; name one that save_pretrained wrote")
    if make and not re.fullmatch(FACTORY, make):
        raise BadInputError(f"--make {make} names no function; write it as package:function")
    named = {f"--import {name}": name for name in imports} | {f"--allow {name}": name for name in packages}
    named |= {f"--make {make}": make.partition(":")[0]} if make else {}
    place = Path(directory or Path.cwd()).resolve() if named else None
    for option, module in named.items():
        _find(option, module, place)
    for module in imports:
        _imported(module, f"--import {module}")
    given = Allowed(None if base is None else Path(base).resolve(), download, imports, make, packages, place)
    if make:
        given.function()
    before, _now = _now, given
    return before


def allowed() -> Allowed:
    """What is allowed now."""
    return _now


def allow_as(given: Allowed) -> Allowed:
    """`allow` what another process was allowed."""
    return allow(
        given.base,
        download=given.download,
        imports=given.imports,
        make=given.make,
        packages=given.packages,
        directory=given.directory,
    )


def _find(option: str, module: str, place: Path | None) -> None:
    """Have Python look in the person's directory, last of all, where a module lies nowhere else."""
    if not re.fullmatch(MODULE, module):
        raise BadInputError(f"{option} is no module; name it as Python does, such as my_package")
    root = module.partition(".")[0]
    if root in sys.modules or find_spec(root) is not None:
        return
    if str(place) not in sys.path:
        sys.path.append(str(place))
        invalidate_caches()
        if find_spec(root) is not None:
            return
        sys.path.remove(str(place))
    raise BadInputError(f"{option}: there is no module {root}; install it, or start from the folder that it lies in")


def _imported(module: str, option: str) -> Any:
    try:
        return import_module(module)
    except (Exception, SystemExit) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadInputError(f"{option} can't be imported ({why})") from error

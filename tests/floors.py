"""The floors of the house, and what stands on the wrong one."""

from __future__ import annotations

import ast
from pathlib import Path

FLOORS = {
    "engine": (
        {
            *("allowed", "arguments", "config", "config_language", "envs", "errors", "executors", "intervals"),
            *("known_kinds", "named_worlds", "spaces", "terminal", "typed"),
        },
        {"store"},
        {"core"},
        {"kinds"},
        {"intervention", "analysis"},
        {"experiments", "recording", "jobs"},
        {"demos"},
        {"cli"},
        {"__main__", "__init__"},
    ),
    "app": (
        {"charts", "shell"},
        {"scores"},
        {"records", "behaviour", "removal", "runs", "experiments"},
        {"diagnosis"},
        {"sequences"},
        {"views"},
        {"streamlit_app"},
        {"__main__", "__init__"},
        {"console"},
    ),
}
"""From the ground. The loose files on the ground of `engine` stand beside one another; a folder stands alone."""


def imports(path: Path) -> set[str]:
    """Every module that the file imports, at its top or within a function; those for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found.add(str(node.module))
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module in FLOORS}
    return found


def room_of(module: str) -> str:
    """`engine.core.kind` -> `core`; a package itself is its room `__init__`."""
    return [*module.split("."), "__init__"][1]


def name_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def floor(package: str, room: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS[package]) if room in rooms)


def is_allowed(package: str, own: str, other: str) -> bool:
    """Whether a room may import another of its package: one of a lower floor, or of the ground floor's loose files."""
    mine, theirs = floor(package, own), floor(package, other)
    return own == other or theirs < mine or (package == "engine" and mine == theirs == 0)


def strays(path: Path, root: Path) -> list[str]:
    """What a file imports of its own package that it may not."""
    package, own = path.relative_to(root).parts[0], room_of(name_of(path, root))
    found = (module for module in imports(path) if module.split(".")[0] == package and module != package)
    return [module for module in found if not is_allowed(package, own, room_of(module))]

"""The floors of the house, and what stands on the wrong one."""

from __future__ import annotations

from pathlib import Path

from benchmarks.structure import imports, name_of

FLOORS = {
    "engine": (
        {
            *(
                "allowed",
                "arguments",
                "config",
                "config_language",
                "environment_spec",
                "errors",
                "executors",
                "intervals",
            ),
            *("incident_watch", "keep", "known_kinds", "named_worlds", "spaces", "terminal", "typed"),
        },
        {"store", "envs"},
        {"core"},
        {"kinds"},
        {"analysis"},
        {"intervention"},
        {"experiments", "recording", "jobs"},
        {"demos"},
        {"cli"},
        {"__init__"},
        {"__main__"},
    ),
    "app": (
        {"asked", "guard"},
        {"charts", "shell"},
        {"scores"},
        {"records", "behaviour", "removal", "runs", "experiments", "autopsy"},
        {"diagnosis"},
        {"sequences"},
        {"views"},
        {"dashboard"},
        {"streamlit_app"},
        {"server", "__main__", "__init__"},
        {"console"},
    ),
}
"""From the ground. Rooms of one floor do not know each other; only those on the ground of `engine`, most of which are
single files, import one another."""


def room_of(module: str) -> str:
    """`engine.core.kind` -> `core`; a package itself is its room `__init__`."""
    return [*module.split("."), "__init__"][1]


def floor(package: str, room: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS[package]) if room in rooms)


def is_allowed(package: str, own: str, other: str) -> bool:
    """Whether a room may import another of its package: one of a lower floor, or of the ground floor's loose files."""
    mine, theirs = floor(package, own), floor(package, other)
    return own == other or theirs < mine or (package == "engine" and mine == theirs == 0)


def strays(path: Path, root: Path) -> list[str]:
    """What a file imports of its own package that it may not."""
    package, own = path.relative_to(root).parts[0], room_of(name_of(path, root))
    found = (module for module in imports(path, root) if module.split(".")[0] == package)
    return [module for module in found if not is_allowed(package, own, room_of(module))]


STANDS_ON = {"recorded": {"control"}}
"""Kind -> the kinds that it is made of: a recorded run is a control task of another trainer."""


def other_kinds(path: Path, root: Path) -> set[str]:
    """What a file of one kind of run imports of the others, but for those that it is made of."""
    own = name_of(path, root).split(".")[2]
    known = {own, *STANDS_ON.get(own, ())}
    return {
        module
        for module in imports(path, root)
        if module.startswith("engine.kinds.") and module.split(".")[2] not in known
    }


def edges(root: Path) -> set[tuple[str, str]]:
    """(file, what it imports), by their modules' names, for every file of the house."""
    every = {name_of(path, root): path for package in FLOORS for path in (root / package).rglob("*.py")}
    return {(name, other) for name, path in every.items() for other in imports(path, root) if other in every}

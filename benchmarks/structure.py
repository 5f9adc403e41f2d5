"""`python -m benchmarks.structure [ROOT]`: how many rooms the house has and how many arrows run between them, by `ast`.

A room is a folder or a loose file of a package; an arrow is one room that imports another, however often. With another
ROOT (an older checkout, say) the same is counted there, to be read side by side.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.terminal import print_table

LONG = 400
"""Lines past which a file wants a door."""
ATTRIBUTION = ("targets", "gradients", "replays", "estimators", "faithfulness")
"""The rooms of `engine.core` that attribute."""


@dataclass(frozen=True)
class Structure:
    """What is counted of one package."""

    rooms: int
    arrows: int
    circles: int
    """Rooms that import each other, directly or through others, counted together."""
    files: int
    lines: int
    longest: int


def imports(path: Path, root: Path) -> set[str]:
    """The modules that a file imports, at its top or within a function; those for type checkers too.

    `from engine.store import read` names the module `engine.store.read` where that is a file below `root`, and else
    `engine.store`.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            inner = {name for name in below if module_path(root, name)}
            found |= inner | ({str(node.module)} if inner != below else set())
    return found


def name_of(path: Path, root: Path) -> str:
    """`engine/core/kind.py` -> `engine.core.kind`; a package's own file has the package's name."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def module_path(root: Path, name: str) -> Path | None:
    """The file of a module below `root`, if it has one."""
    path = root.joinpath(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def room(package: str, module: str) -> str:
    """`app`, `app.charts.theme` -> `charts`; the package's own file is a room called `__init__`."""
    return module.removeprefix(package).strip(".").split(".")[0] or "__init__"


def arrows(root: Path, package: str) -> set[tuple[str, str]]:
    """(from, to) of the rooms of a package such as `app` or `engine.core`; arrows that leave it do not count."""
    found = set()
    for path in root.joinpath(*package.split(".")).rglob("*.py"):
        for other in imports(path, root):
            if other == package or other.startswith(f"{package}."):
                found.add((room(package, name_of(path, root)), room(package, other)))
    return {(a, b) for a, b in found if a != b}


def attribution_arrows(root: Path, *more: str) -> set[tuple[str, str]]:
    """(from, to) among the rooms of attribution, and those with `more` rooms of the core, such as `influence`."""
    rooms = {*ATTRIBUTION, *more}
    return {(a, b) for a, b in arrows(root, "engine.core") if {a, b} <= rooms}


def in_circles(edges: Iterable[tuple[str, str]]) -> set[str]:
    """The rooms from which arrows lead back to themselves.

    >>> sorted(in_circles([("a", "b"), ("b", "c"), ("c", "b")]))
    ['b', 'c']
    """
    below: dict[str, set[str]] = {}
    for a, b in edges:
        below.setdefault(a, set()).add(b)
    return {start for start in below if start in _reached(below, start)}


def _reached(below: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    queue = [start]
    while queue:
        for other in below.get(queue.pop(), set()) - seen:
            seen.add(other)
            queue.append(other)
    return seen


def structure(root: Path, package: str) -> Structure:
    """Counts of a package, `__init__` files included."""
    folder = root.joinpath(*package.split("."))
    lengths = [len(path.read_text().splitlines()) for path in folder.rglob("*.py")]
    edges = arrows(root, package)
    rooms = {room(package, p.stem if p.is_file() else p.name) for p in folder.iterdir() if _is_room(p)}
    return Structure(len(rooms), len(edges), len(in_circles(edges)), len(lengths), sum(lengths), max(lengths))


def _is_room(path: Path) -> bool:
    return (
        (path.suffix == ".py" and path.stem != "__init__") or any(path.glob("*.py"))
        if path.is_dir()
        else path.suffix == ".py"
    )


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structure", description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parents[1])
    root = parser.parse_args().root
    packages = [
        p for p in ("engine", "engine.core", "engine.attribution", "app") if (root / p.replace(".", "/")).is_dir()
    ]
    rows = [(p, *vars(structure(root, p)).values()) for p in packages]
    print_table(("package", "rooms", "arrows", "in circles", "files", "lines", "longest"), rows)
    between, with_influence = attribution_arrows(root), attribution_arrows(root, "influence")
    if with_influence:
        print()
        each = {a: ", ".join(sorted(b for start, b in with_influence if start == a)) for a, _ in sorted(with_influence)}
        print_table(("room of attribution", "imports"), list(each.items()))
        print(f"{len(between)} arrows among the rooms of attribution, {len(with_influence)} with core/influence")


if __name__ == "__main__":
    main()

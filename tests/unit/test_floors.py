"""The house stands: a file imports only from lower floors or beside itself, and the engine needs no screen."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import engine

ROOT = Path(engine.__file__).parents[1]
FLOORS = (
    {
        *("allowed", "arguments", "config", "config_language", "envs", "errors", "executors", "registry", "spaces"),
        *("terminal", "typed"),
    },
    {"store"},
    {"core"},
    {"kinds"},
    {"intervention", "analysis"},
    {"experiments", "recording", "jobs"},
    {"cli"},
    {"__main__", "__init__"},
)
FILES = sorted((ROOT / "engine").rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module that the file imports, at its top or within a function; those for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found.add(str(node.module))
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "engine"}
    return found


def floor(room: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if room in rooms)


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "engine").with_suffix("").parts
    return parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_engine_files_import_from_below_or_beside(path: Path) -> None:
    own = room_of(path)
    for module in imports(path):
        assert module.split(".")[0] not in ("streamlit", "plotly", "app"), module
        if module.startswith("engine."):
            other = module.split(".")[1]
            assert floor(other) < floor(own) or other == own or floor(own) == 0 == floor(other), f"{own} -> {module}"


def test_every_room_has_its_floor() -> None:
    """No floor names a room that is not there, and no room stands on none."""
    assert {room_of(path) for path in FILES} == {room for floor in FLOORS for room in floor}


def test_no_kind_of_run_knows_another() -> None:
    kinds = {path.relative_to(ROOT / "engine" / "kinds").parts[0]: path for path in FILES if "kinds" in path.parts[:-2]}
    assert {"control", "language"} <= kinds.keys()
    for name in kinds:
        for path in (ROOT / "engine" / "kinds" / name).rglob("*.py"):
            others = {m for m in imports(path) if m.startswith("engine.kinds.") and m.split(".")[2] != name}
            assert not others, f"{path}: {others}"


def test_no_circle_within_a_floor() -> None:
    """Files beside each other import each other in one direction only."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}
    edges = {name: {other for other in imports(path) if other in names} for name, path in names.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above, name])
        if name not in done:
            for other in edges[name]:
                visit(other, (*above, name))
            done.add(name)

    for name in names:
        if name != "engine.__init__":
            visit(name, ())
    assert done >= names.keys() - {"engine.__init__"}


def test_app_is_only_imported_by_itself_and_imports_engine() -> None:
    for path in FILES:
        assert not any(module.split(".")[0] == "app" for module in imports(path)), path
    used = {module.split(".")[0] for path in (ROOT / "app").rglob("*.py") for module in imports(path)}
    assert "engine" in used


def test_import_engine_costs_nothing() -> None:
    code = (
        "import engine, sys; heavy = {'torch', 'gymnasium', 'pyarrow', 'scipy', 'streamlit', 'pandas'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); assert 'replay' in dir(engine)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_command_line_starts_without_torch() -> None:
    code = "import engine.__main__, sys; assert 'torch' not in sys.modules and 'pyarrow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_public_names_are_there_and_documented() -> None:
    for name in engine.__all__:
        assert getattr(engine, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'train_faster'"):
        _ = engine.train_faster


def test_rooms_are_small() -> None:
    """Past some 400 lines a file wants a door."""
    long = {str(path.relative_to(ROOT)): n for path in FILES if (n := len(path.read_text().splitlines())) > 450}
    assert long == {}


def test_no_pickle_anywhere() -> None:
    for path in FILES:
        assert not imports(path) & {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}, path

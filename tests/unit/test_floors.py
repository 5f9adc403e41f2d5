"""The house stands: a file imports only from lower floors or beside itself, and the engine needs no screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from floors import FLOORS, imports, name_of, room_of, strays

import engine
from benchmarks.structure import arrows, in_circles

ROOT = Path(engine.__file__).parents[1]
FILES = {package: sorted((ROOT / package).rglob("*.py")) for package in FLOORS}
EVERY = [path for files in FILES.values() for path in files]


@pytest.mark.parametrize("path", EVERY, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_import_from_below_or_beside(path: Path) -> None:
    assert strays(path, ROOT) == []


@pytest.mark.parametrize(
    ("file", "imported"),
    [
        ("engine/store/new.py", "from engine.core.kind import Kind"),
        ("engine/analysis/new.py", "from engine.intervention import plan"),
        ("app/charts/new.py", "from app.shell import state"),
        ("app/records/new.py", "from app.removal.dialog import open_dialog"),
        ("app/shell/new.py", "def later():\n    from app import views"),
    ],
)
def test_a_file_that_climbs_is_found(tmp_path: Path, file: str, imported: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(imported)
    assert len(strays(tmp_path / file, tmp_path)) >= 1


def test_the_engine_knows_no_screen_and_charts_know_no_server() -> None:
    for path in FILES["engine"]:
        assert not {module.split(".")[0] for module in imports(path)} & {"streamlit", "plotly", "app"}, path
    for path in (ROOT / "app" / "charts").rglob("*.py"):
        assert "streamlit" not in {module.split(".")[0] for module in imports(path)}, path


@pytest.mark.parametrize("package", FLOORS)
def test_every_room_has_its_floor(package: str) -> None:
    """No floor names a room that is not there, and no room stands on none."""
    assert {room_of(name_of(path, ROOT)) for path in FILES[package]} == {
        room for floor in FLOORS[package] for room in floor
    }


def test_no_kind_of_run_knows_another() -> None:
    kinds = {p.relative_to(ROOT / "engine" / "kinds").parts[0]: p for p in FILES["engine"] if "kinds" in p.parts[:-2]}
    assert {"control", "language"} <= kinds.keys()
    for name in kinds:
        for path in (ROOT / "engine" / "kinds" / name).rglob("*.py"):
            others = {m for m in imports(path) if m.startswith("engine.kinds.") and m.split(".")[2] != name}
            assert not others, f"{path}: {others}"


def test_no_circle_within_a_floor() -> None:
    """Files beside each other import each other in one direction only."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in EVERY}
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


@pytest.mark.parametrize("package", ["engine", "engine.core", "app"])
def test_no_circle_of_rooms(package: str) -> None:
    assert in_circles(arrows(ROOT, package)) == set()


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
    with pytest.raises(AttributeError, match="train_faster"):
        _ = engine.train_faster


def test_rooms_are_small() -> None:
    """Past 400 lines a file is divided."""
    long = {str(path.relative_to(ROOT)): n for path in EVERY if (n := len(path.read_text().splitlines())) > 400}
    assert long == {}


def test_no_pickle_anywhere() -> None:
    for path in EVERY:
        assert not imports(path) & {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}, path

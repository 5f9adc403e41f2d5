"""The house stands: a file imports only from lower floors or beside itself, and the engine needs no screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from floors import FLOORS, edges, other_kinds, room_of, strays

import engine
from benchmarks.structure import LONG, arrows, attribution_arrows, imports, in_circles, name_of

ROOT = Path(engine.__file__).parents[1]
FILES = {package: sorted((ROOT / package).rglob("*.py")) for package in FLOORS}
EVERY = [path for files in FILES.values() for path in files]


def written(root: Path, files: dict[str, str]) -> Path:
    """The last of the files, all of them below `root`."""
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    return root / list(files)[-1]


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
        ("engine/jobs/new.py", "import engine"),
        ("engine/store/new.py", "from engine import envs"),
    ],
)
def test_a_file_that_climbs_is_found(tmp_path: Path, file: str, imported: str) -> None:
    path = written(tmp_path, {"app/views/__init__.py": "", "engine/envs/__init__.py": "", file: imported})
    assert len(strays(path, tmp_path)) == 1


def test_the_engine_knows_no_screen_and_charts_know_no_server() -> None:
    for path in FILES["engine"]:
        assert not {module.split(".")[0] for module in imports(path, ROOT)} & {"streamlit", "plotly", "app"}, path
    for path in (ROOT / "app" / "charts").rglob("*.py"):
        assert "streamlit" not in {module.split(".")[0] for module in imports(path, ROOT)}, path


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
            assert not other_kinds(path, ROOT), path


@pytest.mark.parametrize("line", ["from engine.kinds import language", "from engine.kinds.language.kind import K"])
def test_a_kind_that_knows_another_is_found(tmp_path: Path, line: str) -> None:
    there = {"engine/kinds/language/__init__.py": "", "engine/kinds/control/near.py": ""}
    path = written(tmp_path, {**there, "engine/kinds/control/new.py": f"from engine.kinds.control import near\n{line}"})
    assert len(other_kinds(path, tmp_path)) == 1


def test_no_circle_within_a_floor() -> None:
    """Files beside each other import each other in one direction only."""
    assert in_circles(edges(ROOT)) == set()


@pytest.mark.parametrize(
    "back", ["from app.shell import first", "import app.shell.first", "from app.shell.first import f"]
)
def test_a_circle_of_two_files_is_found(tmp_path: Path, back: str) -> None:
    there = {"app/shell/__init__.py": "", "app/shell/first.py": "from app.shell import second"}
    written(
        tmp_path, {**there, "app/shell/second.py": back, "app/shell/third.py": "from app.shell import first, second"}
    )
    assert in_circles(edges(tmp_path)) == {"app.shell.first", "app.shell.second"}


@pytest.mark.parametrize("package", ["engine", "engine.core", "app"])
def test_no_circle_of_rooms(package: str) -> None:
    assert in_circles(arrows(ROOT, package)) == set()


def test_few_arrows_run_between_rooms() -> None:
    assert len(arrows(ROOT, "app")) <= 50
    assert 0 < len(attribution_arrows(ROOT)) <= len(attribution_arrows(ROOT, "influence")) <= 15


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
    long = {str(path.relative_to(ROOT)): n for path in EVERY if (n := len(path.read_text().splitlines())) > LONG}
    assert long == {}


def test_no_pickle_anywhere() -> None:
    for path in EVERY:
        assert not imports(path, ROOT) & {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}, path

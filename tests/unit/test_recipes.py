"""docs/architecture.md is followed word for word on a copy of the code: a target, an estimator, a kind of run, a page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from floors import FLOORS, strays
from module_names import two_things

import engine
from benchmarks.structure import arrows, in_circles
from engine.store.read import Run

ROOT = Path(engine.__file__).parents[1]
DOCUMENT = ROOT / "docs" / "architecture.md"
PARTS = re.compile(r"^`(?P<file>[\w/]+\.py)`:$|^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPES = ("A new target", "A new estimator", "A new kind of run", "A new page")
SAMPLE = "sample_runs/FrozenLake-v1"


@dataclass(frozen=True)
class Block:
    """A block of code, and the file that it goes to; None: it is run."""

    language: str
    text: str
    file: str | None


def blocks(title: str, document: str) -> list[Block]:
    """The blocks below a heading: code belongs to the file that is named right above it, a change also to one named earlier."""
    section = re.split(r"^#+ ", document.split(f"### {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    found: list[Block] = []
    file, named = None, False
    for part in PARTS.finditer(section):
        if part["file"]:
            file, named = part["file"], True
        else:
            found.append(Block(part["language"], part["text"], file if named or part["language"] == "diff" else None))
            named = False
    return found


def changed(text: str, diff: str) -> str:
    """A text after a change, whose old lines must be there exactly once."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(before) == 1, f"not there once:\n{before}"
    return text.replace(before, after)


def carry_out(block: Block, copy: Path) -> str:
    """Write, change or run what a block says; what was printed."""
    if block.file is None:
        command = [sys.executable, "-c", block.text] if block.language == "python" else ["sh", "-ec", block.text]
        return run(command, copy)
    path = copy / block.file
    assert path.exists() == (block.language == "diff"), f"{block.file} is new, or it is changed"
    path.write_text(changed(path.read_text(), block.text) if block.language == "diff" else block.text)
    return ""


def run(command: list[str], copy: Path) -> str:
    """What a command prints in the copy; it must succeed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=copy,
        check=False,
        env={**os.environ, "PYTHONPATH": str(copy), "PATH": path},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def follow(title: str, copy: Path) -> list[str]:
    """Carry out a recipe; what each of its commands printed."""
    return [carry_out(block, copy) for block in blocks(title, DOCUMENT.read_text())]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The code, and the run that the recipes look at."""
    ignored = shutil.ignore_patterns("__pycache__", "derived", "interventions", "basket", "*.lock")
    for folder in ("engine", "app", SAMPLE):
        shutil.copytree(ROOT / folder, tmp_path / "copy" / folder, ignore=ignored)
    (tmp_path / "copy" / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "toy_kind.py", tmp_path / "copy" / "tests")
    return tmp_path / "copy"


@pytest.mark.long
def test_a_new_target_has_scores_by_its_name(copy: Path) -> None:
    printed = follow("A new target", copy)[-1]
    assert "entropy target" in printed
    assert "helped most" in printed
    code = (
        f"import engine, numpy as np; s = engine.open_run('{SAMPLE}').snapshot(3); i = engine.influence(s, 'entropy');"
        "assert len(i) == len(s.buffer) and np.isfinite(i.influence).all() and i.influence.any();"
        "assert abs(i.influence - engine.influence(s, 'return').influence).max() > 0; print(i.target)"
    )
    assert "'target': 'entropy', 'states': " in run([sys.executable, "-c", code], copy)


@pytest.mark.long
def test_a_new_estimator_scores_is_checked_and_is_offered(copy: Path) -> None:
    top, lds = follow("A new estimator", copy)[-1].splitlines()
    assert re.fullmatch(r"\[\d+ +\d+ +\d+\] \[.*'actor.*\]", top)
    assert -1 <= float(lds) <= 1
    command = [sys.executable, "-m", "engine", "influence", SAMPLE, "--round", "3", "--estimator", "first_order_sign"]
    assert "helped most" in run(command, copy)


@pytest.mark.long
def test_a_new_kind_is_trained_and_attributed(copy: Path) -> None:
    trained, attributed = follow("A new kind of run", copy)[-2:]
    assert re.match(r"Run\(.*: 2 rounds, bandit, seed 0\) \[\d+ +\d+ +\d+\]", trained)
    assert "action target, record 7" in attributed
    assert "helped most" in attributed
    assert "kind: toy" in run([sys.executable, "-m", "engine", "show", "runs/bandit"], copy)


SHOW = """
import sys
from streamlit.testing.v1 import AppTest
sys.argv = ["streamlit", "--runs", sys.argv[1]]
app = AppTest.from_file("app/streamlit_app.py", default_timeout=60)
app.query_params["run"], app.query_params["round"] = "cartpole", "1"
app.switch_page("views/actions.py")
app.run()
assert not app.exception and not app.error, (app.exception, app.error)
print([each.value for each in (*app.subheader, *app.caption)], [each.key for each in app.select_slider])
print(app.get("plotly_chart")[0].proto.spec)
"""


@pytest.mark.long
def test_a_new_page_is_shown(copy: Path, cartpole: Run) -> None:
    follow("A new page", copy)
    shutil.copytree(cartpole.path, copy / "runs" / "cartpole")
    said, chart = run([sys.executable, "-c", SHOW, str(copy / "runs")], copy).splitlines()
    assert "'Actions'" in said
    assert "round 1" in said
    assert "['round']" in said, "the header has the slider"
    counts = [int((cartpole.snapshot(1).buffer.action == action).sum()) for action in (0, 1)]
    assert re.search(r'"y": ?\[' + ", ?".join(map(str, counts)) + r"\]", chart)


def test_the_house_still_stands(copy: Path) -> None:
    """All four on one copy: what they add stands on the right floor, makes no circle and takes nobody's name."""
    for title in RECIPES:
        for block in blocks(title, DOCUMENT.read_text()):
            if block.file is not None or (block.language == "sh" and "python" not in block.text):
                carry_out(block, copy)
    for package in FLOORS:
        assert {path: found for path in (copy / package).rglob("*.py") if (found := strays(path, copy))} == {}
    assert all(in_circles(arrows(copy, package)) == set() for package in ("engine", "engine.core", "app"))
    assert two_things(copy) == {}


def test_the_drawing_has_the_floors_that_are_tested() -> None:
    """Every room once, and each below those of higher floors."""
    drawing = DOCUMENT.read_text().split("```")[1]
    for package, floors in FLOORS.items():
        lines = drawing.split(f"\n{package}\n")[1].split("\n\n")[0].splitlines()
        drawn = [room for line in reversed(lines) for room in re.split(r" {2,}", line.strip())[0].split()]
        height = {room: level for level, rooms in enumerate(floors) for room in rooms}
        assert sorted(drawn) == sorted(height)
        assert [height[room] for room in drawn] == sorted(height.values()), package


def test_a_change_whose_place_is_gone_is_found() -> None:
    assert changed("a\nb\nc\n", " a\n-b\n+d\n") == "a\nd\nc\n"
    with pytest.raises(AssertionError, match="not there once"):
        changed("a\nc\n", " a\n-b\n+d\n")
    with pytest.raises(AssertionError, match="not there once"):
        changed("a\na\n", " a\n+b\n")


def test_every_recipe_is_read() -> None:
    text = DOCUMENT.read_text()
    found = {title: blocks(title, text) for title in RECIPES}
    assert re.findall(r"^### (A new .*)$", text, re.MULTILINE) == list(RECIPES)
    assert sum(map(len, found.values())) == text.count("\n```") // 2 - 1, "the drawing is the only other block"
    assert all(block.file or block.language in ("sh", "python") for each in found.values() for block in each)

"""Every example in a docstring runs and says what it says it does: in a folder with the sample runs, which may be written to."""

from __future__ import annotations

import ast
import doctest
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ("FrozenLake-v1", "courtesy")
LONG = ("engine", "engine.analysis.behaviour", "engine.analysis.diagnosis", "engine.core.faithfulness.measure")
LONG += ("engine.kinds.control.filtering", "engine.intervention.retrain", "engine.kinds.language.filtering")
LONG += ("engine.kinds.language.influence", "engine.demos.courtesy.world")
"""Those whose examples take seconds."""


def modules() -> Iterator[str]:
    """Modules of `engine` and `app` with examples."""
    for path in sorted([*(ROOT / "engine").rglob("*.py"), *(ROOT / "app").rglob("*.py")]):
        if ">>>" in path.read_text():
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def documented(path: Path) -> int:
    """Docstrings with examples in a file."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, DOCUMENTED)]
    return sum(">>>" in (ast.get_docstring(node) or "") for node in nodes)


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("examples")
    ignored = shutil.ignore_patterns("derived", "basket", "*.lock")
    for name in SAMPLES:
        shutil.copytree(ROOT / "sample_runs" / name, made / "sample_runs" / name, ignore=ignored)
    return made


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in modules()]
)
def test_examples_are_true(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    shutil.rmtree(folder / "runs", ignore_errors=True)
    module = import_module(name)
    finder, said = doctest.DocTestFinder(), []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    examples = [found for found in finder.find(module, name) if found.examples]
    assert len(examples) == documented(Path(str(module.__file__))), "an example is where doctest does not look"
    for found in examples:
        runner.run(found, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_an_example_that_is_not_true_is_found(tmp_path: Path) -> None:
    """Of the test itself: that an untrue example fails, and that all the examples are looked at."""
    runner = doctest.DocTestRunner(verbose=False)
    untrue = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "untrue", None, None)
    assert runner.run(untrue, out=lambda said: None).failed == 1
    assert {"engine", "engine.config", "app.shell.text"} <= set(modules())

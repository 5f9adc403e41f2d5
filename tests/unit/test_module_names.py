"""No file name stands for two things: modules and folders share a name only where one shows, asks or holds the other."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

import engine

ROOT = Path(engine.__file__).parents[1]
ONE_THING = {
    "across": "engine.intervention app.charts",
    "behaviour": "engine.analysis engine.cli app app.views app.charts",
    "compared_runs": "engine.analysis app.charts",
    "comparison": "engine.intervention app.charts",
    "diagnose": "engine.cli app.views",
    "diagnosis": "engine.analysis app app.charts",
    "estimators": "engine.core app.charts",
    "experiments": "engine engine.cli app app.views app.charts",
    "faithfulness": "engine.core engine.experiments",
    "films": "engine.analysis app.runs app.charts",
    "formation": "engine.analysis app.behaviour app.charts",
    "influence": "engine.core engine.cli",
    "interventions": "engine.jobs engine.cli app.views",
    "kinds": "engine app.shell",
    "loaders": "app.shell app.diagnosis app.sequences",
    "notes": "engine.intervention app.removal",
    "places": "engine.analysis app.charts",
    "policy_difference": "engine.analysis app.runs app.charts",
    "records": "app app.charts",
    "retrain": "engine.intervention engine.cli",
    "rollouts": "engine.analysis app.diagnosis",
    "runs": "engine.cli app app.views",
    "scores": "engine.core app",
    "selection": "app.shell app.charts",
    "sequences": "engine.kinds.language app app.views",
    "target_controls": "app.scores app.sequences",
    "timeline": "app.views app.charts",
    "training": "engine.core engine.cli",
}
"""Name -> where it stands for the same: what the engine finds, its command, its page, the parts of that page, its chart.
A page's `loaders` are its cached reads."""
OF_EACH_KIND = {
    *("agent", "evaluation", "features", "filtering", "kind", "learner", "objective", "policy", "snapshot", "tables"),
    *("targets", "update"),
}
"""What the core or the store has for every kind of run, and a kind in its own way: `core.policy`, `kinds.language.policy`."""
ABOVE_KINDS = ("engine.core", "engine.store", "engine.analysis")


def names(root: Path) -> dict[str, set[str]]:
    """Base name -> the packages that have a module or a folder of that name; the demonstration mirrors what it uses."""
    found = defaultdict(set)
    for path in (*root.joinpath("engine").rglob("*"), *root.joinpath("app").rglob("*")):
        is_module = path.suffix == ".py" and not path.stem.startswith("__")
        if (is_module or (path.is_dir() and path.joinpath("__init__.py").exists())) and not {"courtesy", "demos"} & {
            part.removesuffix(".py") for part in path.relative_to(root).parts
        }:
            found[path.stem].add(".".join(path.relative_to(root).parent.parts))
    return found


def is_same(name: str, package: str) -> bool:
    """Whether the name stands in that package for what it stands for elsewhere, too."""
    of_a_kind = package in ABOVE_KINDS or package.startswith("engine.kinds.")
    return package in ONE_THING.get(name, "").split() or (name in OF_EACH_KIND and of_a_kind)


def two_things(root: Path) -> dict[str, set[str]]:
    """Names in several packages that nobody has said to be one thing."""
    shared = {name: where for name, where in names(root).items() if len(where) > 1}
    return {name: where for name, where in shared.items() if not all(is_same(name, package) for package in where)}


def test_no_file_name_stands_for_two_things() -> None:
    assert two_things(ROOT) == {}, "give one of them another name, or list it here if it is the same thing"


def test_what_is_listed_is_there() -> None:
    found = names(ROOT)
    gone = {name: where for name, said in ONE_THING.items() if (where := set(said.split()) - found[name])}
    assert gone == {}
    assert [name for name in OF_EACH_KIND if len(found[name]) < 2] == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["engine/cli/notes.py", "engine/intervention/notes.py"], {"notes"}),
        (["app/removal/notes.py", "engine/intervention/notes.py"], set()),
        (["engine/core/policy.py", "app/shell/policy.py"], {"policy"}),
        (["engine/core/policy.py", "engine/kinds/language/policy.py"], set()),
        (["engine/core/policy.py", "engine/kinds/new/policy.py"], set()),
        (["app/scores/new/__init__.py", "engine/new.py"], {"new"}),
        (["engine/demos/courtesy/new.py", "engine/new.py", "app/__init__.py", "engine/__init__.py"], set()),
    ],
)
def test_two_meanings_of_a_name_are_found(tmp_path: Path, files: list[str], expected: set[str]) -> None:
    for file in files:
        tmp_path.joinpath(file).parent.mkdir(parents=True, exist_ok=True)
        tmp_path.joinpath(file).touch()
    assert two_things(tmp_path).keys() == expected

"""No file name stands for two things: modules and folders share a name only where one shows, asks or holds the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from module_names import OF_EACH_KIND, ONE_THING, names, two_things

import engine

ROOT = Path(engine.__file__).parents[1]


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

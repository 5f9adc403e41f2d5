"""What the person at the keyboard allows: found, imported, handed on, and refused in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_worlds import saying, write_package

import engine
from engine.allowed import Allowed, add_options, allow, allow_as, allow_options, allowed
from engine.errors import BadInputError


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    with saying():
        yield


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that only the working directory has."""
    monkeypatch.chdir(tmp_path)
    return write_package(tmp_path, f"mine_{tmp_path.name.replace('-', '_')}")


def test_what_is_named_is_imported_from_where_the_person_stands(package: str, tmp_path: Path) -> None:
    allow(imports=[package], make=f"{package}:pendulum", packages=[package])
    assert package in sys.modules
    assert sys.path[-1] == str(tmp_path), "after everything else"
    assert allowed().directory == tmp_path
    assert allowed().function() is sys.modules[package].pendulum  # type: ignore[comparison-overlap]


def test_a_module_that_python_finds_brings_no_directory_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    allow(imports=["json"], packages=["engine"])
    assert sys.path == path


def test_the_options_are_read_as_what_they_were_made_of(package: str, tmp_path: Path) -> None:
    allow(tmp_path, download=True, imports=[package, "json"], make=f"{package}:pendulum", packages=["engine"])
    given = allowed()
    parser = argparse.ArgumentParser()
    add_options(parser)
    allow()
    assert allowed() == Allowed()
    allow_options(parser.parse_args(given.options))
    assert allowed() == given
    allow()
    allow_as(given)
    assert allowed() == given


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"imports": ["not_there_at_all"]}, "--import not_there_at_all: there is no module"),
        ({"imports": ["{package}.not_there"]}, "can't be imported (ModuleNotFoundError"),
        ({"imports": ["{package}/__init__.py"]}, "is no module; name it as Python does"),
        ({"imports": ["broken"]}, "--import broken can't be imported (SyntaxError"),
        ({"imports": ["leaves"]}, "--import leaves can't be imported (SystemExit"),
        ({"packages": ["not_there_at_all"]}, "--allow not_there_at_all: there is no module"),
        ({"make": "{package}"}, "names no function; write it as package:function"),
        ({"make": "{package}:nothing"}, "has no nothing; name a function of it"),
        ({"make": "{package}:WORLDS"}, "WORLDS is no function"),
        ({"make": "not_there_at_all:f"}, "there is no module"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(
    package: str, tmp_path: Path, said: dict[str, object], words: str
) -> None:
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)")
    before = allowed()
    filled = {
        option: value.format(package=package)
        if isinstance(value, str)
        else [name.format(package=package) for name in value]  # type: ignore[attr-defined]
        for option, value in said.items()
    }
    with pytest.raises(BadInputError) as caught:
        engine.allow(**filled)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert allowed() == before

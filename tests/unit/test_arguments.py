"""What a person types, read into values, and what can't be read in one line that says what can."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import arguments
from engine.errors import BadInputError
from engine.spaces import Space

PUSHES = Space("discrete", 2, names=("left", "right"))
TORQUE = Space(
    "box", shape=(2,), dtype="float32", low=(-2.0, -2.0), high=(2.0, 2.0), names=("left joint", "right joint")
)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (arguments.setting, "learning-rate=0.001", ("learning_rate", 0.001)),
        (arguments.setting, "hidden=[64, 64]", ("hidden", [64, 64])),
        (arguments.setting, "optimizer=sgd", ("optimizer", "sgd")),
        (arguments.setting, "note=a=b", ("note", "a=b")),
        (arguments.setting, "note=", ("note", "")),
        (arguments.round_and_record, " 12 : 345 ", (12, 345)),
        (arguments.ranges, "0-2, 5", {0, 1, 2, 5}),
        (arguments.ranges, "3-3,1", {1, 3}),
    ],
)
def test_values(read: Callable[[str], Any], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(("text", "value"), [("0.1, -2 3", [0.1, -2.0, 3.0]), ("[1,\n2]", [1.0, 2.0]), (" ", [])])
def test_numbers(text: str, value: list[float]) -> None:
    assert arguments.numbers(text, "--obs") == value


@pytest.mark.parametrize(("text", "value"), [("5:7", (5, 7)), ("6", (6, 6))])
def test_spans(text: str, value: tuple[int, int]) -> None:
    assert arguments.span(text, "--tokens") == value


@pytest.mark.parametrize(
    ("text", "space", "value"),
    [("right", PUSHES, [1.0]), ("0", PUSHES, [0.0]), ("0.5, -1", TORQUE, [0.5, -1.0])],
)
def test_actions_by_name_and_by_number(text: str, space: Space, value: list[float]) -> None:
    assert arguments.action(text, space) == value


@pytest.mark.parametrize(
    ("read", "line"),
    [
        (lambda: arguments.setting("gamma"), "--set gamma has no value; write --set NAME=VALUE"),
        (lambda: arguments.numbers("1,x", "--obs"), "--obs '1,x' must be numbers separated by commas"),
        (lambda: arguments.action("up", PUSHES), "--action 'up' is none of left, right"),
        (lambda: arguments.action("up", TORQUE), r"needs numbers separated by commas \(left joint, right joint\)"),
        (lambda: arguments.round_and_record("12"), "--record '12' must be a round and a record number, such as 12:345"),
        (lambda: arguments.round_and_record("1:-2", "--of"), "--of '1:-2' must be"),
        (lambda: arguments.span("5:", "--tokens"), "--tokens is '5:'; it must be FIRST:LAST"),
        (lambda: arguments.ranges("2-0"), "--rounds 2-0 runs backwards; write 0-2"),
        (lambda: arguments.ranges("1,,2"), "--rounds '1,,2' must be numbers and ranges"),
    ],
)
def test_what_can_not_be_read(read: Callable[[], object], line: str) -> None:
    with pytest.raises(BadInputError, match=line):
        read()


def test_record_numbers_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("[3, 1]\n2\t7,\n")
    assert arguments.record_numbers(path) == [3, 1, 2, 7]
    path.write_text("1 two")
    with pytest.raises(BadInputError, match="must hold record numbers"):
        arguments.record_numbers(path)
    with pytest.raises(BadInputError, match="can't be read"):
        arguments.record_numbers(tmp_path / "nowhere.txt")


def test_an_option_takes_values_until_the_next_option() -> None:
    words = ["reproduce", "frozenlake", "--arms", "ppo", "iif 1", "random", "--seeds", "3", "--arms", "td"]
    assert arguments.spread(words, "--arms") == [
        *("reproduce", "frozenlake", "--arms", "ppo", "--arms", "iif 1", "--arms", "random"),
        *("--seeds", "3", "--arms", "td"),
    ]

"""What a person says of which rounds to keep, and what it comes to."""

from __future__ import annotations

from typing import Any

import pytest

import engine
from engine import arguments
from engine.errors import BadInputError
from engine.keep import Keep


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("every=100,last=20,around=3", Keep(100, 20, 3)),
        ("last=5", Keep(last=5)),
        ("every=0, around=0, last=1", Keep(0, 1, 0)),
    ],
)
def test_what_is_typed_is_read(text: str, right: Keep) -> None:
    assert arguments.keep(text) == right


@pytest.mark.parametrize(
    "text",
    ["", "all", "every", "every=", "every=x", "every=-1", "last=0", "first=3", "every=1.5", "around=20", "every=²"],
)
def test_what_can_not_be_read_ends_in_one_line(text: str) -> None:
    with pytest.raises(BadInputError, match=r"^[^\n]+$"):
        arguments.keep(text)


@pytest.mark.parametrize(
    "wrong", [{"every": "x"}, {"last": 0}, {"around": -1}, {"every": 1.5}, {"around": 5, "last": 5}]
)
def test_a_wrong_keep_ends_in_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match=r"^[^\n]+$"):
        Keep(**wrong)


@pytest.mark.parametrize("wrong", [100, "every=100", {"every": 100}])
def test_training_takes_a_keep_and_nothing_else(wrong: Any, tmp_path: Any) -> None:
    with pytest.raises(BadInputError, match=r"it must be an engine\.Keep"):
        engine.train(engine.preset("CartPole-v1", "default", rounds=1), tmp_path / "run", keep=wrong)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("every", "words"),
    [(1, "every round"), (2, "every 2nd round"), (11, "every 11th round"), (103, "every 103rd round")],
)
def test_a_keep_says_what_it_keeps(every: int, words: str) -> None:
    assert str(Keep(every)) == f"{words}, the last 20 rounds, and 3 before and after each incident"


def test_an_estimate_is_at_most_the_whole_run() -> None:
    keep = Keep(every=50, last=20, around=3)
    assert keep.estimate(5, 10, 3) == 50
    assert keep.estimate(10_000, 10, 3) == (200 + 10) * 13 + (20 + 60) * 10

"""The campaign finds what is done wrong, and a small part of it; `make faults` is all of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.faults.campaign import FAULTS, Found, every_fault, keep, page, read
from benchmarks.faults.failing import fail
from benchmarks.faults.flips import flip
from benchmarks.faults.kills import kill_forked
from benchmarks.faults.power import lose_power
from benchmarks.faults.writer import Bench, Part, Say, Tally, Writer, Wrong
from engine.errors import StorageError
from engine.store import Files, read_json, write_json

SMALL = (
    "note",
    "notes beside a run",
    "table of results",
    "cells of the lab",
    "cache",
    "index",
    "sets and notes, control",
)
"""Writers that take a moment, and of which one trial in so many is made here."""
SHARES = {"failing operation": 30, "power loss": 3, "kill": 100, "flipped bit": 1000}
ALL = 300
"""One trial in so many of all writers, where minutes don't matter."""


def said_by(name: str, act: Callable[[Path, Say], object]) -> Writer:
    """Writes `a.json` in the way that `act` does."""

    def check(folder: Path, said):
        try:
            read = read_json(folder / "a.json")
        except FileNotFoundError:
            read = None
        if read is None and said:
            yield Wrong("lost", "a.json")
        if read is not None and read.values != {"a": "b" * 100}:
            yield Wrong("torn", "a.json")

    return Writer(name, lambda _: None, act, check)


def whole(folder: Path, say: Say) -> None:
    write_json(folder / "a.json", {"a": "b" * 100})
    say("1")


def not_durable(folder: Path, say: Say) -> None:
    write_json(folder / "a.json", {"a": "b" * 100}, durable=False)
    say("1")


def in_place(folder: Path, say: Say) -> None:
    """Writes over what is there, and forces nothing."""
    write_json(folder / "whole.json", {"a": "b" * 100})
    data, files = (folder / "whole.json").read_bytes(), Files()
    if files.exists(folder / "a.json"):
        files.remove(folder / "a.json")
    with files._opened(folder / "a.json", os.O_WRONLY | os.O_CREAT) as descriptor:
        for part in (data[:50], data[50:]):
            files.call(os.write, descriptor, part)
    say("1")


def unsealed(folder: Path, say: Say) -> None:
    Files().replace(folder / "a.json", b'{"a": "' + b"b" * 100 + b'"}')
    say("1")


def says_too_early(folder: Path, say: Say) -> None:
    say("1")
    whole(folder, lambda _: None)


def says_far_too_early(folder: Path, say: Say) -> None:
    say("1")
    time.sleep(0.2)
    whole(folder, lambda _: None)


def careless(folder: Path, say: Say) -> None:
    try:
        whole(folder, say)
    except StorageError as error:
        raise ValueError("it did not work") from error


def tallied(writer: Writer, fault: Callable[..., None], tmp_path: Path, **given: int) -> set[str]:
    tally = Tally()
    fault(Bench(writer, tmp_path / "bench"), Part(), tally, **given)
    assert tally.tried > 4
    return set(tally.wrong)


@pytest.mark.parametrize(
    ("act", "fault", "finds"),
    [
        (whole, lose_power, set()),
        (not_durable, lose_power, {"lost"}),
        (in_place, lose_power, {"lost", "torn"}),
        (says_too_early, lose_power, {"lost"}),
        (whole, fail, set()),
        (says_too_early, fail, {"lost"}),
        (careless, fail, {"traceback"}),
        (whole, flip, set()),
        (unsealed, flip, {"undetected"}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_what_is_done_wrong_is_found(
    tmp_path: Path, act: Callable[[Path, Say], None], fault: Callable[..., None], finds: set[str]
) -> None:
    assert tallied(said_by("a document", act), fault, tmp_path) == finds


def test_a_kill_shows_what_was_said_too_early(tmp_path: Path) -> None:
    assert tallied(said_by("a document", says_far_too_early), kill_forked, tmp_path, of=1000) == {"lost"}


@pytest.mark.parametrize("fault", SHARES)
def test_small_writers_lose_nothing(fault: str) -> None:
    found = list(every_fault(Part(1, SHARES[fault]), [fault], SMALL))
    assert [(each.writer, each.tally.examples) for each in found if each.tally.wrong] == []
    assert sum(each.tally.tried for each in found) > 30


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_torn_or_undetected(fault: str) -> None:
    found = list(every_fault(Part(1, ALL), [fault]))
    assert [(each.writer, each.tally.examples) for each in found if each.tally.wrong] == []
    assert sum(each.tally.tried for each in found) > 20


def test_parts_are_added_up_and_a_part_that_is_done_again_replaces_itself(tmp_path: Path) -> None:
    for tried, part in ((5, Part(0, 2)), (7, Part(1, 2)), (8, Part(1, 2))):
        tally = Tally(tried)
        tally.add("there", [Wrong("lost", "it")])
        keep(Found("kill", "note", part, 1.5, tally), tmp_path)
    assert [each.tally.tried for each in read(tmp_path)] == [6, 9]
    written = (tmp_path / "README.md").read_text()
    assert written == page(read(tmp_path))
    assert "| kill | " in written
    assert "| 15 | 2 | 0 | 0 | 0 | 0 | 0 | 3 |" in written
    assert "lost, there: it" in written


def test_every_trial_is_in_one_part() -> None:
    parts = [Part.parse(f"{i}/3") for i in range(3)]
    assert [sum(part.takes(number) for part in parts) for number in range(10)] == [1] * 10
    with pytest.raises(ValueError, match="3/3 is no part"):
        Part.parse("3/3")
    assert {*SHARES} < {*FAULTS}

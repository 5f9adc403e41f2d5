"""JSON from a run: what is plain is read at once, and what no writer writes is refused in one line."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from engine.errors import BadInputError, DamagedRunError
from engine.store import strict_json
from engine.store.strict_json import DEEPEST, parse_json, parse_json_as

PLAIN = b'{"round":3,"metrics":{"kl":0.0012345678901234567,"worst":null,"steps":-320},"text":"\xe2\x80\x9cno number\xe2\x80\x9d"}'


@dataclass(frozen=True)
class Numbers:
    a: tuple[int, ...]


def test_a_plain_text_is_read_by_the_fast_reader_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = json.loads(PLAIN)
    monkeypatch.delattr(strict_json.json, "loads")
    assert parse_json(PLAIN, "a file") == expected
    assert parse_json_as(dict[str, object], PLAIN, "a file") == expected


@pytest.mark.parametrize("data", [b'{"a":[1,2],"more":0}', b'{"a":[1,2],"more":1e999}'])
def test_what_is_read_as_a_type_is_the_same_at_once_and_looked_at_closely(data: bytes) -> None:
    assert parse_json_as(Numbers, data, "a file") == Numbers((1, 2))


def test_what_is_of_another_type_is_said() -> None:
    with pytest.raises(BadInputError, match=r"a\[1\] is 'x'; it must be a whole number"):
        parse_json_as(Numbers, b'{"a":[1,"x"]}', "a file")
    with pytest.raises(DamagedRunError, match="needs more than 64 bits"):
        parse_json_as(Numbers, b'{"a":[1,18446744073709551616]}', "a file")


@pytest.mark.parametrize("said", ["18446744073709551615", "-9223372036854775808", "1e999", "NaN", "7"])
def test_odd_numbers_are_what_they_were(said: str) -> None:
    for data in (said, f'{{"a": {said}}}', f"[{said}]"):
        assert repr(parse_json(data.encode(), "a file")) == repr(json.loads(data))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a":18446744073709551616}', "needs more than 64 bits"),
        (b'{"a":\n-9223372036854775809}', "needs more than 64 bits"),
        (b"[1, 100000000000000000000000]", "needs more than 64 bits"),
        (b"18446744073709551616", "needs more than 64 bits"),
        (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), f"nested deeper than {DEEPEST} levels"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'["\\ud83d"]', "half a character"),
        (b'["\xff"]', "it is not UTF-8"),
        (b'{"a":1,}', "it is not JSON"),
        (b"", "it is not JSON"),
    ],
)
def test_what_no_writer_writes_is_refused_by_name(data: bytes, why: str) -> None:
    with pytest.raises(DamagedRunError, match=why) as refused:
        parse_json(data, "commits/000003.json")
    assert str(refused.value).startswith("commits/000003.json is damaged: ")

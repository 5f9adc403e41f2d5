"""Prompts: lines of a file, those that are held out, and their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.config_language import LanguageConfig
from engine.errors import BadInputError
from engine.kinds.language.prompts import Prompts, encode_prompts, make_prompts, read_prompts

END = 0


class Letters:
    """A tokenizer with a token for each letter, which may put an end token behind them as some do."""

    eos_token_id = END

    def __init__(self, ends: bool = False) -> None:
        self.ends = ends

    def __call__(self, texts: Sequence[str]) -> dict[str, list[list[int]]]:
        return {"input_ids": [[*map(ord, text), *[END] * self.ends] for text in texts]}


def language(path: Path, held_out: int) -> LanguageConfig:
    return LanguageConfig(policy="p", reward="r", prompts=str(path), validation_prompts=held_out)


def written(folder: Path, lines: Sequence[str]) -> Path:
    path = folder / "prompts.txt"
    path.write_text("\n".join(lines))
    return path


def test_each_line_is_a_prompt_once(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes("the cat \r\n\n  \nzwölf\nthe cat \n\u2028 one line".encode())
    assert read_prompts(path) == ["the cat ", "zwölf", "\u2028 one line"]


@pytest.mark.parametrize(
    ("data", "line"),
    [(b"\n \n", "has no prompts; write one on each line"), (b"\xff\xfe", "is not a text file in UTF-8")],
)
def test_a_file_without_prompts_is_one_line(tmp_path: Path, data: bytes, line: str) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes(data)
    with pytest.raises(BadInputError, match=line):
        read_prompts(path)


def test_held_out_prompts_are_others_and_follow_from_the_seed(tmp_path: Path) -> None:
    lines = [f"prompt {i}" for i in range(12)]
    path = written(tmp_path, lines)
    prompts, again, other = (make_prompts(language(path, 4), seed) for seed in (5, 5, 6))
    assert len(set(prompts.held_out)) == 4
    assert prompts.held_out == again.held_out != other.held_out
    drawn = prompts.draw(np.random.default_rng(0), 500)
    assert len(drawn) == 500
    assert set(drawn) == set(lines) - set(prompts.held_out), "all the others, and none that is held out"
    assert drawn == again.draw(np.random.default_rng(0), 500)


def test_something_must_be_left_to_train_on(tmp_path: Path) -> None:
    path = written(tmp_path, ["one", "two", "two"])
    with pytest.raises(BadInputError, match=r"has 2 different prompts, and 2 are held out .*--validation-prompts"):
        make_prompts(language(path, 2), 0)
    assert len(make_prompts(language(path, 1), 0).held_out) == 1


def test_a_grammar_that_gives_a_held_out_prompt_is_asked_again() -> None:
    words, asked = iter(["held", "free", "held", "held", "open", "new"]), list[int]()

    def draw(rng: np.random.Generator, n: int) -> list[str]:
        asked.append(n)
        return [next(words) for _ in range(n)]

    assert Prompts(draw, ["held"]).draw(np.random.default_rng(0), 3) == ["free", "open", "new"]
    assert asked == [3, 2, 1]


@pytest.mark.parametrize("ends", [False, True])
def test_tokens_are_those_of_the_text_without_an_end(ends: bool) -> None:
    found = encode_prompts(["ab", "c"], Letters(ends), max_new_tokens=3, context=5)
    assert [ids.tolist() for ids in found] == [[97, 98], [99]]
    assert {ids.dtype for ids in found} == {np.dtype(np.int32)}


def test_a_prompt_must_leave_room_for_its_response() -> None:
    with pytest.raises(BadInputError, match=r"'abc' has 3 tokens, and with 3 new ones it is longer than the 5"):
        encode_prompts(["ab", "abc"], Letters(), max_new_tokens=3, context=5)
    assert len(encode_prompts(["abc" * 1000], Letters(), max_new_tokens=3, context=None)[0]) == 3000
    for ends in (False, True):
        with pytest.raises(BadInputError, match="the prompt '' has no tokens"):
            encode_prompts(["ab", ""], Letters(ends), max_new_tokens=3, context=5)

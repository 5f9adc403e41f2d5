"""Where prompts come from: lines of a file or a grammar, some of them held out for validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config_language import LanguageConfig
from engine.errors import BadInputError
from engine.kinds.language.named import find_world

MOST_BYTES = 2**28
"""Of a file of prompts."""
Draw = Callable[[np.random.Generator, int], list[str]]
"""Draws that many prompts."""


class Prompts:
    """Prompts to train on, and others, held out, whose responses the sequence target is taken over."""

    def __init__(self, draw: Draw, held_out: Sequence[str]) -> None:
        self._draw = draw
        self.held_out = list(held_out)
        self._closed = frozenset(held_out)

    def draw(self, rng: np.random.Generator, n: int) -> list[str]:
        """That many prompts, none of them held out."""
        found: list[str] = []
        while len(found) < n:
            found += [prompt for prompt in self._draw(rng, n - len(found)) if prompt not in self._closed]
        return found


def make_prompts(language: LanguageConfig, seed: int) -> Prompts:
    """The prompts that a run's settings name; which of them are held out follows from the seed.

    Raises:
        BadInputError: the file can't be read, or has too few prompts.
    """
    rng = np.random.default_rng([seed, 4])
    world = find_world(language.prompts)
    if world is not None:
        held_out: dict[str, None] = {}
        while len(held_out) < language.validation_prompts:
            held_out |= dict.fromkeys(world.prompts(rng, language.validation_prompts - len(held_out)))
        return Prompts(world.prompts, list(held_out))
    lines = read_prompts(Path(language.prompts))
    if len(lines) <= language.validation_prompts:
        raise BadInputError(
            f"{language.prompts} has {len(lines)} different prompts, and {language.validation_prompts} are held out for "
            "validation; give more, or hold out fewer with --validation-prompts"
        )
    lines = [lines[i] for i in rng.permutation(len(lines))]
    rest = lines[language.validation_prompts :]
    return Prompts(
        lambda rng, n: [rest[i] for i in rng.integers(len(rest), size=n)], lines[: language.validation_prompts]
    )


def read_prompts(path: Path) -> list[str]:
    """The different lines of a text file that are not blank.

    Raises:
        BadInputError: it can't be read, or has none.
    """
    if path.exists() and not path.is_file():
        raise BadInputError(f"{path} is no text file; name one with a prompt on each line")
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise BadInputError(f"{path} has more than the {MOST_BYTES:,} bytes of prompts that are read; shorten it")
        text = data.decode()
    except UnicodeDecodeError:
        raise BadInputError(f"{path} is not a text file in UTF-8; give one with a prompt on each line") from None
    except OSError as error:
        raise BadInputError(
            f"{path} can't be read ({error.strerror}); name a text file with a prompt on each line"
        ) from None
    lines = list(dict.fromkeys(line.rstrip("\r") for line in text.split("\n") if line.strip()))
    if not lines:
        raise BadInputError(f"{path} has no prompts; write one on each line")
    return lines


def encode_prompts(
    prompts: Sequence[str], tokenizer: Any, max_new_tokens: int, context: int | None
) -> list[NDArray[np.int32]]:
    """The tokens of each prompt.

    Raises:
        BadInputError: one has no tokens, or would not fit the model's context together with its response.
    """
    encoded = []
    for prompt, ids in zip(prompts, tokenizer(list(prompts))["input_ids"], strict=True):
        end = len(ids) - 1 if ids and ids[-1] == tokenizer.eos_token_id else len(ids)
        if end < 1:
            raise BadInputError(f"the prompt {prompt!r} has no tokens; a response must follow on something")
        if context is not None and end + max_new_tokens > context:
            raise BadInputError(
                f"the prompt {prompt[:40]!r} has {end} tokens, and with {max_new_tokens} new ones it is longer than the "
                f"{context} that the model can read; shorten it or lower --max-new-tokens"
            )
        encoded.append(np.asarray(ids[:end], np.int32))
    return encoded

"""What a person types on the command line, read into values; what can't be read is refused in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import BadInputError
from engine.keep import Keep
from engine.spaces import Space
from engine.typed import typed


def setting(text: str) -> tuple[str, Any]:
    """`learning-rate=0.001` -> ("learning_rate", 0.001); what is not JSON is a text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInputError(f"--set {text} has no value; write --set NAME=VALUE, such as --set learning_rate=0.001")
    try:
        return name.replace("-", "_"), json.loads(value)
    except ValueError:
        return name.replace("-", "_"), value


def keep(text: str) -> Keep:
    """`every=100,last=20,around=3` -> Keep(every=100, last=20, around=3); what is not said is as by default.

    Raises:
        BadInputError: it says something else.
    """
    pairs = [word.partition("=") for word in text.replace(" ", "").split(",")]
    if not all(value.isdecimal() and len(value) < 19 for _, _, value in pairs):
        raise BadInputError(f"--keep {text!r} can't be read; write --keep every=100,last=20,around=3")
    return typed(Keep, {name: int(value) for name, _, value in pairs}, "part of --keep")


def numbers(text: str, option: str) -> list[float]:
    """`0.1, -2 3` -> [0.1, -2.0, 3.0]."""
    try:
        return [float(word) for word in re.split(r"[\s,]+", text.strip(" []")) if word]
    except ValueError:
        raise BadInputError(f"{option} {text!r} must be numbers separated by commas") from None


def action(text: str, space: Space) -> list[float]:
    """A discrete action by name or by number, or a continuous one by its numbers.

    Raises:
        BadInputError: there is none of that name, or it is not made of numbers; names the actions.
    """
    if space.kind == "discrete" and text in space.names:
        return [float(space.names.index(text))]
    try:
        return numbers(text, "--action")
    except BadInputError:
        names = ", ".join(space.names)
        if space.kind == "discrete":
            raise BadInputError(f"--action {text!r} is none of {names}; name one of them or give its number") from None
        raise BadInputError(
            f"actions are continuous here: --action needs numbers separated by commas ({names})"
        ) from None


def round_and_record(text: str, what: str = "--record") -> tuple[int, int]:
    """`12:345` -> (12, 345)."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*:\s*(\d{1,9})\s*", text)
    if match is None:
        raise BadInputError(f"{what} {text!r} must be a round and a record number, such as 12:345")
    return int(match[1]), int(match[2])


def span(text: str, option: str) -> tuple[int, int]:
    """`5:7` -> (5, 7); one number stands for a span of one."""
    found = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    if found is None:
        raise BadInputError(f"{option} is {text!r}; it must be FIRST:LAST, such as 5:7, or one number")
    return int(found[1]), int(found[2] or found[1])


def record_numbers(path: Path) -> list[int]:
    """The numbers in a text file, separated by white space, commas or brackets."""
    try:
        words = re.findall(r"[^\s,\[\]]+", path.read_text())
        return [int(word) for word in words]
    except OSError as error:
        raise BadInputError(f"{path} can't be read ({error.strerror}); name a text file of record numbers") from None
    except ValueError:
        raise BadInputError(f"{path} must hold record numbers separated by spaces, commas or line ends") from None


def ranges(text: str, option: str = "--rounds") -> set[int]:
    """`0-2,5` -> {0, 1, 2, 5}."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise BadInputError(f"{option} {text!r} must be numbers and ranges, such as 0-9,20,30-39")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise BadInputError(f"{option} {part.strip()} runs backwards; write {last}-{first}")
        found.update(range(first, last + 1))
    return found


def spread(words: Sequence[str], option: str) -> list[str]:
    """Let an option take several values at once: `--arms ppo iif` -> `--arms ppo --arms iif`."""
    spread_out: list[str] = []
    within = False
    for word in words:
        if within and not word.startswith("-"):
            spread_out += [word] if spread_out[-1] == option else [option, word]
        else:
            within = word == option
            spread_out.append(word)
    return spread_out

"""What the readers of other trainers' files share: texts of messages, and the columns in one order."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_HALF = re.compile("[\ud800-\udfff]")
REPLACED = "\ufffd"
"""Stands for what is no character: half a surrogate pair, bytes that are not UTF-8."""


@dataclass(frozen=True)
class Sequences:
    """What one file of another trainer holds."""

    table: pa.Table
    """One row a sequence, see `Dump.table`."""
    note: str = ""
    """What of the file is not in the table, in one line; empty: nothing."""


@dataclass(frozen=True)
class Columns:
    """The columns of `Dump.table` before they have their names."""

    prompt: pa.Array
    response: pa.Array
    parts: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    extras: Mapping[str, pa.Array] = field(default_factory=dict)
    reward: NDArray[np.float32] | None = None
    advantage: NDArray[np.float32] | None = None
    group_by: pa.Array | None = None
    """Sequences with equal values are a group; None: those with equal prompts are."""

    def table(self) -> pa.Table:
        """The table; groups are numbered as they come."""
        group = (self.prompt if self.group_by is None else self.group_by).dictionary_encode().indices
        columns: dict[str, Any] = {
            "record": pa.array(np.arange(len(self.prompt), dtype=np.int32)),
            "group": group.cast(pa.int32()),
            "prompt": self.prompt,
            "response": self.response,
        }
        if self.reward is not None:
            columns["reward"] = pa.array(self.reward, pa.float32())
        columns |= {f"reward/{name}": pa.array(values, pa.float32()) for name, values in self.parts.items()}
        if self.advantage is not None:
            columns["advantage"] = pa.array(self.advantage, pa.float32())
        columns |= {f"extra/{name}": values for name, values in self.extras.items()}
        return pa.table(columns)


def whole(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, so that it can be written as UTF-8."""
    return _HALF.sub(REPLACED, text)


def utf8(text: str) -> bytes:
    """The bytes of `whole`."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return whole(text).encode()


def texts(values: Sequence[bytes | None]) -> pa.Array:
    """Texts as UTF-8 -> a column of them."""
    return pa.array(values, pa.large_binary()).cast(pa.large_string())


def text_of(value: Any) -> str:
    """A prompt or response as text: a text as it is, a conversation with a line `role: content` a message.

    A message's calls of tools are a part of it: `assistant: multiply(a=3, b=4)`.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, dict):
        return _message(value) if "content" in value or value.get("tool_calls") else _as_json(value)
    if isinstance(value, list | tuple):
        return "\n".join(text_of(one) for one in value)
    return "" if value is None else str(value)


def _message(message: dict[str, Any]) -> str:
    calls = message.get("tool_calls")
    said = [
        text_of(message.get("reasoning_content")),
        _content(message.get("content")),
        *(_call(call) for call in (calls if isinstance(calls, list | tuple) else [calls]) if call),
    ]
    return f"{text_of(message.get('role') or 'message')}: " + "\n".join(part for part in said if part)


def _content(content: Any) -> str:
    """What a message says: a text, or parts of which pictures have no text."""
    if isinstance(content, list | tuple):
        return " ".join(_part(part) for part in content if part is not None)
    return _as_json(content) if isinstance(content, dict) else text_of(content)


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return text_of(part)
    return text_of(part["text"]) if part.get("text") is not None else f"[{text_of(part.get('type') or 'part')}]"


def _call(call: Any) -> str:
    """`multiply(a=3, b=4)`; arguments that are not there are nulls where a file has one type for all calls."""
    called = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(called, dict) or not called.get("name"):
        return _as_json(call)
    given = called.get("arguments")
    if isinstance(given, dict):
        words = ", ".join(f"{name}={_as_json(value)}" for name, value in given.items() if value is not None)
    else:
        words = text_of(given)
    return f"{text_of(called['name'])}({words})"


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)

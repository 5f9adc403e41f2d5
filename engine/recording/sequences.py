"""What the readers of other trainers' files share: texts of messages, groups, and the columns in one order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def text_of(value: Any) -> str:
    """A prompt or response as text: a text as it is, a conversation with a line `role: content` a message."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and "content" in value:
        content = value["content"]
        if not isinstance(content, str) and isinstance(content, Sequence):  # parts, of which pictures have no text
            content = " ".join(str(part.get("text") or f"[{part.get('type')}]") for part in content if part)
        return f"{value.get('role', 'message')}: {content if content is not None else ''}"
    if isinstance(value, Sequence):
        return "\n".join(text_of(one) for one in value)
    return "" if value is None else str(value)


def sequences_table(
    prompt: Sequence[str],
    response: Sequence[str],
    parts: Mapping[str, NDArray[np.float32]],
    reward: NDArray[np.float32] | None = None,
    advantage: NDArray[np.float32] | None = None,
) -> pa.Table:
    """The columns that `Dump.table` promises; sequences with equal prompts are a group, numbered as they come."""
    numbers: dict[str, int] = {}
    group = [numbers.setdefault(text, len(numbers)) for text in prompt]
    columns: dict[str, Any] = {
        "record": pa.array(np.arange(len(group), dtype=np.int32)),
        "group": pa.array(group, pa.int32()),
        "prompt": pa.array(prompt, pa.large_string()),
        "response": pa.array(response, pa.large_string()),
    }
    if reward is not None:
        columns["reward"] = pa.array(reward, pa.float32())
    columns |= {f"reward/{name}": pa.array(values, pa.float32()) for name, values in parts.items()}
    if advantage is not None:
        columns["advantage"] = pa.array(advantage, pa.float32())
    return pa.table(columns)

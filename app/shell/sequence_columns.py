"""The table of sequences: its columns, and which rows of it are asked for. Arrow throughout: 50,000 rows stay quick."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.errors import BadInputError
from engine.kinds.language.sequences import SequenceBuffer
from engine.store.snapshot import Float32s

TEXTS = ("prompt", "response")
EVERY, BASKET = "all", "in the basket"
ONLY = (EVERY, "kept", "dropped by the filter", "truncated", "no signal", BASKET)
"""Which sequences are listed."""
MOST_SEARCHED = 1_000
"""Letters of a text that is searched for."""
_BLANKS = r"[\s\x0b\x1c-\x1f\x{85}\p{Z}]+"
"""What `str.split` takes for blanks, for RE2."""


def sequences_table(buffer: SequenceBuffer) -> pa.Table:
    """A round's sequences, one row each, without influence.

    `advantage` is that of the last token, which the sequence target weighs a response by; `KL` sums the response's tokens;
    `length` counts them. `group` is there where prompts have several responses.
    """
    n = len(buffer)
    columns: dict[str, Any] = {"record": buffer.record}
    if len(np.unique(buffer.group)) < n:
        columns["group"] = buffer.group
    columns |= {
        "prompt": pa.array(buffer.prompt, pa.large_string()),
        "response": pa.array(buffer.response, pa.large_string()),
        "reward": buffer.reward,
        **{f"reward/{name}": part for name, part in _parts(buffer).items()},
        "advantage": buffer.advantage[buffer.start[1:] - 1] if n else buffer.reward,
        "KL": summed(buffer, buffer.kl),
        "length": summed(buffer, buffer.mask).astype(np.int32),
        "truncated": buffer.truncated,
        "kept": buffer.kept,
        **({"repaired": buffer.repaired} if buffer.repaired.any() else {}),
    }
    return pa.table(columns)


def _parts(buffer: SequenceBuffer) -> Mapping[str, Float32s]:
    """What the rewards are made of; nothing where that is a single part, the reward itself."""
    parts = buffer.reward_parts
    same = len(parts) == 1 and all(np.array_equal(part, buffer.reward) for part in parts.values())
    return {} if same else parts


def summed(buffer: SequenceBuffer, column: NDArray[Any]) -> Float32s:
    """(N,) one value a token -> (n,) sums over each record."""
    return np.bincount(buffer.record_of_token, column, len(buffer)).astype(np.float32)


def with_influence(table: pa.Table, influence: Float32s, no_signal: NDArray[np.bool_]) -> pa.Table:
    """The table with the column `influence` after the response; null where there is no signal, so that it is ranked nowhere."""
    column = pa.array(influence, pa.float32(), mask=no_signal)
    return table.add_column(table.column_names.index("response") + 1, "influence", column)


@dataclass(frozen=True)
class RowQuery:
    """Which rows, in which order."""

    words: str = ""
    """Part of the prompt or of the response, in any case of letters; blanks stand for any blanks, tabs and line breaks."""
    only: str = EVERY
    sort: str = "record"
    descending: bool = False


def rows(table: pa.Table, query: RowQuery, basket: Collection[int] = ()) -> NDArray[np.int64]:
    """(m,) positions of the rows that are asked for; equal ones in the order of their numbers, unknown ones last.

    Raises:
        BadInputError: too long a text is searched for.
    """
    mask = _only(table, query.only, basket)
    words = query.words.split()
    if words:
        mask = pc.and_(mask, pc.or_(*(_holds(table.column(name), words) for name in TEXTS)))
    chosen = np.flatnonzero(mask.to_numpy(zero_copy_only=False) if isinstance(mask, pa.Array) else mask.to_numpy())
    if query.sort == "record":
        return chosen[::-1] if query.descending else chosen
    keys = pa.table({"key": table.column(query.sort).take(pa.array(chosen)), "record": chosen})
    way = "descending" if query.descending else "ascending"
    order = pc.sort_indices(keys, sort_keys=[("key", way), ("record", "ascending")])
    return chosen[order.to_numpy()]


def _holds(column: pa.ChunkedArray, words: Sequence[str]) -> pa.ChunkedArray:
    """Which texts have the words one after another, whatever blanks are between them."""
    if sum(map(len, words)) > MOST_SEARCHED:
        raise BadInputError(f"search for a text of at most {MOST_SEARCHED:,} letters")
    if len(words) == 1:
        return pc.match_substring(column, words[0], ignore_case=True)
    return pc.match_substring_regex(column, _BLANKS.join(map(re.escape, words)), ignore_case=True)


def _only(table: pa.Table, only: str, basket: Collection[int]) -> Any:
    """Whether each row is among those that are listed at all."""
    n = table.num_rows
    if only == BASKET:
        return pa.array(np.isin(np.arange(n), list(basket)))
    if only == "no signal" and "influence" in table.column_names:
        return pc.is_null(table.column("influence"))
    known = {"kept": "kept", "truncated": "truncated", "dropped by the filter": "kept"}
    name = known.get(only)
    if name is None or name not in table.column_names:
        return pa.array(np.ones(n, np.bool_))
    column = table.column(name)
    return pc.invert(column) if only.startswith("dropped") else column


def offered(table: pa.Table, basket: Collection[int]) -> list[str]:
    """Those of `ONLY` that some row, but not every one, is among."""
    return [EVERY, *(only for only in ONLY[1:] if 0 < _count(table, only, basket) < table.num_rows)]


def _count(table: pa.Table, only: str, basket: Collection[int]) -> int:
    return int(pc.sum(_only(table, only, basket)).as_py() or 0)

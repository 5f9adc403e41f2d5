"""Columns of a Parquet file that a stranger may have made: never more is decoded than the limits allow.

A text of a megabyte that stands in a file once, and a million times as the number of that entry, is a terabyte of text. So
texts are read as such numbers, their sizes are added up, and only then they are decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.errors import BadInputError
from engine.recording.readers import limits
from engine.recording.readers.limits import Budget, mebibytes, too_large
from engine.recording.readers.sequence_table import text_of, texts, utf8
from engine.store.parquet_pages import chunks, footer_size, pages

_DELTA_STRINGS = 7
"""Parquet's encoding in which a few bytes stand for a text of any length."""
_AT_ONCE = 1_024
"""Rows that are turned into text at a time."""
_VALUE_BYTES = 64
"""What a value in a conversation takes at least while it is turned into text."""


class ParquetColumns:
    """A file whose schema has been looked at, and nothing more yet.

    Raises:
        BadInputError: it is not a Parquet file, or has a column twice; one line.
    """

    def __init__(self, data: bytes, where: str) -> None:
        self._data, self._where = data, where
        with self._errors():
            if footer_size(data) > limits.LARGEST_FOOTER:
                raise too_large(where, "in its footer", mebibytes(limits.LARGEST_FOOTER))
            schema = pq.ParquetFile(pa.BufferReader(data)).schema
            paths = [schema.column(i).path for i in range(len(schema))]
            self._file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=paths, page_checksum_verification=True)
            self.types: Mapping[str, pa.DataType] = {one.name: one.type for one in self._file.schema_arrow}
            """Name -> type; texts are dictionaries."""
            names = self._file.schema_arrow.names
        twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
        if twice is not None:
            raise BadInputError(
                f"{where} has the column {twice[:80]!r} twice; keep one, so that it is clear which is meant"
            )

    def read(self, names: list[str], as_text: tuple[str, ...]) -> dict[str, pa.ChunkedArray]:
        """Some columns; texts as large_string.

        Args:
            names: of the columns.
            as_text: those of them of which everything is turned into text: numbers, and conversations. Nulls are empty texts.

        Raises:
            BadInputError: too large, or damaged; one line.
        """
        budget = Budget(self._where)
        pieces: dict[str, list[pa.Array]] = {name: [] for name in names}
        with self._errors():
            self._check_sizes(names)
            for i in range(self._file.num_row_groups):
                group = self._file.read_row_group(i, names, use_threads=False)
                group.validate()
                for name in names:
                    pieces[name] += [
                        self._decoded(chunk, name in as_text, budget) for chunk in group.column(name).chunks
                    ]
        return {
            name: pa.chunked_array(pieces[name], pa.large_string() if name in as_text or is_text(kind) else kind)
            for name, kind in self.types.items()
            if name in pieces
        }

    def _check_sizes(self, names: list[str]) -> None:
        """Refuse too large a file, from what the footer says and then, as that may be anything, from the pages' headers."""
        metadata, where = self._file.metadata, self._where
        for count, most, what in (
            (metadata.num_rows, limits.MOST_ROWS, "rows"),
            (len(self.types), limits.MOST_COLUMNS, "columns"),
            (metadata.num_columns, limits.MOST_LEAVES, "columns within columns"),
            (metadata.num_row_groups, limits.MOST_ROW_GROUPS, "row groups"),
        ):
            if count > most:
                raise too_large(where, what, most)
        tops = tuple(f"{name}." for name in names)
        leaves = [metadata.schema.column(i) for i in range(metadata.num_columns)]
        if any(leaf.length > limits.WIDEST for leaf in leaves if f"{leaf.path}.".startswith(tops)):
            raise too_large(where, "bytes in a value of fixed length", limits.WIDEST)
        size = values = count = 0
        wanted = [chunk for chunk in chunks(self._data) if f"{chunk.path}.".startswith(tops)]
        for page in (page for chunk in wanted for page in pages(self._data, chunk)):
            size, values, count = size + page.size, values + page.values, count + 1
            if page.encoding == _DELTA_STRINGS:
                raise BadInputError(
                    f"{where} has texts in the encoding DELTA_BYTE_ARRAY; write it with a dictionary or plain"
                )
            if size > limits.LARGEST_TEXTS:
                raise too_large(where, "once it is decompressed", mebibytes(limits.LARGEST_TEXTS))
            if values > limits.MOST_VALUES:
                raise too_large(where, "values", limits.MOST_VALUES)
            if count > limits.MOST_PAGES:
                raise too_large(where, "pages", limits.MOST_PAGES)

    def _decoded(self, chunk: pa.Array, as_text: bool, budget: Budget) -> pa.Array:
        if is_text(chunk.type):
            found = self._texts(chunk, budget)
            return found.fill_null("") if as_text else found
        return self._built(chunk, budget) if as_text else chunk

    def _texts(self, chunk: pa.DictionaryArray, budget: Budget) -> pa.Array:
        """Decode texts after a look at their sizes; bytes that are not UTF-8 become U+FFFD."""
        sizes = pc.binary_length(chunk.dictionary).take(chunk.indices)
        if (pc.max(sizes).as_py() or 0) > limits.LONGEST:
            raise too_large(self._where, "in one text", mebibytes(limits.LONGEST))
        budget.take(pc.sum(sizes).as_py() or 0)
        found = chunk.dictionary.cast(pa.large_binary()).take(chunk.indices)
        try:
            return found.cast(pa.large_string())
        except pa.ArrowInvalid:
            return texts([None if one is None else one.decode(errors="replace").encode() for one in found.to_pylist()])

    def _built(self, chunk: pa.Array, budget: Budget) -> pa.Array:
        """Conversations as text."""
        found: list[bytes] = []
        for begin in range(0, len(chunk), _AT_ONCE):
            for piece in self._small(chunk.slice(begin, _AT_ONCE)):
                # A slice would be cast with all that it is a slice of.
                own = piece.take(pa.array(np.arange(len(piece)))).cast(_plain(piece.type))
                for value in own.to_pylist():
                    found.append(utf8(text_of(value)))
                    budget.take(len(found[-1]))
        return texts(found)

    def _small(self, rows: pa.Array) -> Iterator[pa.Array]:
        """Runs of rows that are not too large to be Python's objects at once."""
        if _weight(rows) <= limits.LONGEST:
            yield rows
        elif len(rows) == 1:
            raise too_large(self._where, "in one conversation", mebibytes(limits.LONGEST))
        else:
            half = len(rows) // 2
            yield from self._small(rows.slice(0, half))
            yield from self._small(rows.slice(half))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What Arrow raises, in one line; it raises Python's own errors, too."""
        try:
            yield
        except BadInputError:
            raise
        except (pa.ArrowException, ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            line = " ".join(str(error).split())[:120]
            raise BadInputError(
                f"{self._where} is not a sound Parquet file (damaged, or not whole yet): {line}"
            ) from None


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type has texts, or bytes that are taken for texts."""
    if not pa.types.is_dictionary(kind):
        return False
    return any(is_kind(kind.value_type) for is_kind in _TEXTS)


def is_readable(kind: pa.DataType) -> bool:
    """Whether values of this type take no more than their pages say: a list of fixed length may be nulls of any length."""
    if pa.types.is_struct(kind):
        return all(is_readable(kind.field(i).type) for i in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return is_readable(kind.value_type)
    return is_text(kind) or any(is_kind(kind) for is_kind in _SIMPLE)


_Is = Callable[[pa.DataType], bool]
_TEXTS: tuple[_Is, ...] = (
    pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary,
)  # fmt: skip
_SIMPLE: tuple[_Is, ...] = (
    pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal,
    pa.types.is_timestamp, pa.types.is_date, pa.types.is_time,
)  # fmt: skip


def _weight(array: pa.Array) -> int:
    """About how many bytes some rows take while they are turned into text."""
    if pa.types.is_struct(array.type):
        return sum(_weight(child) for child in array.flatten())
    if pa.types.is_dictionary(array.type):
        sizes = pc.binary_length(array.dictionary).take(array.indices)
        return _VALUE_BYTES * len(array) + (pc.sum(sizes).as_py() or 0)
    inside = _weight(array.flatten()) if pa.types.is_nested(array.type) else 0
    return _VALUE_BYTES * len(array) + inside


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type with texts in the place of dictionaries: ten times as fast to become Python's."""
    if pa.types.is_struct(kind):
        return pa.struct([one.with_type(_plain(one.type)) for one in map(kind.field, range(kind.num_fields))])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        listed = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return listed(kind.value_field.with_type(_plain(kind.value_type)))
    return kind.value_type if is_text(kind) else kind

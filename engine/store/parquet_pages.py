"""What the pages of a Parquet file decode to, read from their own headers: the rest of the file may say anything.

A column's data is a row of pages, each behind a header in Thrift's compact protocol that says how many values the page has and
how many bytes it takes once decompressed. A decoder allocates what these headers say. Arrow, which reads the values, does not
show them; and where a footer's statistics are damaged it ends the process as soon as it is asked for a column's place, so that
this is read here, too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_BOOLEANS, _BYTE, _INTEGERS, _I32, _I64, _DOUBLE, _BINARY, _LISTS, _MAP, _STRUCT = (
    (1, 2), 3, (4, 5, 6), 5, 6, 7, 8, (9, 10), 11, 12,
)  # fmt: skip
_DEEPEST = 16
_MAGIC = b"PAR1"

# Fields of parquet.thrift: their number and their kind. Thrift passes over a field of another kind, and so does a look-up here.
_ROW_GROUPS, _CHUNKS, _ABOUT_CHUNK, _PATH = (4, 9), (1, 9), (3, 12), (3, 9)
_COMPRESSED_CHUNK, _FIRST_DATA, _FIRST_DICTIONARY = (7, _I64), (9, _I64), (11, _I64)
_KIND, _DECOMPRESSED, _COMPRESSED = (1, _I32), (2, _I32), (3, _I32)
_VALUES = (1, _I32)
_OF_KIND = {0: (5, 2), 2: (7, 2), 3: (8, 4)}
"""Kind of a page with values (data, dictionary, data of version 2) -> field of its header, and in it the encoding's."""


@dataclass(frozen=True)
class Chunk:
    """A column in one row group."""

    path: str
    first: int
    """Its first byte."""
    end: int
    """The byte after its last one."""


@dataclass(frozen=True)
class Page:
    """A page, not yet decoded."""

    size: int
    """Bytes once decompressed."""
    values: int
    encoding: int
    """Parquet's number of it, 0 where there are no values."""


def footer_size(data: bytes) -> int:
    """Bytes of a file's footer, as its last eight bytes say.

    Raises:
        ValueError: it is not a Parquet file.
    """
    if len(data) < 12 or data[:4] != _MAGIC or data[-4:] != _MAGIC:
        raise ValueError("it does not begin and end as a Parquet file does")
    (size,) = struct.unpack("<I", data[-8:-4])
    if size > len(data) - 8:
        raise ValueError("its footer is longer than the file")
    return int(size)


def chunks(data: bytes) -> list[Chunk]:
    """The columns of all row groups, in order.

    Raises:
        ValueError: it is not a Parquet file, or its footer is damaged.
    """
    end = len(data) - 8
    try:
        footer = _Compact(data, end - footer_size(data), end).struct()
        groups = [group[_CHUNKS] for group in footer.get(_ROW_GROUPS, [])]
        return [_chunk(column[_ABOUT_CHUNK]) for group in groups for column in group]
    except (AttributeError, LookupError, TypeError, ValueError):
        raise ValueError("its footer is damaged") from None


def _chunk(chunk: dict[tuple[int, int], Any]) -> Chunk:
    first = chunk[_FIRST_DATA]
    dictionary = chunk.get(_FIRST_DICTIONARY, 0)
    if 0 < dictionary < first or first < len(_MAGIC):  # where there are no values, there may be a dictionary alone
        first = dictionary
    path = ".".join(part.decode(errors="replace") for part in chunk[_PATH])
    return Chunk(path, first, first + chunk[_COMPRESSED_CHUNK])


def pages(data: bytes, chunk: Chunk) -> Iterator[Page]:
    """The pages of a column.

    Raises:
        ValueError: there is no page where one should be.
    """
    at = chunk.first
    if at < 0 or chunk.end > len(data):
        raise ValueError(f"the column {chunk.path[:80]} is outside of the file")
    while at < chunk.end:
        reader = _Compact(data, at, chunk.end)
        try:
            header = reader.struct()
            size, compressed = header[_DECOMPRESSED], header[_COMPRESSED]
            field, encoding = _OF_KIND.get(header[_KIND], (0, 0))
            values = header.get((field, _STRUCT), {})
            page = Page(size, values.get(_VALUES, 0), values.get((encoding, _I32), 0))
        except (AttributeError, LookupError, TypeError, ValueError):
            raise ValueError(f"no page of data begins at byte {at}") from None
        if size < 0 or compressed < 0 or page.values < 0:
            raise ValueError(f"the page of data at byte {at} has a negative size")
        yield page
        at = reader.at + compressed


class _Compact:
    """A reader of Thrift's compact protocol."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data, self.at, self._end = data, at, end

    def struct(self, depth: int = 0) -> dict[tuple[int, int], Any]:
        """(field number, kind) -> value.

        Raises:
            IndexError: the data ends before.
            ValueError: it is no such struct.
        """
        fields: dict[tuple[int, int], Any] = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._signed()
            fields[number, kind] = kind == 1 if kind in _BOOLEANS else self._value(kind, depth + 1)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("it is too deep")
        if kind == _BYTE or kind in _BOOLEANS:
            return self._byte()
        if kind in _INTEGERS:
            return self._signed()
        if kind in (_DOUBLE, _BINARY):
            return self._bytes(8 if kind == _DOUBLE else self._varint())
        if kind in _LISTS:
            head = self._byte()
            size = self._varint() if head >> 4 == 15 else head >> 4
            return [self._value(head & 15, depth + 1) for _ in range(size)]
        if kind == _MAP:
            size = self._varint()
            kinds = self._byte() if size else 0
            return [(self._value(kinds >> 4, depth + 1), self._value(kinds & 15, depth + 1)) for _ in range(size)]
        if kind == _STRUCT:
            return self.struct(depth)
        raise ValueError("there is no such kind of value")

    def _byte(self) -> int:
        if self.at >= self._end:
            raise IndexError("the data ends")
        self.at += 1
        return self._data[self.at - 1]

    def _bytes(self, size: int) -> bytes:
        first, self.at = self.at, self.at + size
        if self.at > self._end:
            raise IndexError("the data ends")
        return self._data[first : self.at]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("it has too long a number")

    def _signed(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

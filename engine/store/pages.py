"""How large a Parquet file in memory becomes when it is decoded, as the headers of its pages say before anything is decoded.

The footer of a hostile file may claim anything, and a page that names one long value a million times decodes to gigabytes.
So every page's own header is read (Thrift's compact protocol, parquet-format's `PageHeader`), and pages with dictionaries,
which this format never writes, are refused.
"""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

from engine.errors import DamagedRunError, TooLargeError

ROOM = 256 * 2**20
"""Bytes that any file may decode to, ..."""
RATIO = 64
"""... and as many times its own size more: numbers and texts that people record do not compress further."""
MOST_COLUMNS = 4096
LEVEL_BYTES = 8
"""Memory that a value takes while it is decoded, however few bytes it has in its page."""

_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_ENCODINGS = {0: "PLAIN", 3: "RLE", 9: "BYTE_STREAM_SPLIT"}
"""Encodings whose values take as many bytes decoded as in their page; booleans, in runs, one each."""
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12


def check_size(footer: pq.FileMetaData, data: bytes, file: str, rows: int | None = None) -> None:
    """Refuse a file that would decode to more rows or bytes than it may.

    Args:
        footer: what a Parquet file says of itself at its end.
        data: its bytes.
        file: its name, for the message.
        rows: as many as it must have; None: any number.

    Raises:
        TooLargeError: it decodes to more than `ROOM` and `RATIO` allow.
        DamagedRunError: it has not as many rows, or is no sound Parquet file of this format.
    """
    if rows is not None and footer.num_rows != rows:
        raise DamagedRunError(f"{file} is damaged: it has {footer.num_rows} rows, not {rows}")
    limit = ROOM + RATIO * len(data)
    size = 0
    if footer.num_row_groups * footer.num_columns > MOST_COLUMNS:
        raise TooLargeError(f"{file} is too large: it has more than {MOST_COLUMNS} columns")
    for group in range(footer.num_row_groups):
        for column in range(footer.num_columns):
            chunk = footer.row_group(group).column(column)
            start = min(chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset)
            try:
                for page in _pages(data, start, start + chunk.total_compressed_size):
                    _check_encoding(page, file)
                    size += page["uncompressed"] + LEVEL_BYTES * page["values"]
                    if size > limit:
                        raise TooLargeError(
                            f"{file} is too large: its {len(data)} bytes decode to more than {limit // 2**20} MiB"
                        )
            except (LookupError, TypeError, ValueError) as error:
                raise DamagedRunError(f"{file} is damaged: it is not a sound Parquet file") from error


def _check_encoding(page: dict[str, int], file: str) -> None:
    if page["type"] == _DICTIONARY_PAGE or page["encoding"] not in _ENCODINGS:
        raise DamagedRunError(f"{file} is damaged: its pages are not encoded as this format encodes them")


def _pages(data: bytes, start: int, end: int) -> Any:
    """What the header of each page of a column chunk says: type, sizes, number of values, encoding."""
    if not 0 <= start <= end <= len(data):
        raise ValueError("a column lies outside of the file")
    while start < end:
        header, start = _struct(data, start)
        kind = header[1]
        about = header.get({_DATA_PAGE: 5, _DICTIONARY_PAGE: 7, _DATA_PAGE_V2: 8}.get(kind, 0))
        if not isinstance(about, dict):
            raise ValueError("a page has no header of its kind")
        values, encoding = about[1], about[4 if kind == _DATA_PAGE_V2 else 2]
        page = {
            "type": kind,
            "uncompressed": header[2],
            "compressed": header[3],
            "values": values,
            "encoding": encoding,
        }
        if min(page.values()) < 0:
            raise ValueError("a page has a negative size")
        yield page
        start += page["compressed"]
    if start != end:
        raise ValueError("a page goes beyond its column")


def _struct(data: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Fields by number of a struct in the compact protocol, and the place after it; only whole numbers and structs are kept."""
    if depth > 8:
        raise ValueError("a header is nested too deeply")
    fields: dict[int, Any] = {}
    number = 0
    while (head := data[at]) != 0:
        at += 1
        kind, delta = head & 15, head >> 4
        if delta:
            number += delta
        else:
            number, at = _whole(data, at)
        fields[number], at = _value(data, at, kind, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (_TRUE, _FALSE):
        return None, at
    if kind == _BYTE:
        return None, at + 1
    if kind == _DOUBLE:
        return None, at + 8
    if kind == _BINARY:
        size, at = _varint(data, at)
        return None, at + size
    if kind == _STRUCT:
        return _struct(data, at, depth + 1)
    if kind in (_LIST, _SET, _MAP):
        raise ValueError("a page's header holds a list")  # parquet-format has none there
    return _whole(data, at)


def _whole(data: bytes, at: int) -> tuple[int, int]:
    """A whole number, zigzag."""
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("a number is too long")

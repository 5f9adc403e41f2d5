"""How large a file of the run format may become when it is decoded, worked out before anything is decoded."""

from __future__ import annotations

import pyarrow as pa

from engine.errors import DamagedRunError, TooLargeError
from engine.store.parquet_pages import chunks, pages

ROOM = 256 * 2**20
"""Bytes that any file may decode to, ..."""
RATIO = 64
"""... and as many times its own size more: numbers and texts that people record do not compress further."""
MOST_CHUNKS = 4096
"""Columns of all row groups."""
VALUE_BYTES = 8
"""Memory that a value takes while it is decoded, however few bytes it has in its page."""
FRAMES = "frames/"
"""What the name of a column begins with that has the frames of the images in another one, see `frames`."""
COME_AGAIN = 4
"""Stacks of images may decode to so many times more than other columns: each frame is in the stacks of that many moments."""

_ENCODINGS = {0: "PLAIN", 3: "RLE", 9: "BYTE_STREAM_SPLIT"}
"""Encodings whose values take as many bytes decoded as in their page; booleans, in runs, one each. A page of a dictionary
has values of 0, and those that refer to it are encoded otherwise: one long value a million times would be gigabytes."""


def check_size(data: bytes, file: str) -> None:
    """Refuse a file that would decode to more than it may.

    Args:
        data: a Parquet file.
        file: its name, for messages.

    Raises:
        TooLargeError: it decodes to more than `ROOM` and `RATIO` allow.
        DamagedRunError: it is no sound Parquet file, or not encoded as this format encodes.
    """
    limit, size = ROOM + RATIO * len(data), 0
    try:
        columns = chunks(data)
        if len(columns) > MOST_CHUNKS:
            raise TooLargeError(f"{file} is too large: it has more than {MOST_CHUNKS} columns")
        for page in (page for column in columns for page in pages(data, column)):
            if page.values and page.encoding not in _ENCODINGS:
                raise DamagedRunError(f"{file} is damaged: its pages are not encoded as this format encodes them")
            size += page.size + VALUE_BYTES * page.values
            if size > limit:
                raise TooLargeError(
                    f"{file} is too large: its {len(data)} bytes decode to more than {limit // 2**20} MiB"
                )
    except ValueError as error:
        raise DamagedRunError(f"{file} is damaged: it is not a sound Parquet file") from error


def check_images(schema: pa.Schema, rows: int, size: int, file: str) -> None:
    """Refuse a table whose images would take more memory than they may once they are put together from their frames.

    Args:
        schema: its columns.
        rows: as many as it has.
        size: bytes of its file.
        file: its name, for messages.

    Raises:
        TooLargeError: they would.
    """
    limit = ROOM + COME_AGAIN * RATIO * size
    if sum(rows * _image_bytes(schema, field) for field in schema if field.name.startswith(FRAMES)) > limit:
        raise TooLargeError(f"{file} is too large: its {size} bytes have images of more than {limit // 2**20} MiB")


def _image_bytes(schema: pa.Schema, field: pa.Field) -> int:
    """Bytes of an image made of the frames in that column; 0 where its columns are of types that nobody reads."""
    place = schema.get_field_index(field.name.removeprefix(FRAMES))
    numbers = schema.field(place).type if place >= 0 else pa.null()
    frame = field.type.value_type if pa.types.is_list(field.type) else pa.null()
    readable = pa.types.is_fixed_size_list(numbers) and pa.types.is_fixed_size_binary(frame)
    return int(numbers.list_size * frame.byte_width) if readable else 0

"""Images whose frames come again, as in stacks of the last moments: each frame once, and by number which ones a record shows.

A column of images `x` becomes two: `x`, the numbers of a record's frames, and `frames/x`, the frames that no earlier record
shows. Frames are numbered as they stand there, one record after another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import DamagedRunError
from engine.store.columns import Element
from engine.store.parquet import flat_values, from_values
from engine.store.sizes import FRAMES, ROOM

MOST_CHANNELS = 32
"""Of what is taken for an image."""
MOST_OFTEN = 8
"""Times that a frame is shown at most, on average, where the images take more than `sizes.ROOM`: readers believe no more."""

Bytes = NDArray[np.uint8]


def with_frames_once(table: pa.Table, elements: Mapping[str, Element]) -> pa.Table:
    """The table with each frame of its images kept once, wherever that at least halves them.

    Args:
        table: with images as bytes, one a record.
        elements: by column the type and shape of one record's value; a column that has no images stays as it is.
    """
    images = {
        name: layout
        for name, element in elements.items()
        if (layout := _layout(element)) and table.schema.field(name).type == layout.whole
    }
    for name, layout in images.items():
        found = _numbered(layout.apart(flat_values(table[name], np.dtype(np.uint8))), ROOM // len(images))
        if found is None:
            continue
        numbers, ends, frames = found
        starts = pa.array(np.concatenate([[0], ends]), pa.int32())
        lists = pa.ListArray.from_arrays(starts, from_values(frames, layout.frame), type=layout.frames)
        table = _replaced(table, name, from_values(numbers, layout.numbers))
        table = table.append_column(_field(FRAMES + name, layout.frames), lists)
    return table


def with_whole_images(table: pa.Table, elements: Mapping[str, Element], file: str) -> pa.Table:
    """The inverse of `with_frames_once`.

    Raises:
        DamagedRunError: a column of frames belongs to no images, a column is not of the exact type, or a frame is not there.
    """
    for own in [name for name in table.column_names if name.startswith(FRAMES)]:
        name = own.removeprefix(FRAMES)
        layout = _layout(elements[name]) if name in elements else None
        if layout is None or min(table.schema.get_field_index(each) for each in (name, own)) < 0:
            raise DamagedRunError(f"{file} is damaged: column {own} belongs to no images")
        for each, kind in ((name, layout.numbers), (own, layout.frames)):
            if not table.schema.field(each).equals(_field(each, kind)):
                found = table.schema.field(each).type
                raise DamagedRunError(f"{file} is damaged: column {each} is {found}; it must be {kind}")
        frames = flat_values(table[own], np.dtype(np.uint8)).reshape(-1, layout.frame.byte_width)
        numbers = flat_values(table[name], np.dtype(np.int32)).reshape(-1, layout.channels)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(frames):
            raise DamagedRunError(f"{file} is damaged: column {name} is not within 0 to {len(frames) - 1}")
        table = _replaced(table, name, from_values(layout.together(frames, numbers), layout.whole)).drop_columns([own])
    return table


@dataclass(frozen=True)
class _Layout:
    """Where the bytes of an image's frames are."""

    shape: tuple[int, ...]
    """Of an image, and last the bytes of a number in it."""
    axis: int
    """Of its channels, each a frame."""

    @property
    def channels(self) -> int:
        return self.shape[self.axis]

    @property
    def whole(self) -> pa.DataType:
        """Of an image."""
        return pa.binary(math.prod(self.shape))

    @property
    def frame(self) -> pa.DataType:
        """Of a frame."""
        return pa.binary(math.prod(self.shape) // self.channels)

    @property
    def frames(self) -> pa.DataType:
        """Of the frames that a record is the first to show."""
        return pa.list_(_field("element", self.frame))

    @property
    def numbers(self) -> pa.DataType:
        """Of the numbers of a record's frames."""
        return pa.list_(_field("element", pa.int32()), self.channels)

    def apart(self, images: Bytes) -> Bytes:
        """The frames of images that stand one after another, (n, channels, bytes of a frame)."""
        frames = np.moveaxis(images.reshape(-1, *self.shape), 1 + self.axis, 1)
        return frames.reshape(*frames.shape[:2], self.frame.byte_width)

    def together(self, frames: Bytes, numbers: NDArray[np.int32]) -> Bytes:
        """The images that show these frames, (n, *shape).

        Args:
            frames: (m, bytes of a frame).
            numbers: (n, channels), each within 0 to m - 1.
        """
        images = np.empty((len(numbers), *self.shape), np.uint8)
        for channel, shown in zip(np.moveaxis(images, 1 + self.axis, 0), numbers.T, strict=True):
            channel[...] = frames[shown].reshape(channel.shape)
        return images


def _layout(element: Element) -> _Layout | None:
    """Channels are the first or the last of three axes, whichever is shorter; None of what is no image."""
    dtype, shape = element
    if len(shape) != 3 or min(shape[0], shape[-1]) > MOST_CHANNELS:
        return None
    return _Layout((*shape, np.dtype(dtype).itemsize), 0 if shape[0] < shape[-1] else 2)


def _numbered(frames: Bytes, room: int) -> tuple[NDArray[np.int32], NDArray[np.int32], Bytes] | None:
    """The numbers of frames, how many there are up to each record, and each of them once.

    Args:
        frames: (n, channels, bytes of a frame).
        room: bytes up to which it does not matter how often they come again.

    Returns:
        (n, channels), (n,) and (m, bytes of a frame); None where numbers and frames are more than half of what is there, or
        where the frames come again so often that no reader would believe it.
    """
    n, channels, size = frames.shape
    numbers = np.empty(n * channels, np.int32)
    most = (frames.size // 2 - numbers.nbytes) // size
    known: dict[bytes, int] = {}
    for i, frame in enumerate(frames.reshape(-1, size)):
        numbers[i] = known.setdefault(frame.tobytes(), len(known))
        if len(known) > most:
            return None
    if not known or (frames.size > room and len(numbers) > MOST_OFTEN * len(known)):
        return None
    numbers = numbers.reshape(n, channels)
    ends = np.maximum.accumulate(numbers.max(axis=1)) + 1
    return numbers, ends, np.frombuffer(b"".join(known), np.uint8).reshape(-1, size)


def _field(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _replaced(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    """The table with another column in the place of that one."""
    return table.set_column(table.schema.get_field_index(name), _field(name, column.type), column)

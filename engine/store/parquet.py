"""Arrow tables to Parquet bytes and back, with the measured settings of the run format."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from engine.errors import DamagedRunError, TooLargeError
from engine.store.sizes import check_images, check_size


def to_parquet(table: pa.Table) -> bytes:
    """The bytes of a Parquet file: zstd-1, page checksums, no dictionaries, split streams for numbers.

    Splitting 32-bit integers into streams of bytes halves a permutation, as it does for floats.
    """
    split: Any = [
        f"{field.name}.list.element" if pa.types.is_fixed_size_list(field.type) else field.name
        for field in table.schema
        if _is_number(field.type)
    ]
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        row_group_size=max(1, table.num_rows),
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        use_byte_stream_split=split,
        write_statistics=[field.name for field in table.schema if pa.types.is_integer(field.type)],
        write_page_checksum=True,
    )
    return sink.getvalue()


def from_parquet(data: bytes, file: str, rows: int | None = None) -> pa.Table:
    """Decode a Parquet file in memory and check each page's checksum.

    Args:
        data: its bytes.
        file: its name, for messages.
        rows: as many as it must have; None: any number.

    Raises:
        TooLargeError: it would decode to more than `sizes.check_size` and `sizes.check_images` allow.
        DamagedRunError: these are not the bytes of a sound Parquet file, or it has another number of rows; names `file`.
    """
    check_size(data, file)
    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as parquet:
            if rows is not None and parquet.metadata.num_rows != rows:
                raise DamagedRunError(f"{file} is damaged: it has {parquet.metadata.num_rows} rows, not {rows}")
            check_images(parquet.schema_arrow, parquet.metadata.num_rows, len(data), file)
            table = parquet.read(use_threads=False)
            table.validate()
    except MemoryError as error:
        raise TooLargeError(f"{file} is too large: there is not enough memory for what it decodes to") from error
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise DamagedRunError(f"{file} is damaged: it is not a sound Parquet file") from error
    return table


def columns_schema(types: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> pa.Schema:
    """Columns without nulls, in the order of `types` (name -> Arrow type)."""
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])
    return schema.with_metadata(dict(metadata)) if metadata else schema


def check_schema(table: pa.Table, schema: pa.Schema, file: str) -> None:
    """Refuse anything but the exact columns.

    Raises:
        DamagedRunError: a column is missing, unknown or of another type; names it.
    """
    if table.schema.names != schema.names:
        raise DamagedRunError(f"{file} is damaged: its columns are not {', '.join(schema.names)}")
    for found, expected in zip(table.schema, schema, strict=True):
        if not found.equals(expected):
            raise DamagedRunError(f"{file} is damaged: column {found.name} is {found.type}; it must be {expected.type}")
    if schema.metadata and table.schema.metadata != schema.metadata:
        raise DamagedRunError(f"{file} is damaged: it was written for other spaces than run.json names")


def from_values(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """An array of shape (n, ...) as a column of n values, without a copy unless it has to be."""
    if pa.types.is_boolean(kind):
        return pa.array(values)
    flat: Any = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    buffers = [None, pa.py_buffer(flat)]
    if pa.types.is_fixed_size_list(kind):
        numbers = pa.Array.from_buffers(kind.value_type, flat.size, buffers)
        return pa.FixedSizeListArray.from_buffers(kind, len(flat), [None], children=[numbers])
    return pa.Array.from_buffers(kind, len(flat), buffers)


def flat_values(column: pa.ChunkedArray, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The numbers of a column without nulls, one after another: the inverse of `from_values`, flattened.

    The array shares the memory of the column.
    """
    array: Any = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if pa.types.is_fixed_size_list(array.type) or pa.types.is_list(array.type):
        array = array.flatten()
    if pa.types.is_boolean(array.type):
        return array.to_numpy(zero_copy_only=False)
    width = array.type.bit_width // 8
    if not len(array) * width:
        return np.empty(0, dtype)
    values = np.frombuffer(
        array.buffers()[1],
        dtype.newbyteorder("<"),
        count=len(array) * width // dtype.itemsize,
        offset=array.offset * width,
    )
    return values.astype(dtype, copy=False)


def _is_number(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_fixed_size_list(kind) else kind
    return pa.types.is_floating(value) or pa.types.is_int32(value)

"""Stacks of images whose frames are kept once: the same bits again, smaller, and no more memory than they may take."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.faults.made_up_rounds import FLOATS, METRICS, assert_same_array, make_manifest, make_snapshot, stacks
from engine.errors import DamagedRunError, TooLargeError
from engine.spaces import Space
from engine.store import RunWriter, open_run, verify_run
from engine.store import frames as frames_module
from engine.store.columns import Element, records_table
from engine.store.frames import with_frames_once, with_whole_images
from engine.store.parquet import columns_schema, from_parquet, from_values, to_parquet

LAST = stacks(16, 2, np.random.default_rng(0))
FIRST = np.ascontiguousarray(np.moveaxis(LAST, 3, 1))
DISTINCT = 32 + 1
"""Frames in them: a new one a record, and the black one."""


def table_of(images: np.ndarray) -> tuple[pa.Table, dict[str, Element]]:
    """Records that have images alone."""
    elements: dict[str, Element] = {"x": (images.dtype.name, images.shape[1:])}
    types = {"record": pa.int32(), "x": pa.binary(math.prod(images.shape[1:]) * images.itemsize)}
    return records_table({"x": images}, elements, columns_schema(types, {"x": "a space"})), elements


@pytest.mark.parametrize(
    "images", [LAST, FIRST, LAST.astype(np.float32) / -255, LAST[..., -1:].repeat(3, -1)], ids=lambda a: str(a.shape)
)
def test_stacks_come_back_bit_for_bit_from_each_frame_once(images: np.ndarray) -> None:
    table, elements = table_of(images)
    found = from_parquet(to_parquet(with_frames_once(table, elements)), "f")
    kept = found["frames/x"].combine_chunks()
    assert len(kept.flatten()) == len(set(kept.flatten().to_pylist())) <= DISTINCT
    assert found.nbytes < 0.5 * table.nbytes
    again = with_whole_images(found, elements, "f")
    assert again.schema.equals(table.schema, check_metadata=True)
    assert again.equals(table)


def test_a_record_has_the_frames_that_no_earlier_one_shows() -> None:
    table, elements = table_of(LAST)
    found = with_frames_once(table, elements)
    frames = [frame for new in found["frames/x"].to_pylist() for frame in new]
    assert [len(new) for new in found["frames/x"].to_pylist()[:4]] == [2, 1, 1, 1]
    for record in (0, 5, 31):
        shown = [frames[number] for number in found["x"][record].as_py()]
        assert shown == [LAST[record, ..., channel].tobytes() for channel in range(4)]


@pytest.mark.parametrize(
    "images",
    [
        np.random.default_rng(0).integers(0, 256, (32, 12, 12, 4), np.uint8),
        LAST[..., 2:],
        LAST.reshape(32, 12, 48),
        LAST[:, :2, :1],
        LAST[:0],
    ],
    ids=["nothing comes again", "pairs", "no image", "smaller than their numbers", "no records"],
)
def test_what_would_not_be_halved_stays(images: np.ndarray) -> None:
    table, elements = table_of(images)
    assert with_frames_once(table, elements) is table


SPACE = Space(
    "dict",
    parts={
        "first": Space("box", shape=FIRST.shape[1:], dtype="uint8"),
        "last": Space("box", shape=LAST.shape[1:], dtype="uint8"),
        "v": FLOATS,
    },
)


def stacked(path: Path, version: int = 4) -> tuple[Path, dict[str, np.ndarray]]:
    """A run of one round, whose observations have two parts that are stacks, and the file of its records."""
    snapshot = make_snapshot(0)
    parts = {"first": FIRST, "last": LAST, "v": snapshot.buffer.observation}
    manifest = replace(make_manifest(SPACE), schema_version=version)
    with RunWriter.create(path, manifest) as writer:
        writer.commit_round(replace(snapshot, buffer=replace(snapshot.buffer, observation=parts)), METRICS)
    [file] = (path / "data").glob("*-records-*")
    return file, parts


def test_parts_of_observations_are_kept_by_frame_from_version_4_on(tmp_path: Path) -> None:
    for version, twice in ((4, 2), (2, 0)):
        path = tmp_path / str(version)
        file, parts = stacked(path, version)
        assert sum(name.startswith("frames/") for name in pq.read_schema(file).names) == twice
        found = open_run(path).snapshot(0).buffer.observation
        for name, values in parts.items():
            assert_same_array(found[name], values, name)
            assert found[name].flags.c_contiguous
        assert verify_run(path) == []


def test_a_flipped_bit_in_a_frame_is_named(tmp_path: Path) -> None:
    file, _ = stacked(tmp_path / "run")
    data = bytearray(file.read_bytes())
    where = data.find(LAST[20, ..., -1].tobytes()[:64])
    assert where > 0, "noise is stored as it is"
    data[where + 5] ^= 4
    file.write_bytes(data)
    assert [found.file for found in verify_run(tmp_path / "run")] == [f"data/{file.name}"]
    with pytest.raises(DamagedRunError, match="not a sound Parquet file"):
        from_parquet(bytes(data), "f")


def other_numbers(number: int) -> pa.Array:
    numbers = np.zeros((32, 4), np.int32)
    numbers[7, 2] = number
    return from_values(numbers, pa.list_(pa.field("element", pa.int32(), nullable=False), 4))


@pytest.mark.parametrize("number", [-1, DISTINCT, 2**31 - 1])
def test_numbers_of_frames_that_are_not_there_are_refused(number: int) -> None:
    table, elements = table_of(LAST)
    kept = with_frames_once(table, elements)
    forged = kept.set_column(1, kept.schema.field("x"), other_numbers(number))
    with pytest.raises(DamagedRunError, match=rf"^f is damaged: column x is not within 0 to {DISTINCT - 1}$"):
        with_whole_images(forged, elements, "f")


def test_columns_that_do_not_belong_together_are_refused() -> None:
    table, elements = table_of(LAST)
    kept = with_frames_once(table, elements)
    frames = kept.schema.field("frames/x")
    for forged, problem in (
        (kept.rename_columns(["record", "x", "frames/y"]), "column frames/y belongs to no images"),
        (kept.drop_columns(["x"]), "column frames/x belongs to no images"),
        (kept.append_column(frames, kept["frames/x"]), "column frames/x belongs to no images"),
        (kept.set_column(1, "x", table["x"]), "column x is fixed_size_binary"),
        (kept.set_column(2, "frames/x", pa.array([[b"1234"]] * 32)), "column frames/x is list<element: binary>"),
    ):
        with pytest.raises(DamagedRunError, match=f"^f is damaged: {problem}"):
            with_whole_images(from_parquet(to_parquet(forged), "f"), elements, "f")


def test_one_frame_that_is_said_to_be_everywhere_takes_no_memory() -> None:
    """Half a gigabyte of images in a few kilobytes."""
    n, side = 2**14, 90
    numbers = pa.list_(pa.field("element", pa.int32(), nullable=False), 4)
    frames = pa.list_(pa.field("element", pa.binary(side * side), nullable=False))
    starts = pa.array(np.r_[0, np.ones(n)], pa.int32())
    kept = pa.ListArray.from_arrays(
        starts, from_values(np.zeros((1, side * side), np.uint8), frames.value_type), type=frames
    )
    schema = columns_schema({"x": numbers, "frames/x": frames})
    data = to_parquet(pa.Table.from_arrays([from_values(np.zeros((n, 4), np.int32), numbers), kept], schema=schema))
    assert len(data) < 10_000
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    with pytest.raises(TooLargeError, match=r"^f is too large: its \d+ bytes have images of more than \d+ MiB$"):
        from_parquet(data, "f")
    assert tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - before < 2**20
    tracemalloc.stop()


def test_frames_that_no_reader_would_believe_are_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    table, elements = table_of(LAST[:1].repeat(64, 0))
    assert with_frames_once(table, elements) is not table
    monkeypatch.setattr(frames_module, "ROOM", 1000)
    assert with_frames_once(table, elements) is table

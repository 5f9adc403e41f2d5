"""What a round looks like on disk, and that it comes back bit for bit."""

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.faults.made_up_rounds import (
    CHOICE,
    FLOATS,
    IMAGE,
    METRICS,
    TORQUE,
    assert_same_array,
    assert_same_checkpoint,
    assert_same_snapshot,
    make_checkpoint,
    make_manifest,
    make_snapshot,
    write_run,
)
from engine.errors import BadInputError, DamagedRunError
from engine.kinds.control.tables import buffer_from, records_table
from engine.spaces import Space
from engine.store import RunWriter, open_run, verify_run
from engine.store import tables as tables_module
from engine.store.parquet import from_parquet, to_parquet
from engine.store.tables import checkpoint_from, checkpoint_table, minibatches_from, minibatches_table

LONG = Space("box", shape=(65,), dtype="float32")
DOUBLE = Space("box", shape=(2, 2), dtype="float64")
SCALAR = Space("box", shape=(), dtype="float32")
BYTES = Space("box", shape=(3,), dtype="uint8")
SPACES = [
    (FLOATS, CHOICE, pa.list_(pa.field("element", pa.float32(), nullable=False), 3)),
    (CHOICE, CHOICE, pa.int64()),
    (IMAGE, CHOICE, pa.binary(75)),
    (BYTES, CHOICE, pa.binary(3)),
    (LONG, CHOICE, pa.binary(260)),
    (DOUBLE, TORQUE, pa.list_(pa.field("element", pa.float64(), nullable=False), 4)),
    (SCALAR, TORQUE, pa.list_(pa.field("element", pa.float32(), nullable=False), 1)),
]


@pytest.mark.parametrize(("observation", "action", "kind"), SPACES)
def test_a_round_comes_back_bit_for_bit(tmp_path, observation, action, kind):
    snapshot = make_snapshot(4, observation, action)
    with RunWriter.create(tmp_path / "run", make_manifest(observation, action)) as writer:
        commit = writer.commit_round(snapshot, METRICS)
    run = open_run(tmp_path / "run")
    found = run.snapshot(4)
    assert_same_snapshot(found, snapshot)
    assert found.hash == commit
    assert found.path == tmp_path / "run"
    assert found.config == snapshot.config
    assert found.fingerprint == {"numpy": "2.0"}
    assert found.metrics == {"loss": 0.5, "worst": None, "episodes": 3, "returns": [1.0, None]}
    assert run.manifest == make_manifest(observation, action)
    assert verify_run(tmp_path / "run") == []
    assert records_table(snapshot.buffer, observation, action).schema.field("observation").type == kind


def test_nan_payloads_and_negative_zero_keep_their_bits():
    bits = np.array([0x7FC00001, 0xFFC12345, 0x80000000, 0x7F800000, 0x00000001, 0x7F800001], np.uint32)
    snapshot = make_snapshot(0, n=6)
    buffer = replace(snapshot.buffer, advantage=bits.view(np.float32))
    table = from_parquet(to_parquet(records_table(buffer, FLOATS, CHOICE)), "x")
    assert_same_array(buffer_from(table, FLOATS, CHOICE, "x").advantage, bits.view(np.float32))


def test_the_columns_are_those_of_the_format_and_no_others(tmp_path):
    path = write_run(tmp_path / "run", rounds=1)
    columns = {
        "records": {
            "record": "int32",
            "env": "int16",
            "t": "int32",
            "episode": "int64",
            "observation": "fixed_size_list<element: float not null>[3]",
            "action": "int64",
            "reward": "float",
            "terminated": "bool",
            "truncated": "bool",
            "value": "float",
            "log_prob": "float",
            "advantage": "float",
            "return": "float",
            "kept": "bool",
        },
        "checkpoint": {
            "name": "string",
            "part": "int32",
            "dtype": "string",
            "shape": "list<element: int64 not null>",
            "data": "binary",
        },
        "minibatches": {"epoch": "int32", "position": "int32", "record": "int32"},
    }
    for kind, expected in columns.items():
        [file] = (path / "data").glob(f"000000-{kind}-*.parquet")
        schema = pq.read_schema(file)
        assert {field.name: str(field.type) for field in schema} == expected
        assert not any(field.nullable for field in schema)


def test_the_measured_encoding_rules_hold(tmp_path):
    path = write_run(tmp_path / "run", rounds=1)
    for file in (path / "data").iterdir():
        group = pq.read_metadata(file).row_group(0)
        for column in (group.column(index) for index in range(group.num_columns)):
            assert column.compression == "ZSTD"
            assert not column.has_dictionary_page
            if column.physical_type in ("FLOAT", "DOUBLE"):
                assert "BYTE_STREAM_SPLIT" in column.encodings
            if column.physical_type in ("FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"):
                assert not column.is_stats_set
        data = bytearray(file.read_bytes())
        data[group.column(0).data_page_offset + group.column(0).total_compressed_size - 1] ^= 1
        with pytest.raises(OSError, match=r"(?i)crc|checksum"):
            pq.read_table(io.BytesIO(data), page_checksum_verification=True)


def test_other_tools_read_numbers_not_blobs(tmp_path):
    path = write_run(tmp_path / "run", rounds=1)
    [file] = (path / "data").glob("000000-records-*.parquet")
    table = pq.read_table(file)
    assert table["record"].to_pylist() == list(range(32))
    expected = make_snapshot(0).buffer.observation
    found = np.array(table["observation"].to_pylist(), np.float32)
    np.testing.assert_array_equal(found, expected)


def test_tensors_are_split_into_parts_and_joined(monkeypatch):
    monkeypatch.setattr(tables_module, "PART_BYTES", 16)
    tensors = make_checkpoint(1) | {"parameter/wide": np.arange(21, dtype=np.int16).reshape(3, 7)}
    table = checkpoint_table(tensors)
    assert table["name"].to_pylist().count("parameter/wide") == 3
    assert max(len(data) for data in table["data"].to_pylist()) == 16
    assert_same_checkpoint(checkpoint_from(from_parquet(to_parquet(table), "x"), "x"), tensors)
    with pytest.raises(DamagedRunError, match="tensor parameter/wide does not have the 42 bytes"):
        checkpoint_from(table.slice(0, len(table) - 1), "x")
    with pytest.raises(DamagedRunError, match="does not fit"):
        checkpoint_from(table.slice(1), "x")


def test_a_tensor_keeps_its_values_whatever_its_layout():
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    tensors = {"transposed": base.T, "strided": base[:, ::2], "big_endian": base.astype(">f4")}
    found = checkpoint_from(checkpoint_table(tensors), "x")
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor)
        assert found[name].flags.writeable
    assert found["big_endian"].dtype == np.float32


@pytest.mark.parametrize("tensor", [np.array(["a"]), np.array([object()]), np.array(["2020"], "M8[D]")])
def test_only_numbers_are_tensors(tensor):
    with pytest.raises(BadInputError, match="tensor odd holds"):
        checkpoint_table({"odd": tensor})


def test_values_that_do_not_fit_the_run_are_refused_by_name():
    buffer = make_snapshot(0).buffer
    for name, values in (
        ("observation", buffer.observation.astype(np.float64)),
        ("observation", buffer.observation[:, :2]),
        ("action", buffer.action.astype(np.int32)),
        ("reward", buffer.reward.astype(np.float64)),
        ("kept", buffer.kept[:-1]),
    ):
        with pytest.raises(BadInputError, match=f"^{name} is .* need"):
            records_table(replace(buffer, **{name: values}), FLOATS, CHOICE)


def test_minibatches_are_permutations():
    good = make_snapshot(0).minibatches
    table = minibatches_table(good, 32)
    assert_same_array(minibatches_from(table, 32, "x"), good)
    assert minibatches_from(minibatches_table(good[:0], 32), 32, "x").shape == (0, 32)
    twice = good.copy()
    twice[1, 3] = twice[1, 4]
    for bad in (twice, good[:, :-1], good + 1, good - 1, good[0], good.astype(float)):
        with pytest.raises(BadInputError, match="every record from 0 to 31 once"):
            minibatches_table(bad, 32)
    with pytest.raises(DamagedRunError, match="not whole epochs of 31 records"):
        minibatches_from(table, 31, "x")
    record = pa.array(twice.ravel(), pa.int32())
    with pytest.raises(DamagedRunError, match="x is damaged: column record is not a permutation"):
        minibatches_from(table.set_column(2, table.schema.field(2), record), 32, "x")
    with pytest.raises(DamagedRunError, match="column epoch"):
        minibatches_from(table.set_column(0, table.schema.field(0), table["position"]), 32, "x")


def test_a_wrong_column_is_named():
    table = records_table(make_snapshot(0).buffer, FLOATS, CHOICE)
    position = table.schema.names.index("value")
    wide = table.set_column(position, pa.field("value", pa.float64()), table["value"].cast(pa.float64()))
    with pytest.raises(DamagedRunError, match="f is damaged: column value is double; it must be float"):
        buffer_from(wide, FLOATS, CHOICE, "f")
    with pytest.raises(DamagedRunError, match="its columns are not record, env"):
        buffer_from(table.drop_columns(["kept"]), FLOATS, CHOICE, "f")
    with pytest.raises(DamagedRunError, match=r"other spaces than run.json names"):
        buffer_from(table, FLOATS, replace(CHOICE, n=5), "f")
    with pytest.raises(DamagedRunError, match="column record is not 0 to 30"):
        buffer_from(table.slice(1), FLOATS, CHOICE, "f")


def test_a_column_in_pieces_is_one_array():
    buffer = make_snapshot(0).buffer
    table = records_table(buffer, FLOATS, CHOICE)
    pieces = pa.concat_tables([table.slice(0, 5), table.slice(5, 1), table.slice(6)])
    found = buffer_from(pieces, FLOATS, CHOICE, "f")
    for name, column in vars(buffer).items():
        assert_same_array(getattr(found, name), column, name)

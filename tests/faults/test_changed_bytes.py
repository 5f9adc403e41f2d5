"""Every flipped bit, missing byte and missing file is detected, and the right file is named."""

import os
import random
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.faults.made_up_rounds import CHOICE, FLOATS, make_manifest, make_snapshot, write_run
from engine.errors import BadInputError, DamagedRunError, EngineError
from engine.kinds.control.tables import buffer_from, records_table
from engine.store import Files, RunWriter, load_table, open_run, save_table, verify_run
from engine.store.chain import Commit
from engine.store.parquet import from_parquet, to_parquet

FLIPS_PER_FILE = 10
CUTS_PER_FILE = 200


def files_of(path: Path) -> list[Path]:
    return [path / "run.json", *sorted((path / "commits").iterdir()), *sorted((path / "data").iterdir())]


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def read_everything(path: Path) -> None:
    run = open_run(path)
    for k in run.stored_rounds:
        run.snapshot(k)
    for k in run.checkpoint_rounds:
        run.checkpoint(k)


def test_a_flipped_bit_is_detected_and_its_file_named(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    rng = random.Random(11)
    for file in files_of(path):
        name = str(file.relative_to(path))
        data = file.read_bytes()
        for _ in range(FLIPS_PER_FILE):
            bit = rng.randrange(len(data) * 8)
            file.write_bytes(flip(data, bit))
            damage = verify_run(path)
            assert [found.file for found in damage] == [name], (name, bit)
            assert name in damage[0].problem
            assert "\n" not in damage[0].problem
            with pytest.raises((DamagedRunError, BadInputError)) as caught:
                read_everything(path)
            assert name in str(caught.value) or "schema version" in str(caught.value), (name, bit)
        file.write_bytes(data)
    assert verify_run(path) == []
    read_everything(path)


def test_a_file_cut_off_anywhere_is_detected(tmp_path: Path) -> None:
    path, rng = write_run(tmp_path / "run", rounds=1), random.Random(12)
    run = open_run(path)
    for file in files_of(path):
        data = file.read_bytes()
        sizes = {0, len(data) - 1, *rng.sample(range(len(data)), min(len(data), CUTS_PER_FILE))}
        for size in sorted(sizes, reverse=True):
            os.truncate(file, size)
            if file.parent.name != "data":
                read = partial(open_run, path)
            else:
                read = partial(run.checkpoint, 1) if file.name[:6] == "000001" else partial(run.snapshot, 0)
            with pytest.raises(DamagedRunError, match=file.name):
                read()
        file.write_bytes(data)
    assert verify_run(path) == []


def test_a_file_with_more_bytes_is_detected(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", rounds=1)
    for file in files_of(path):
        data = file.read_bytes()
        file.write_bytes(data + b" ")
        with pytest.raises(DamagedRunError, match=file.name):
            read_everything(path)
        assert [found.file for found in verify_run(path)] == [str(file.relative_to(path))]
        file.write_bytes(data)


def test_a_missing_file_is_detected(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", rounds=3, final=False)
    for file in files_of(path)[1:]:
        if file.name == "000002.json":
            continue  # without its last commit a run is the run as it was one round earlier
        data = file.read_bytes()
        file.unlink()
        name = str(file.relative_to(path))
        found = [damage.file for damage in verify_run(path)]
        assert found == ["run.json"] if file.name == "000000.json" else [name]
        with pytest.raises(DamagedRunError):
            read_everything(path)
        file.write_bytes(data)
    (path / "commits").rename(path / "elsewhere")
    with pytest.raises(DamagedRunError, match="folder commits is missing"):
        open_run(path)
    assert [damage.file for damage in verify_run(path)] == ["commits"]


def test_all_damage_is_collected(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    damaged = [file for file in files_of(path) if file.name[:6] == "000001" or "-minibatches-" in file.name]
    for file in damaged:
        file.write_bytes(flip(file.read_bytes(), 100))
    found = {damage.file for damage in verify_run(path)}
    readable = {file for file in damaged if not (file.parent.name == "data" and file.name[:6] == "000001")}
    assert found == {str(file.relative_to(path)) for file in readable}


def test_a_sound_commit_of_another_run_does_not_fit(tmp_path: Path) -> None:
    path, other = write_run(tmp_path / "run"), tmp_path / "other"
    with RunWriter.create(other, make_manifest()) as writer:
        for k in range(3):
            writer.commit_round(make_snapshot(k), {"loss": 0.0})
    (path / "commits" / "000001.json").write_bytes((other / "commits" / "000001.json").read_bytes())
    with pytest.raises(DamagedRunError, match=r"000001\.json does not follow commits/000000\.json"):
        open_run(path)
    assert verify_run(path)


def test_what_a_killed_writer_left_is_not_damage(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    (path / "data" / "000003-records-00000000000000000000000000000000.parquet").write_bytes(b"half")
    (path / "commits" / ".000003.json.0123.tmp").write_bytes(b"{")
    assert verify_run(path) == []
    assert len(open_run(path).rounds) == 3


def test_a_flipped_bit_in_a_page_is_detected_without_the_commit_too() -> None:
    buffer = make_snapshot(0).buffer
    data = to_parquet(records_table(buffer, FLOATS, CHOICE))
    rng = random.Random(12)
    footer = int.from_bytes(data[-8:-4], "little") + 8
    detected = 0
    for _ in range(200):
        bit = rng.randrange(32, (len(data) - footer) * 8)
        try:
            found = buffer_from(from_parquet(flip(data, bit), "x"), FLOATS, CHOICE, "x")
        except DamagedRunError:
            detected += 1
            continue
        for name, column in vars(buffer).items():
            assert getattr(found, name).tobytes() == column.tobytes()
    assert detected > 150


def test_a_changed_cache_is_no_cache(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", rounds=1)
    table = records_table(make_snapshot(0).buffer, FLOATS, CHOICE)
    assert save_table(path, "0a", table, {"estimator": "tracin"})
    [file] = (path / "derived").iterdir()
    data = file.read_bytes()
    assert load_table(path, "0a").schema.metadata == {b"estimator": b"tracin"}
    rng = random.Random(13)
    for _ in range(50):
        file.write_bytes(flip(data, rng.randrange(len(data) * 8)))
        assert load_table(path, "0a") is None
    for size in range(0, len(data), 97):
        file.write_bytes(data[:size])
        assert load_table(path, "0a") is None
    assert verify_run(path) == []


def test_names_outside_data_are_not_followed(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", rounds=1, final=False)
    file = path / "commits" / "000000.json"
    commit = Commit.from_bytes(file.read_bytes(), file.name)
    for name in ("../run.json", "/etc/passwd", "000000-records-x.parquet"):
        evil = replace(commit.files[0], name=name)
        file.write_bytes(replace(commit, files=(evil, *commit.files[1:])).to_bytes())
        with pytest.raises(EngineError, match="is not a file of its data"):
            open_run(path)


def forge(path: Path, kind: str, table: pa.Table, rows: int | None = None) -> None:
    """Replace a file of the only round by another one, with a commit that vouches for it."""
    file = path / "commits" / "000000.json"
    commit = Commit.from_bytes(file.read_bytes(), file.name)
    data = to_parquet(table)
    files = tuple(
        replace(
            entry,
            bytes=len(data),
            sha256=sha256(data).hexdigest(),
            rows=table.num_rows if rows is None else rows,
        )
        if entry.kind == kind
        else entry
        for entry in commit.files
    )
    (path / "data" / commit.file(kind).name).write_bytes(data)
    file.write_bytes(replace(commit, files=files).to_bytes())


@pytest.mark.parametrize("kind", ["records", "checkpoint", "minibatches"])
def test_content_that_is_not_a_round_is_damage_even_with_right_hashes(tmp_path: Path, kind: str) -> None:
    path = write_run(tmp_path / "run", rounds=1, final=False)
    [file] = (path / "data").glob(f"*-{kind}-*")
    table = from_parquet(file.read_bytes(), "x")
    first = table.schema.names[0]
    for wrong, rows in ((table, 7), (table.rename_columns(["odd", *table.schema.names[1:]]), None)):
        forge(path, kind, wrong, rows)
        assert [found.file for found in verify_run(path)] == [f"data/{file.name}"]
        with pytest.raises(DamagedRunError, match=f"{file.name} is damaged: it.* ({first}|7)"):
            open_run(path).snapshot(0)
    forge(path, kind, table)
    assert verify_run(path) == []


def test_a_commit_under_another_number_or_after_a_gap_is_detected(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", rounds=4, final=False)
    commits = path / "commits"
    data = (commits / "000002.json").read_bytes()
    (commits / "000002.json").unlink()
    with pytest.raises(DamagedRunError, match=r"^commits/000002\.json is missing$"):
        open_run(path)
    (commits / "000002.json").write_bytes((commits / "000001.json").read_bytes())
    with pytest.raises(DamagedRunError, match=r"000002\.json is damaged: it is the commit of round 1"):
        open_run(path)
    (commits / "000002.json").write_bytes(data)
    assert verify_run(path) == []


def test_a_listing_that_misses_a_commit_beside_a_writer_is_not_damage(tmp_path: Path) -> None:
    class Racing(Files):
        """The first listing shows the newest commit and not yet the one before."""

        listings = 0

        def call(self, operation, *args, **kwargs):
            result = operation(*args, **kwargs)
            if operation is os.listdir:
                self.listings += 1
                return [name for name in result if self.listings > 1 or name != "000001.json"]
            return result

    path = write_run(tmp_path / "run", rounds=3, final=False)
    assert len(open_run(path, Racing()).rounds) == 3

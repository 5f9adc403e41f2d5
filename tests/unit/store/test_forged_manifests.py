"""Runs with right hashes and wrong content: one line, whatever a commit or run.json says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.faults.made_up_rounds import CONFIG, FLOATS, TORQUE, make_manifest, make_snapshot, write_run
from engine.errors import BadInputError, DamagedRunError
from engine.store import RunWriter, open_run
from engine.store.chain import NUMBERS, Commit
from engine.store.tables import checkpoint_from, checkpoint_table

HUGE = 10**400
DEEP = json.loads("[" * 900 + "]" * 900)


def recommitted(run: Path, **changed: Any) -> Path:
    """The run with other values in its first commit, its own hash right."""
    from hashlib import sha256

    path = run / "commits" / "000000.json"
    values = json.loads(path.read_bytes())
    values.pop("sha256")
    values |= changed

    def canonical(content: dict[str, Any]) -> bytes:
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    path.write_bytes(canonical({**values, "sha256": sha256(canonical(values)).hexdigest()}) + b"\n")
    return run


@pytest.mark.parametrize("value", ["zzz", [1, 2], {"a": 1}, True, HUGE, -HUGE, DEEP, "\ud83d"])
def test_a_metric_that_is_no_number_ends_in_one_line(tmp_path: Path, value: Any) -> None:
    run = recommitted(write_run(tmp_path / "run"), metrics={"mean_return": value})
    with pytest.raises(DamagedRunError, match=r"^commits/000000\.json is damaged: [^\n]*$"):
        open_run(run)


@pytest.mark.parametrize("name", sorted(NUMBERS | {"reward/model"}))
def test_the_writer_refuses_what_no_reader_takes(tmp_path: Path, name: str) -> None:
    with RunWriter.create(tmp_path / "run", make_manifest()) as writer:
        with pytest.raises(BadInputError, match=f"the metric {name} is"):
            writer.commit_round(make_snapshot(0), {name: "many"})
        writer.commit_round(make_snapshot(0), {name: 1, "filter": "iif 0.5", "own": {"anything": [1, "else"]}})
    assert open_run(tmp_path / "run").rounds[0].metrics["own"] == {"anything": [1, "else"]}


@pytest.mark.parametrize(
    "changed",
    [
        {"metrics": [1]},
        {"metrics": None},
        {"round": 0.0},
        {"round": False},
        {"final": "no"},
        {"fingerprint": [1]},
        {"files": "none"},
        {"previous": 5},
        {"colour": "red"},
    ],
)
def test_a_commit_of_other_types_ends_in_one_line(tmp_path: Path, changed: dict[str, Any]) -> None:
    run = recommitted(write_run(tmp_path / "run"), **changed)
    with pytest.raises(DamagedRunError, match=r"^commits/000000\.json is damaged: [^\n]*$"):
        open_run(run)


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": True},
        {"schema_version": 0},
        {"env_id": "CartPole-v1"},
        {"config": {**CONFIG.to_json(), "learning_rate": HUGE}},
        {"parent": {"run": 5, "round": "x", "removed": "abc", "mode": None, "commit": []}},
        {"created": HUGE},
        {"colour": "red"},
        {"fingerprint": {"numpy": 2}},
        {"observation_space": {**FLOATS.to_json(), "dtype": "f8,("}},
        {"observation_space": {**FLOATS.to_json(), "shape": [2] * 10**5}},
        {"observation_space": {**FLOATS.to_json(), "shape": [0]}},
    ],
)
def test_a_manifest_of_other_types_ends_in_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    run = write_run(tmp_path / "run")
    values = json.loads((run / "run.json").read_bytes())
    (run / "run.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(DamagedRunError, match=r"^run\.json [^\n]*$"):
        open_run(run)


@pytest.mark.parametrize(
    "text", [b"[" * 200_000 + b"]" * 200_000, b'{"schema_version": ' + b"9" * 10_000 + b"}", b"\0" * 9]
)
def test_a_manifest_that_no_parser_likes_ends_in_one_line(tmp_path: Path, text: bytes) -> None:
    run = write_run(tmp_path / "run")
    (run / "run.json").write_bytes(text)
    with pytest.raises(DamagedRunError, match=r"^run\.json [^\n]*$"):
        open_run(run)


def test_a_commit_reads_back_as_it_was_written() -> None:
    commit = Commit(3, False, (), {"mean_return": 0.5, "filter": "iif", "list": [1, None]}, "0" * 64, {"numpy": "2"})
    assert Commit.from_bytes(commit.to_bytes(), "000003.json") == commit


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("action", 9, "column action is not within 0 to 3"),
        ("env", 7, "column env does not go through"),
        ("t", -7, "column t does not go through"),
        ("t", 2**31 - 1, "column t does not go through"),
    ],
)
def test_a_value_out_of_its_space_ends_in_one_line(tmp_path: Path, name: str, value: int, problem: str) -> None:
    snapshot = make_snapshot(0)
    columns = getattr(snapshot.buffer, name).copy()
    columns[5] = value
    with RunWriter.create(tmp_path / "run", make_manifest()) as writer:
        writer.commit_round(replace(snapshot, buffer=replace(snapshot.buffer, **{name: columns})), {})
    with pytest.raises(DamagedRunError, match=rf"^data/000000-records-\w+\.parquet is damaged: {problem}[^\n]*$"):
        open_run(tmp_path / "run").snapshot(0)


@pytest.mark.parametrize("n", [1, 31])
def test_a_round_without_all_of_its_steps_ends_in_one_line(tmp_path: Path, n: int) -> None:
    with RunWriter.create(tmp_path / "run", make_manifest()) as writer:
        writer.commit_round(make_snapshot(0, n=n), {})
    with pytest.raises(DamagedRunError, match=rf"has {n} records; 16 steps of 2 environments make 32$"):
        open_run(tmp_path / "run").snapshot(0)


@pytest.mark.parametrize(
    "bounds", [{"low": []}, {"high": [1.0]}, {"low": [1.0, 2.0], "high": [0.0, 3.0]}, {"low": ["nan", 0.0]}]
)
def test_an_action_box_has_bounds_for_each_of_its_numbers(tmp_path: Path, bounds: dict[str, list[Any]]) -> None:
    RunWriter.create(tmp_path / "run", make_manifest(action=TORQUE)).close()
    values = json.loads((tmp_path / "run" / "run.json").read_bytes())
    values["action_space"] |= bounds
    (tmp_path / "run" / "run.json").write_text(json.dumps(values))
    with pytest.raises(
        DamagedRunError,
        match=r"^run\.json can't be understood: (the action space|action_space\.low\[0\] is 'nan';) [^\n]*$",
    ):
        open_run(tmp_path / "run")


@pytest.mark.parametrize("shape", [[0, 2**62, 4], [1] * 100, [-1, -1], [2**62, 4]])
def test_a_tensor_of_no_shape_ends_in_one_line(shape: list[int]) -> None:
    table = checkpoint_table({"x": np.zeros(1, np.float32)})
    forged = table.set_column(3, table.schema.field("shape"), pa.array([shape], table.schema.field("shape").type))
    with pytest.raises(DamagedRunError, match=r"^checkpoint is damaged: tensor x [^\n]*$"):
        checkpoint_from(forged, "checkpoint")

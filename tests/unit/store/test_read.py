"""Creating, continuing, reading, thinning and finding runs, and what bad input is told."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from benchmarks.faults.made_up_rounds import (
    FLOATS,
    METRICS,
    assert_same_checkpoint,
    assert_same_snapshot,
    make_checkpoint,
    make_manifest,
    make_snapshot,
    write_run,
)
from engine.errors import BadInputError, DamagedRunError, NotARunError, StorageError
from engine.store import (
    Parent,
    RunManifest,
    RunWriter,
    export_run,
    find_runs,
    load_table,
    open_run,
    save_table,
    verify_run,
)


def test_a_run_says_what_is_in_it(tmp_path):
    run = open_run(write_run(tmp_path / "mine"))
    assert run.name == "mine"
    assert run.config.env_id == "Made-up-v0"
    assert [(info.round, info.stored, info.final) for info in run.rounds] == [
        (0, True, False),
        (1, True, False),
        (2, True, False),
    ]
    assert run.rounds[0].bytes == sum(f.stat().st_size for f in (run.path / "data").glob("000000-*"))
    assert run.rounds[0].metrics["loss"] == 0.5
    assert (run.final.round, run.final.stored, run.final.final) == (3, False, True)
    assert run.stored_rounds == [0, 1, 2]
    assert run.checkpoint_rounds == [0, 1, 2, 3]
    assert_same_checkpoint(run.checkpoint(3), make_checkpoint(3))
    assert_same_checkpoint(run.checkpoint(1), make_checkpoint(1))


def test_a_round_that_is_not_there_is_said_in_one_line(tmp_path):
    run = open_run(write_run(tmp_path / "run"))
    for call, message in (
        (lambda: run.snapshot(99), "round 99 is not in this run; it has rounds 0 to 2"),
        (lambda: run.snapshot(-1), "round -1 is not in this run; it has rounds 0 to 2"),
        (
            lambda: run.snapshot(3),
            "3 is the final checkpoint, which has no records; rounds with records are 0-2",
        ),
        (lambda: run.checkpoint(4), "round 4 is not in this run; it has rounds 0 to 2"),
    ):
        with pytest.raises(BadInputError) as caught:
            call()
        assert str(caught.value) == message


def test_a_run_without_rounds_is_a_run(tmp_path):
    RunWriter.create(tmp_path / "run", make_manifest()).close()
    run = open_run(tmp_path / "run")
    assert run.rounds == []
    assert run.final is None
    assert verify_run(tmp_path / "run") == []
    with pytest.raises(BadInputError, match="it has no rounds yet"):
        run.snapshot(0)


def test_a_live_run_shows_new_rounds_after_refresh(tmp_path):
    with RunWriter.create(tmp_path / "run", make_manifest()) as writer:
        run = open_run(tmp_path / "run")
        writer.commit_round(make_snapshot(0), METRICS)
        assert run.rounds == []
        run.refresh()
        assert run.stored_rounds == [0]


def test_rounds_come_in_order_and_a_finished_run_is_finished(tmp_path):
    path = tmp_path / "run"
    with RunWriter.create(path, make_manifest()) as writer:
        assert writer.next_round is None
        with pytest.raises(BadInputError, match="rounds are numbered 0 to 999999"):
            writer.commit_metrics(-1, {})
        writer.commit_round(make_snapshot(7), METRICS)
        for number in (7, 9, 0):
            with pytest.raises(BadInputError, match=f"^round {number} can't follow round 7; the next is 8$"):
                writer.commit_round(make_snapshot(number), METRICS)
        with pytest.raises(BadInputError, match="a metric is"):
            writer.commit_round(make_snapshot(8), {"odd": object()})
        writer.commit_round(make_snapshot(8), METRICS)
    with pytest.raises(StorageError, match="this writer is closed"):
        writer.commit_round(make_snapshot(9), METRICS)
    with RunWriter.append(path) as writer:
        assert writer.next_round == 9
        writer.commit_final(9, make_checkpoint(9), {"loss": 1})
        with pytest.raises(BadInputError, match="the run ended with round 9; start a branch"):
            writer.commit_round(make_snapshot(10), METRICS)
    assert open_run(path).stored_rounds == [7, 8]
    assert open_run(path).final.metrics == {"loss": 1}
    assert verify_run(path) == []


def test_a_continued_run_equals_one_written_at_once(tmp_path):
    with RunWriter.create(tmp_path / "run", make_manifest()) as writer:
        writer.commit_round(make_snapshot(0), METRICS)
    with RunWriter.append(tmp_path / "run") as writer:
        writer.commit_round(make_snapshot(1), METRICS)
    run = open_run(tmp_path / "run")
    for k in (0, 1):
        assert_same_snapshot(run.snapshot(k), make_snapshot(k))


def test_a_round_made_on_another_machine_says_so(tmp_path):
    with RunWriter.create(tmp_path / "run", make_manifest()) as writer:
        writer.commit_round(replace(make_snapshot(0), fingerprint={"numpy": "2.0"}), {})
        writer.commit_round(replace(make_snapshot(1), fingerprint={"numpy": "2.1"}), {})
    run = open_run(tmp_path / "run")
    assert run.snapshot(0).fingerprint == {"numpy": "2.0"}
    assert run.snapshot(1).fingerprint == {"numpy": "2.1"}


def test_a_folder_with_other_files_can_become_a_run_but_a_run_can_not_be_overwritten(tmp_path):
    path = tmp_path / "deep" / "run"
    path.mkdir(parents=True)
    (path / "status.json").write_text("{}")
    write_run(path)
    before = sorted(path.rglob("*"))
    with pytest.raises(BadInputError, match=r"holds a run already; continue it with --resume .* or choose"):
        RunWriter.create(path, make_manifest())
    assert sorted(path.rglob("*")) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="a folder is needed there"):
        RunWriter.create(tmp_path / "file" / "run", make_manifest())


def test_a_run_without_a_round_can_be_taken_back_and_no_other(tmp_path):
    with RunWriter.create(tmp_path / "run", make_manifest()) as writer:
        writer.withdraw()
        with pytest.raises(StorageError, match="was taken back"):
            writer.commit_round(make_snapshot(0), METRICS)
    with RunWriter.create(tmp_path / "run", make_manifest()) as writer:
        writer.commit_round(make_snapshot(0), METRICS)
        writer.withdraw()
        writer.commit_round(make_snapshot(1), METRICS)
    assert open_run(tmp_path / "run").stored_rounds == [0, 1]


def test_what_is_not_a_run_is_told_what_a_run_looks_like(tmp_path):
    for path, message in (
        (tmp_path / "nowhere", "does not exist; a run is a folder that holds run.json"),
        (tmp_path, "is not a run; a run is a folder that holds run.json, commits/ and data/"),
    ):
        with pytest.raises(NotARunError, match=message):
            open_run(path)
        with pytest.raises(NotARunError):
            verify_run(path)
        with pytest.raises(NotARunError):
            RunWriter.append(path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(NotARunError, match="is not a run"):
        open_run(tmp_path / "file")
    write_run(tmp_path / "group" / "mine")
    with pytest.raises(NotARunError, match=r"did you mean .*group/mine"):
        open_run(tmp_path)


def test_a_manifest_comes_back_and_a_newer_one_is_refused_by_version():
    parent = Parent(run="mine", round=3, removed=(1, 5), mode="mask", commit="ab" * 32)
    manifest = replace(make_manifest(), parent=parent)
    assert RunManifest.from_bytes(manifest.to_bytes()) == manifest
    assert json.loads(manifest.to_bytes())["parent"]["removed"] == [1, 5]
    newer = {**manifest.to_json(), "schema_version": 5}
    with pytest.raises(BadInputError) as caught:
        RunManifest.from_json(newer)
    assert str(caught.value) == ("this run has schema version 5; this engine reads up to 4: update snapshot-influence")


@pytest.mark.parametrize("change", ["env_id", "config", "parent", "observation_space"])
def test_a_manifest_that_can_not_be_understood_is_damaged(change):
    good = make_manifest().to_json()
    missing = {name: value for name, value in good.items() if name != change}
    for bad in (missing, {**good, change: 7}, {**good, change: [1]}, [], {}, None, "run"):
        with pytest.raises(DamagedRunError, match=r"^run\.json [^\n]*$"):
            RunManifest.from_json(bad)
    with pytest.raises(DamagedRunError, match=r"run\.json is damaged: it is not JSON"):
        RunManifest.from_bytes(b'{"a":')


def test_a_thinned_copy_keeps_all_metrics_and_a_few_rounds(tmp_path):
    run = open_run(write_run(tmp_path / "run", rounds=6))
    thin = export_run(run.path, tmp_path / "thin", [0, 3, 4])
    assert (thin.path / "run.json").read_bytes() == (run.path / "run.json").read_bytes()
    assert [info.metrics for info in thin.rounds] == [info.metrics for info in run.rounds]
    assert thin.stored_rounds == [0, 3, 4]
    assert thin.checkpoint_rounds == [0, 3, 4, 6]
    for k in thin.stored_rounds:
        assert_same_snapshot(thin.snapshot(k), run.snapshot(k))
    assert_same_checkpoint(thin.checkpoint(6), make_checkpoint(6))
    assert verify_run(thin.path) == []
    with pytest.raises(BadInputError) as caught:
        thin.snapshot(1)
    assert str(caught.value) == ("round 1 keeps only metrics in this run; rounds with records are 0, 3-4")
    with pytest.raises(BadInputError, match="round 9 is not in this run"):
        export_run(run.path, tmp_path / "other", [9])
    assert not (tmp_path / "other").exists()
    with pytest.raises(BadInputError, match="thin is there already; choose another folder for the copy"):
        export_run(run.path, thin.path, [0])


def test_runs_are_found_by_name_only_and_links_are_not_followed(tmp_path):
    for name in ("b", "a/x", "a/y", "1/2/3/4/5/6/7/8", "1/2/3/4/5/6/7/8/9", ".hidden"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("")
    (tmp_path / "b" / "data").mkdir()
    (tmp_path / "b" / "data" / "run.json").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = [str(path.relative_to(tmp_path)) for path in find_runs(tmp_path)]
    assert found == ["1/2/3/4/5/6/7/8", "a/x", "a/y", "b"]
    assert find_runs(tmp_path / "b") == [tmp_path / "b"]
    assert find_runs(tmp_path / "nowhere") == []


def test_a_run_is_found_with_its_interventions_however_its_folder_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("run", "run/interventions/0123456789ab/branch", "run/interventions/made up/branch"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("")
    own, branch = tmp_path / "run", tmp_path / "run" / "interventions" / "0123456789ab" / "branch"
    assert find_runs(own) == find_runs(f"{own}/") == [own, branch]
    assert find_runs(".") == [path.relative_to(tmp_path) for path in (own, branch)]


def test_the_cache_keeps_the_last_table_of_a_key(tmp_path):
    path = write_run(tmp_path / "run", rounds=1)
    assert load_table(path, "00ff") is None
    for values in ([1.0], [1.0, 2.0]):
        assert save_table(path, "00ff", pa.table({"influence": values, "name": ["a"] * len(values)}), {})
    assert save_table(path, "00", pa.table({"influence": [5.0]}), {})
    assert load_table(path, "00ff")["influence"].to_pylist() == [1.0, 2.0]
    assert load_table(path, "00")["influence"].to_pylist() == [5.0]
    assert len(list((path / "derived").iterdir())) == 2
    with pytest.raises(BadInputError, match="must be hexadecimal"):
        load_table(path, "../run")


def test_snapshots_of_a_run_share_nothing(tmp_path):
    run = open_run(write_run(tmp_path / "run", rounds=1))
    first = run.snapshot(0)
    first.buffer.reward[:] = 0
    first.checkpoint["rng/numpy"][:] = 0
    assert_same_snapshot(run.snapshot(0), make_snapshot(0))
    assert first.observation_space == FLOATS

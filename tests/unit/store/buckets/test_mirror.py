"""Runs on an object store: written and read as on a disk, by a real S3-compatible server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from object_store import At

import engine
from engine.errors import BadInputError, DamagedRunError, LockedRunError, NotARunError, StorageError
from engine.recording.run_recording import Recording
from engine.store.at_once import appears_at_once
from engine.store.buckets import lease
from engine.store.buckets.address import Address
from engine.store.buckets.bucket import Bucket
from engine.store.buckets.mirror import address_of, called, files_of, local_folder
from engine.store.commit import RunWriter
from engine.store.files import Files
from engine.store.find import find_runs
from engine.store.sound_files import SoundFiles
from engine.store.transfer.archive import archive_run
from engine.store.transfer.export import export_run
from engine.store.verify import verify_rounds

Elsewhere = Callable[[str], None]
SAMPLES = Path(__file__).resolve().parents[4] / "sample_runs"


def settings(rounds: int = 2, **changed: Any) -> engine.TrainConfig:
    return engine.preset("CartPole-v1", "default", rounds=rounds, n_steps=64, batch_size=32, n_epochs=2, **changed)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """From now on as on another machine, which has its own copies."""
    return lambda name: monkeypatch.setenv("SNAPSHOT_INFLUENCE_COPIES", str(tmp_path / name))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> engine.Run:
    return engine.train(settings(3), tmp_path_factory.mktemp("recorded") / "run")


def there(text: str) -> tuple[Bucket, Address]:
    address = Address.of(text)
    assert address is not None
    return Bucket(address), address


def write(writer: RunWriter, recorded: engine.Run, k: int) -> None:
    writer.commit_round(recorded.snapshot(k), recorded.rounds[k].metrics)


def begin(address: str, recorded: engine.Run, rounds: int = 1) -> None:
    """A run there that was broken off."""
    with RunWriter.create(address, recorded.manifest) as writer:
        for k in range(rounds):
            write(writer, recorded, k)


def test_a_run_is_trained_into_a_store_and_goes_on_and_is_read_on_other_machines(
    bucket: At, recorded: engine.Run, elsewhere: Elsewhere
) -> None:
    address = bucket("runs/mine")
    begun = engine.rounds(settings(3), address)
    next(begun), next(begun)
    begun.close()
    elsewhere("second")
    with pytest.raises(BadInputError, match=r"s3://.*/runs/mine.* holds a run already"):
        engine.train(settings(3), address)
    assert len(engine.train(settings(3), address, resume=True).rounds) == 3
    elsewhere("third")
    run = engine.open_run(address)
    assert (run.name, run.final is not None) == ("mine", True)
    for name, column in vars(run.snapshot(2).buffer).items():
        np.testing.assert_array_equal(column, getattr(recorded.snapshot(2).buffer, name))
    for name, tensor in recorded.checkpoint(3).items():
        np.testing.assert_array_equal(run.checkpoint(3)[name], tensor)
    scores = engine.influence(run.snapshot(1))
    np.testing.assert_array_equal(scores.influence, engine.influence(recorded.snapshot(1)).influence)
    assert verify_rounds(address) == []
    bucket_, at = there(address)
    assert bucket_.names(at) == ["commits/", "data/", "run.json", "writer.lease"], "no cache of what was computed"


def test_what_was_read_once_is_not_fetched_again(
    bucket: At, recorded: engine.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = bucket("mine")
    begin(address, recorded)
    run, fetched = engine.open_run(address), []
    honest = Bucket.pieces
    monkeypatch.setattr(
        Bucket, "pieces", lambda self, file, limit=None: fetched.append(file) or honest(self, file, limit)
    )
    run.refresh()
    run.snapshot(0)
    assert fetched == []
    assert verify_rounds(address) == []
    assert len(fetched) == 5, "what is verified is what is in the store: run.json, a commit, and three files of data"
    assert not SoundFiles(address).cache, "nor can that be passed over"


def test_a_dashboard_that_only_shows_runs_shows_these_too(
    bucket: At, recorded: engine.Run, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
) -> None:
    begin(bucket("mine"), recorded)
    elsewhere("second")
    monkeypatch.setattr(Files, "writes_nothing", True)
    assert engine.open_run(bucket("mine")).snapshot(0).hash
    with pytest.raises(StorageError, match="nothing is written here"):
        RunWriter.append(bucket("mine"))


def test_damage_in_the_store_and_in_a_copy_are_told_apart(bucket: At, recorded: engine.Run) -> None:
    address = bucket("mine")
    begin(address, recorded)
    store, at = there(address)
    name = next(name for name in store.names(at.below("data")) if "records" in name)
    copy, data = local_folder(address) / "data" / name, store.read(at.below("data", name))
    copy.write_bytes(data[:-1])
    with pytest.raises(DamagedRunError):
        engine.open_run(address).snapshot(0)
    assert verify_rounds(address) == []
    engine.open_run(address).snapshot(0)
    store.put(at.below("data", name), data[:-1])
    assert [damage.file for damage in verify_rounds(address)] == [f"data/{name}"]


def test_a_reader_sees_whole_rounds_while_they_are_written(
    bucket: At, recorded: engine.Run, elsewhere: Elsewhere
) -> None:
    address = bucket("mine")
    with RunWriter.create(address, recorded.manifest) as writer:
        write(writer, recorded, 0)
        elsewhere("reader")
        run, store = engine.open_run(address), there(address)
        assert len(run.rounds) == 1
        elsewhere("copies")
        put = Bucket.create

        def looking(self: Bucket, file: Address, data: bytes) -> str:
            run.refresh()
            assert len(run.rounds) == 1, "its data is there, and no commit yet"
            return put(self, file, data)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Bucket, "create", looking)
            write(writer, recorded, 1)
        elsewhere("reader")
        run.refresh()
        assert len(run.rounds) == 2
        assert verify_rounds(address) == []
        assert "000001.json" in store[0].names(store[1].below("commits"))


def test_a_second_writer_waits_and_one_that_was_taken_over_stops(
    bucket: At, recorded: engine.Run, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
) -> None:
    address = bucket("mine")
    with RunWriter.create(address, recorded.manifest) as first:
        write(first, recorded, 0)
        elsewhere("second")
        with pytest.raises(LockedRunError, match="is being written by another process"):
            RunWriter.append(address)
        monkeypatch.setattr(lease, "SECONDS", 0.0)  # from now on every lease has run out
        first._files._lease._renew(0.0)  # type: ignore[attr-defined]
        with RunWriter.append(address) as second:
            write(second, recorded, 1)
            elsewhere("copies")
            with pytest.raises(LockedRunError, match="taken over by another writer"):
                write(first, recorded, 1)
    assert verify_rounds(address) == []
    assert len(engine.open_run(address).rounds) == 2


def test_a_commit_is_made_once_and_whole_whoever_believes_to_be_alone(
    bucket: At, recorded: engine.Run, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
) -> None:
    """Two writers without leases, each with its data in the store, before either commits; the sweep of one leaves the other's."""
    for call in ("take", "check", "give_back"):
        monkeypatch.setattr(lease.Lease, call, lambda self: None)
    address, publish = bucket("mine"), Files.publish
    begin(address, recorded)
    elsewhere("second")
    second = RunWriter.append(address)
    elsewhere("copies")
    first = RunWriter.append(address)

    def slept(self: Files, path: Path, data: bytes) -> None:
        if path.name == "000001.json":
            monkeypatch.setattr(Files, "publish", publish)
            elsewhere("third")
            RunWriter.append(address).close()
            elsewhere("second")
            write(second, recorded, 1)
            elsewhere("copies")
        publish(self, path, data)

    monkeypatch.setattr(Files, "publish", slept)
    with pytest.raises(LockedRunError, match="another writer has committed round 1"):
        write(first, recorded, 1)
    second.close()
    elsewhere("fourth")
    assert verify_rounds(address) == []
    store, at = there(address)
    assert len(store.names(at.below("data"))) == 3 * 3, "what the first one wrote is nobody's"
    RunWriter.append(address).close()
    assert len(store.names(at.below("data"))) == 2 * 3


def test_a_store_without_conditional_writes_is_refused(
    bucket: At, recorded: engine.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(self: Bucket, request: Any, *args: Any, **asked: Any) -> Any:
        return request(*args, **{key: value for key, value in asked.items() if not key.startswith("If")})

    monkeypatch.setattr(Bucket, "call", careless)
    with pytest.raises(StorageError, match="no conditional writes"):
        RunWriter.create(bucket("mine"), recorded.manifest)


@pytest.mark.long
def test_what_was_acknowledged_is_there_whichever_request_fails(
    bucket: At, recorded: engine.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request in turn, before the store has heard it, and where it writes also after; then the run goes on."""
    said = lease._read
    monkeypatch.setattr(
        lease, "_read", lambda data: said(data)._replace(seconds=0.0)
    )  # who broke off keeps nobody away
    honest, left, answer_is_lost, writes = Bucket.call, [0], [False], [False]
    snapshots = [recorded.snapshot(k) for k in (0, 1)]

    def failing(self: Bucket, request: Any, *args: Any, **asked: Any) -> Any:
        left[0] -= 1
        if left[0] != 0:
            return honest(self, request, *args, **asked)
        writes[0] = "Body" in asked
        if answer_is_lost[0]:
            honest(self, request, *args, **asked)
        raise OSError("the network is down")

    monkeypatch.setattr(Bucket, "call", failing)
    failure, tried, is_over = 0, 0, False
    while not is_over:
        answer_is_lost[0] = writes[0] and not answer_is_lost[0]
        failure += not answer_is_lost[0]
        address, acknowledged = bucket(f"run-{failure}-{answer_is_lost[0]}"), 0
        left[0], writes[0] = failure, False
        try:
            with RunWriter.create(address, recorded.manifest) as writer:
                acknowledged += bool(writer.commit_round(snapshots[0], {}))
        except (StorageError, LockedRunError, BadInputError):
            pass
        is_over, left[0] = left[0] > 0, 0
        try:
            writer = RunWriter.append(address)
        except NotARunError:
            assert not acknowledged
            writer = RunWriter.create(address, recorded.manifest)
        assert (writer.next_round or 0) >= acknowledged
        with writer:
            writer.commit_round(snapshots[writer.next_round or 0], {})
        assert verify_rounds(address) == []
        tried += 1
    assert tried > 15, "each request of a round was tried"


def test_another_run_in_the_place_of_one_that_was_copied(
    bucket: At, recorded: engine.Run, elsewhere: Elsewhere
) -> None:
    address = bucket("mine")
    other = engine.train(settings(1, seed=5), bucket("other"))
    begin(address, recorded)
    store, at = there(address)

    def remove() -> None:
        for folder in ("commits", "data"):
            for name in store.names(at.below(folder)):
                store.delete(at.below(folder, name))
        store.delete(at.below("run.json"))

    remove()
    elsewhere("second")
    begin(address, other)
    elsewhere("copies")
    assert engine.open_run(address).config.seed == 5
    assert verify_rounds(address) == []
    remove()
    with pytest.raises(NotARunError):
        engine.open_run(address)
    begin(address, recorded, rounds=2)
    assert len(engine.open_run(address).rounds) == 2, "also where this machine wrote it"


def test_runs_below_an_address_are_found_and_seen_to_grow(
    bucket: At, recorded: engine.Run, elsewhere: Elsewhere
) -> None:
    for key in ("all/one", "all/deep/er/two"):
        begin(bucket(key), recorded)
    elsewhere("second")
    found = find_runs(bucket("all"))
    assert [path.name for path in found] == ["two", "one"]
    assert find_runs(local_folder(bucket("all"))) == found, "also by the folder that stands for it"
    assert [path.name for path in find_runs(bucket(""))] == ["two", "one"]
    assert find_runs(bucket("nothing")) == []
    elsewhere("copies")
    with RunWriter.append(bucket("all/one")) as writer:
        write(writer, recorded, 1)
    elsewhere("second")
    find_runs(bucket("all"))
    assert (found[1] / "commits" / "000001.json").is_file()
    assert not [*(found[1] / "data").glob("*")], "and no more is fetched than says so"


def test_what_was_tried_on_a_run_stays_on_this_machine(bucket: At, recorded: engine.Run) -> None:
    begin(bucket("mine"), recorded, rounds=2)
    run = engine.open_run(bucket("mine"))
    branch = run.path / "interventions" / "0123456789ab" / "branch"
    engine.retrain(run, 0, [1, 2], branch, orders=2, episodes=2)
    store, at = there(bucket("mine"))
    assert "interventions/" not in store.names(at)
    assert verify_rounds(branch) == []
    assert address_of(branch) is None
    assert find_runs(bucket("mine")) == [run.path, branch]


def test_a_copy_or_a_branch_appears_in_a_store_once_it_is_whole(bucket: At, recorded: engine.Run) -> None:
    store, at = there(bucket("copy"))
    with suppress(ZeroDivisionError), appears_at_once(Path(bucket("copy")), "copy") as folder:
        RunWriter.create(folder, recorded.manifest).close()
        raise ZeroDivisionError
    assert store.names(at) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease, "SECONDS", 0.0)
        patch.setattr(Bucket, "create", lambda self, file, data: _broken(file))
        with pytest.raises(StorageError):
            export_run(recorded.path, bucket("copy"), [1])
    copy = export_run(recorded.path, bucket("copy"), [1])
    assert (copy.stored_rounds, len(copy.rounds), called(copy.path)) == ([1], 3, bucket("copy"))
    assert verify_rounds(bucket("copy")) == []
    with pytest.raises(BadInputError, match="is there already; choose another folder for the copy"):
        export_run(recorded.path, bucket("copy"), [1])
    engine.retrain(recorded, 0, [1, 2], bucket("branch"), orders=2, episodes=2)
    assert engine.open_run(bucket("branch")).manifest.parent is not None
    assert (local_folder(bucket("branch")) / "result.json").is_file()


def _broken(file: Address) -> str:
    raise StorageError(f"{file} failed")


def test_a_recorder_writes_there(bucket: At, recorded: engine.Run) -> None:
    recording = Recording(bucket("mine"), quiet=True)
    recording.begin(recorded.manifest)
    assert recording.writer is not None
    write(recording.writer, recorded, 0)
    with pytest.raises(BadInputError, match=r"s3://.*/mine.* holds a run already; record into another folder"):
        Recording(bucket("mine"))
    recording.writer.close()
    assert engine.open_run(bucket("mine")).stored_rounds == [0]


def test_a_received_run_says_nothing_of_where_it_is_from(bucket: At, recorded: engine.Run, tmp_path: Path) -> None:
    """A folder is a copy where it lies among the copies, and nowhere else."""
    shutil.copytree(recorded.path, tmp_path / "theirs" / "run")
    (tmp_path / "theirs" / "origin.txt").write_text(bucket(""))
    assert address_of(tmp_path / "theirs" / "run") is None
    assert type(files_of(tmp_path / "theirs" / "run")) is Files
    assert called(tmp_path / "theirs" / "run") == str(tmp_path / "theirs" / "run")


@pytest.mark.parametrize("key", ["", "nothing"])
def test_where_no_run_is(bucket: At, key: str) -> None:
    with pytest.raises(NotARunError, match=r"s3://.* is not a run; a run is a folder that holds run.json"):
        engine.open_run(bucket(key))


def test_only_runs_are_written_there(bucket: At, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match="an object store holds runs and nothing else here; name a folder"):
        Files().make_folder(Path(bucket("campaign")))
    assert not [*tmp_path.glob("s3*")]


def test_what_is_no_runs_is_never_deleted(bucket: At, recorded: engine.Run) -> None:
    address = bucket("project")
    store, at = there(address)
    for part in ("data", "commits", "model"):
        store.put(at.below(part, "thesis.csv"), b"mine")
    with pytest.raises(BadInputError, match=r"holds data/thesis.csv, which is no run's; choose another address"):
        export_run(recorded.path, address, [0, 1, 2])
    assert all(store.read(at.below(part, "thesis.csv")) == b"mine" for part in ("data", "commits", "model"))
    assert "run.json" not in store.names(at)


def test_a_model_of_other_peoples_stays_as_it_is(bucket: At) -> None:
    """Its files are called as a run's are."""
    sample, address = engine.open_run(SAMPLES / "courtesy"), bucket("project")
    store, at = there(address)
    config = at.below("model", "config.json")
    store.put(config, b"mine")
    with pytest.raises(BadInputError, match=r"model/config\.json.* is there already and not this run's"):
        RunWriter.create(address, sample.manifest, model=sample.model_files())
    with pytest.raises(BadInputError, match=r"holds model/config\.json, which is no run's"):
        export_run(sample.path, address, [0, 4])
    assert store.read(config) == b"mine"
    assert "run.json" not in store.names(at)
    store.put(config, sample.model_files()["config.json"])  # as a copy that was broken off leaves it
    export_run(sample.path, address, [0, 4])
    assert verify_rounds(address) == []


def test_a_branch_whose_last_request_fails_can_be_put_again(
    bucket: At, recorded: engine.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, address = Bucket.create, bucket("branch")

    def failing(self: Bucket, file: Address, data: bytes) -> str:
        return _broken(file) if file.key.endswith("run.json") else put(self, file, data)

    monkeypatch.setattr(lease, "SECONDS", 0.0)
    monkeypatch.setattr(Bucket, "create", failing)
    with pytest.raises(StorageError, match=r"run\.json.* failed"):
        engine.retrain(recorded, 0, [1, 2], address, orders=2, episodes=2)
    assert not (local_folder(address) / "result.json").exists()
    monkeypatch.setattr(Bucket, "create", put)
    engine.retrain(recorded, 0, [1, 2], address, orders=2, episodes=2)
    assert (local_folder(address) / "result.json").is_file()


def test_no_run_goes_where_a_copied_one_lies_above(bucket: At, recorded: engine.Run) -> None:
    outer, inner = bucket("outer"), bucket("outer/inner")
    export_run(recorded.path, outer, [0, 1, 2])
    engine.open_run(outer)
    for write_there in (
        lambda: RunWriter.create(inner, recorded.manifest),
        lambda: export_run(recorded.path, inner, [0, 1, 2]),
    ):
        with pytest.raises(BadInputError, match="lies inside a run that was copied here"):
            write_there()


def test_a_models_files_are_there(bucket: At, elsewhere: Elsewhere) -> None:
    sample = engine.open_run(SAMPLES / "courtesy")
    address = bucket("courtesy")
    with RunWriter.create(address, sample.manifest, model=sample.model_files()) as writer:
        writer.commit_round(sample.snapshot(0), sample.rounds[0].metrics)
    assert engine.open_run(address).model_files() == sample.model_files()
    elsewhere("reader")
    assert engine.open_run(address).model_files() == sample.model_files()
    assert verify_rounds(address) == []


def test_an_archive_is_made_of_what_the_store_has(
    bucket: At, recorded: engine.Run, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    address = bucket("mine")
    begin(address, recorded)
    elsewhere("reader")
    archive_run(address, tmp_path / "first.tar")
    elsewhere("writer")
    with RunWriter.append(address) as writer:
        write(writer, recorded, 1)
    elsewhere("reader")
    assert len(archive_run(address, tmp_path / "second.tar").rounds) == 2


def test_what_people_made_for_an_earlier_run_is_not_given_to_another(bucket: At, recorded: engine.Run) -> None:
    address = bucket("mine")
    (local_folder(address) / "notes").mkdir(parents=True)
    with pytest.raises(BadInputError, match="still has notes of an earlier run at this address"):
        export_run(recorded.path, address, [0, 1, 2])
    (local_folder(address) / "notes").rmdir()
    export_run(recorded.path, address, [0, 1, 2])
    assert verify_rounds(address) == []


def test_a_run_that_can_not_be_had_does_not_hide_the_others(
    bucket: At, recorded: engine.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        export_run(recorded.path, bucket(f"some/{name}"), [0, 1, 2])
    read = Bucket.read

    def refusing(self: Bucket, file: Address, limit: int | None = None) -> bytes:
        if file.key.endswith("one/run.json"):
            raise StorageError("you may not")
        return read(self, file, limit)

    monkeypatch.setattr(Bucket, "read", refusing)
    one, two = find_runs(bucket("some"))
    assert len(engine.open_run(two).rounds) == 3
    with pytest.raises(StorageError, match="you may not"):
        engine.open_run(one)

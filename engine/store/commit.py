"""Write a run: one writer at a time, each round all or nothing, acknowledged only once it is durable."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import BadInputError, LockedRunError, StorageError
from engine.known_kinds import columns_named, parts_of
from engine.store.buckets.mirror import called, files_of, local_folder
from engine.store.chain import LAST_NUMBER, Commit, DataFile, check_metrics, commit_name, is_data_file, plain
from engine.store.files import Files, inside
from engine.store.kept_files import KeptFiles
from engine.store.kind_tables import Columns
from engine.store.manifest import KIND_VERSION, RunManifest
from engine.store.parquet import to_parquet
from engine.store.read import Run, open_run
from engine.store.snapshot import Snapshot
from engine.store.tables import checkpoint_table, minibatches_table


class RunWriter:
    """The one writer of a run. Use it as a context manager: it holds a lock.

    with RunWriter.create(path, manifest) as writer:
        writer.commit_round(snapshot, metrics)
        writer.commit_final(1, checkpoint)

    A write that fails leaves the earlier rounds as they were; the writer then refuses further commits, since
    a disk that failed once can't be asked what it kept. `append` goes on from what is there.
    """

    def __init__(self, path: Path, manifest: RunManifest, previous: str, files: Files, lock: int) -> None:
        """Use `create` or `append`."""
        self.path = path
        self.manifest = manifest
        self.kept = KeptFiles()
        """The data files that its commits name and no later one dropped."""
        self._previous = previous
        self._last: int | None = None
        self._final = False
        self._refuses: str | None = None
        self._files = files
        self._lock = lock
        self._process = os.getpid()

    @classmethod
    def create(
        cls,
        path: str | Path,
        manifest: RunManifest,
        files: Files | None = None,
        *,
        model: Mapping[str, bytes] | None = None,
    ) -> Self:
        """Start a new run in a folder that holds none; other files may be there.

        Args:
            path: the run's folder.
            manifest: what `run.json` says.
            files: file operations.
            model: the content of the files that `manifest.model` names.

        Raises:
            BadInputError: the folder holds a run already.
            LockedRunError: another process has just started one there.
            StorageError: the folder can't be made or written.
        """
        path = local_folder(path)
        files = files_of(path, files)
        taken = f"{called(path)} holds a run already; continue it with --resume (in Python resume=True) or choose another folder"
        if files.exists(path / "run.json"):
            raise BadInputError(taken)
        files.make_folder(path)
        lock = files.lock(path / "writer.lock")
        try:
            files.make_folder(inside(path, "data"))
            files.make_folder(inside(path, "commits"))
            _write_model(inside(path, "model"), manifest, model or {}, files)
            data = manifest.to_bytes()
            files.publish(path / "run.json", data)
        except BaseException as error:
            files.unlock(lock)
            if isinstance(error, FileExistsError):
                raise BadInputError(taken) from error
            raise
        return cls(path, manifest, sha256(data).hexdigest(), files, lock)

    @classmethod
    def append(cls, path: str | Path, files: Files | None = None) -> Self:
        """Go on with a run after its last commit; what a killed writer left is swept.

        Raises:
            NotARunError: there is no run.
            DamagedRunError: its chain of commits is broken.
            LockedRunError: another process is writing it.
        """
        path = local_folder(path)
        files = files_of(path, files)
        run = open_run(path, files)
        lock = files.lock(path / "writer.lock")
        try:
            if run.commits:
                run.refresh()
            else:  # it may have been taken back since, and another one begun
                run = open_run(path, files)
            _sweep(run, files)
        except BaseException:
            files.unlock(lock)
            raise
        writer = cls(path, run.manifest, run.head, files, lock)
        writer.kept = run.kept
        last = run.final or (run.rounds[-1] if run.rounds else None)
        if last is not None:
            writer._last, writer._final = last.round, last.final
        return writer

    @property
    def forked(self) -> bool:
        """Whether this is its copy in a forked process, which writes nothing and leaves the lock to the other one."""
        return os.getpid() != self._process

    @property
    def next_round(self) -> int | None:
        """The number that the next commit must have; None where the first one may have any."""
        return None if self._last is None else self._last + 1

    def commit_round(self, snapshot: Snapshot, metrics: Mapping[str, Any], dropped: Sequence[int] = ()) -> str:
        """Write a round's records, checkpoint and minibatches; return the commit's hash once it is durable.

        Args:
            snapshot: the round; its config and spaces are those of the run.
            metrics: plain values; NaN and the infinities become null.
            dropped: earlier rounds, in order, whose files are removed once the commit is durable. Their metrics stay, and
                the checkpoint of one that comes after a round that is kept. What a killed writer has not removed, nobody
                reads, and the next `append` removes it.

        Raises:
            BadInputError: the round is not the next one, or its values don't fit the run; or a round can't be dropped.
            StorageError: the disk refused; the round is not acknowledged and the writer refuses further ones.
            LockedRunError: another writer has committed this round, or the run is written by the process that this one was
                forked from.
        """
        self._check(snapshot.round)
        manifest = self.manifest
        tables = round_tables(snapshot, manifest)
        elsewhere = snapshot.fingerprint and dict(snapshot.fingerprint) != dict(manifest.fingerprint)
        where = snapshot.fingerprint if elsewhere else {}
        return self._commit(snapshot.round, tables, metrics, where, settings=snapshot.in_force, dropped=tuple(dropped))

    def commit_final(
        self, round: int, checkpoint: Mapping[str, NDArray[Any]], metrics: Mapping[str, Any] | None = None
    ) -> str:
        """Write the checkpoint after the last update; nothing comes after it. Errors as `commit_round`.

        Args:
            round: the number after the last round's.
            checkpoint: tensors by name.
            metrics: plain values.
        """
        self._check(round)
        return self._commit(round, {"checkpoint": checkpoint_table(checkpoint)}, metrics or {}, {}, final=True)

    def commit_metrics(self, round: int, metrics: Mapping[str, Any]) -> str:
        """Write a round of which only the metrics are kept (a thinned copy). Errors as `commit_round`."""
        self._check(round)
        return self._commit(round, {}, metrics, {})

    def commit_copy(self, commit: Commit, tables: Mapping[str, pa.Table]) -> str:
        """Write what a commit of another run says, with these tables in the place of its files. Errors as `commit_round`.

        Args:
            commit: the other run's.
            tables: by kind those that the other run keeps; of the files that it has dropped the commit goes on telling.
        """
        self._check(commit.round)
        new = _encoded(commit.round, tables)
        said = tuple(new[file.kind][0] if file.kind in new else file for file in commit.files)
        return self._write(replace(commit, files=said, previous=self._previous), new)

    def withdraw(self) -> None:
        """Take a run back that has no round, so that another one can be started in its folder; else do nothing."""
        if self._last is None:
            self._files.remove(self.path / "run.json")
            self._refuses = f"{self.path}: this run was taken back"

    def close(self) -> None:
        """Give the lock back; a second call does nothing."""
        self._refuses = self._refuses or f"{self.path}: this writer is closed; open the run with append"
        if self._lock >= 0 and not self.forked:
            lock, self._lock = self._lock, -1
            self._files.unlock(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _check(self, round: int) -> None:
        """Refuse a commit that is not the next one."""
        if self.forked:
            raise LockedRunError(f"{self.path} is being written by the process that this one was forked from")
        if self._refuses:
            raise StorageError(self._refuses)
        if self._final:
            raise BadInputError(f"the run ended with round {self._last}; start a branch to train on")
        if self.next_round is not None and round != self.next_round:
            raise BadInputError(f"round {round} can't follow round {self._last}; the next is {self.next_round}")
        if not 0 <= round <= LAST_NUMBER:
            raise BadInputError(f"round {round} is out of range; rounds are numbered 0 to {LAST_NUMBER}")

    def _check_dropped(self, commit: Commit) -> None:
        """Refuse a commit that drops what it can't drop."""
        if commit.dropped:
            check_drops(self.manifest, self.path)
        if problem := self.kept.problem(commit):
            raise BadInputError(problem)

    def _commit(
        self,
        round: int,
        tables: Mapping[str, pa.Table],
        metrics: Mapping[str, Any],
        fingerprint: Mapping[str, str],
        final: bool = False,
        settings: Mapping[str, Any] | None = None,
        dropped: tuple[int, ...] = (),
    ) -> str:
        """Write the next commit."""
        new = _encoded(round, tables)
        described = tuple(file for file, _ in new.values())
        metrics = plain(metrics)
        check_metrics(metrics)
        commit = Commit(
            round, final, described, metrics, self._previous, dict(fingerprint), plain(settings or {}), dropped
        )
        return self._write(commit, new)

    def _write(self, commit: Commit, new: Mapping[str, tuple[DataFile, bytes]]) -> str:
        """The protocol: data, then the commit that names it, each durable before the next; then what it drops is removed."""
        self._check_dropped(commit)
        self._refuses = f"{self.path}: an earlier write failed; open the run again to go on"
        for file, data in new.values():
            self._files.create(inside(self.path, "data", file.name), data)
        if new:
            self._files.sync_folder(self.path / "data")
        try:
            self._files.publish(inside(self.path, "commits", commit_name(commit.round)), commit.to_bytes())
        except FileExistsError:
            raise LockedRunError(f"{self.path}: another writer has committed round {commit.round}") from None
        self._previous, self._last, self._final = commit.hash, commit.round, commit.final
        for name in self.kept.add(commit):
            with suppress(FileNotFoundError):
                self._files.remove(inside(self.path, "data") / name)
        self._refuses = None
        return commit.hash


def _encoded(round: int, tables: Mapping[str, pa.Table]) -> dict[str, tuple[DataFile, bytes]]:
    """What a commit says of its tables' files, and their bytes, by kind."""
    encoded = {kind: to_parquet(table) for kind, table in tables.items()}
    return {
        kind: (
            DataFile(
                name=f"{round:06d}-{kind}-{uuid4().hex}.parquet",
                kind=kind,
                bytes=len(data),
                sha256=sha256(data).hexdigest(),
                rows=tables[kind].num_rows,
            ),
            data,
        )
        for kind, data in encoded.items()
    }


def check_drops(manifest: RunManifest, path: Path) -> None:
    """Refuse to drop rounds of a run whose readers don't expect it.

    Raises:
        BadInputError: it is of an earlier version of the run format.
    """
    if manifest.schema_version < KIND_VERSION:
        raise BadInputError(
            f"{path} was started without keep=, so that no round can be dropped; go on without it, or begin another run"
        )


def round_tables(snapshot: Snapshot, manifest: RunManifest) -> dict[str, pa.Table]:
    """The tables of a round by name, in the order of `known_kinds.rounds`."""
    if snapshot.kind != manifest.kind:
        raise BadInputError(f"this is a run of the kind {manifest.kind}, and the round one of the kind {snapshot.kind}")
    columns: Columns = columns_named(snapshot.kind)
    tables = columns.tables(snapshot, manifest)
    first, *_ = parts_of(snapshot.kind)
    return {
        **{name: tables.pop(name) for name in first},
        "checkpoint": checkpoint_table(snapshot.checkpoint),
        "minibatches": minibatches_table(snapshot.minibatches, len(snapshot.buffer)),
        **tables,
    }


def _sweep(run: Run, files: Files) -> None:
    """Remove data that no commit names or that one dropped, and files that never got their name.

    Only the writer may, who holds the lock. Where a lock can't exclude a writer that slept, what that one may still commit
    is left: the next `append` removes it, once its round is another one's.
    """
    named = run.kept.names
    safe = float("inf") if files.excludes_others else max((commit.round for commit in run.commits), default=-1)
    for name in files.names(inside(run.path, "data")):
        if is_data_file(name) and name not in named and int(name.partition("-")[0]) <= safe:
            files.remove(run.path / "data" / name)
    for folder in (run.path, run.path / "data", run.path / "commits"):
        files.sweep(folder)


def _write_model(folder: Path, manifest: RunManifest, model: Mapping[str, bytes], files: Files) -> None:
    """The files of a language model's run that lie beside its rounds, durable before `run.json` names them."""
    if {name: sha256(data).hexdigest() for name, data in model.items()} != dict(manifest.model):
        raise BadInputError("the model's files are not those that the run's manifest names")
    if not model:
        return
    files.make_folder(folder)
    for name, data in model.items():
        files.replace(folder / name, data, durable=False)
    files.sync_folder(folder)

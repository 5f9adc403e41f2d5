"""A run on an object store, as a folder on this machine.

`run.json`, commits and data are the store's; here lie copies, each fetched when it is read for the first time and, like the bytes
of any other run, trusted only as far as their hashes go. Whatever else a run's folder holds (notes, baskets, interventions,
caches) is this machine's own and stays here. A folder is such a copy where it lies among the copies, never because of what a
run says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar
from uuid import uuid4

from engine.errors import BadInputError, EngineError
from engine.store.buckets.address import Address
from engine.store.buckets.bucket import Bucket
from engine.store.buckets.lease import Lease
from engine.store.chain import LARGEST_COMMIT, commit_number, is_data_file
from engine.store.files import TEMPORARY, Files

P = ParamSpec("P")
T = TypeVar("T")

DEPTH = 8
"""Folders below the one that was asked for, as `find.DEPTH`."""
_AT_A_TIME = 16
"""Requests, where many runs are looked for."""
_SWEPT_SECONDS = 3600.0
"""What is fetched for longer than this was left by a process that is gone."""

_OF_THE_STORE = ("model", "data", "commits")
_OF_PEOPLE = ("basket", "control", "interventions", "notes", "result.json")
_NOT_MOVED = (*_OF_THE_STORE, "run.json", "writer.lock")
_ORIGIN = "origin.txt"


def local_folder(path: str | PathLike[str]) -> Path:
    """The folder on this machine that stands for a run: of an address its copy, and of any other path itself.

    Raises:
        BadInputError: it looks like an address and is none, or lies inside another run.
        StorageError: the copy's folder can't be made.
    """
    address = Address.of(path)
    if address is None:
        return Path(path)
    copy = _copy_of(address)
    if address_of(copy) != address:
        raise BadInputError(
            f"{address} lies inside a run that was copied here; choose another address, or delete that run's copy (the folder "
            f"above {copy} that has a run.json) if the run is gone"
        )
    return copy


def address_of(path: Path) -> Address | None:
    """Where a folder is copied from; None where it is no copy, as what was tried on a run, which is this machine's own."""
    root, path = _root(), path.absolute()
    if not path.is_relative_to(root) or path == root:
        return None
    name, *below = path.relative_to(root).parts
    above = [root.joinpath(name, *below[:i]) for i in range(len(below))]
    if any(part.startswith(".") for part in below) or any((folder / "run.json").is_file() for folder in above):
        return None
    try:
        bucket = Address.of(Files().read(root / name / _ORIGIN).decode())
    except FileNotFoundError:
        return None
    return None if bucket is None else bucket.below(*below)


def called(path: str | PathLike[str]) -> str:
    """What a person calls a run's folder: its address, where it has one."""
    return str(Address.of(path) or address_of(Path(path)) or path)


def files_of(path: Path, files: Files | None = None, *, afresh: bool = False) -> Files:
    """The file operations of a run's folder: those given, those of an object store's copy, or this machine's.

    Args:
        path: the folder, as `local_folder` gives it.
        files: those given, if any.
        afresh: read what is in the store, whatever was copied before.
    """
    if files is not None:
        return files
    address = address_of(path)
    return Files() if address is None else MirrorFiles(path, address, Bucket(address), afresh=afresh)


def find_below(address: Address) -> list[Path]:
    """The copies of the runs at an address and below it, each with its `run.json` and its newest commit."""
    from concurrent.futures import ThreadPoolExecutor

    bucket, level, found = Bucket(address), [address], list[Address]()
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for _ in range(DEPTH + 1):
            names = dict(zip(level, pool.map(bucket.names, level), strict=True))
            found += [folder for folder in level if "run.json" in names[folder]]
            level = [
                folder.below(name[:-1])
                for folder in level
                if "run.json" not in names[folder]
                for name in names[folder]
                if name.endswith("/") and not name.startswith(".")
            ]
        return [path for path in pool.map(partial(_glimpse, bucket), found) if path is not None]


def check_nothing_left(to: Path) -> None:
    """That where an address says there is nothing, here or there, that is not to be taken for a new run's.

    Raises:
        BadInputError: there is.
    """
    if taken := next((name for name in _OF_PEOPLE if (to / name).exists()), None):
        raise BadInputError(f"{to} still has {taken} of an earlier run at this address; delete that folder first")
    for path in _in_store(files_of(to), to, "data", "commits"):
        if not (is_data_file(path.name) if path.parent.name == "data" else commit_number(path.name) is not None):
            raise _not_a_runs(path)


def move_into_store(folder: Path, to: Path) -> None:
    """Put a finished run of this machine's where an address says; it appears there once all of it is there.

    Args:
        folder: the run's. Nothing is left in it.
        to: the folder that stands for the address. What is not the store's goes there.

    Raises:
        BadInputError: there is a run already, or something else.
        LockedRunError, StorageError: the store refused; nothing of the folder is lost.
    """
    files = files_of(to, afresh=True)
    files.make_folder(to)
    lock = files.lock(to / "writer.lock")
    try:
        if files.exists(to / "run.json"):
            raise BadInputError(f"{called(to)} holds a run already; choose another address")
        check_nothing_left(to)
        theirs = [path for part in _OF_THE_STORE if (folder / part).is_dir() for path in (folder / part).iterdir()]
        for path in _in_store(files, to, "model"):
            own = folder / "model" / path.name
            if own not in theirs or files.read(path) != Files().read(own):
                raise _not_a_runs(path)
        for path in _in_store(files, to, "data", "commits"):
            files.remove(path)  # of one that was broken off: without its run.json it was no run
        for path in sorted(theirs):
            files.publish(to / path.relative_to(folder), Files().read(path))
        with _moved(folder, to, [name for name in Files().names(folder) if name not in _NOT_MOVED]):
            files.publish(to / "run.json", Files().read(folder / "run.json"))
    finally:
        files.unlock(lock)


def _in_store(files: Files, to: Path, *parts: str) -> list[Path]:
    return [to / part / name for part in parts for name in files.names(to / part)]


def _not_a_runs(path: Path) -> BadInputError:
    run = path.parents[1]
    return BadInputError(f"{called(run)} holds {path.relative_to(run)}, which is no run's; choose another address")


@contextmanager
def _moved(folder: Path, to: Path, names: Sequence[str]) -> Iterator[None]:
    """Move these from one folder into the other, and back if what is done then fails."""
    moved = list[str]()
    try:
        for name in names:
            Files().rename(folder / name, to / name)
            moved.append(name)
        yield
    except BaseException:
        for name in moved:
            Files().rename(to / name, folder / name)
        raise


class CopyFiles(Files):
    """File operations on copies, which are made also where runs are only shown."""

    def call(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do one system call."""
        return operation(*args, **kwargs)


class MirrorFiles(Files):
    """The file operations of a run's copy."""

    excludes_others = False

    def __init__(self, path: Path, address: Address, bucket: Bucket, *, afresh: bool = False) -> None:
        """Of the run at `address`, with its copy at `path`; `afresh` reads what is in the store whatever is here."""
        self._path, self._address, self._bucket, self._afresh = path, address, bucket, afresh
        self._lease: Lease | None = None
        self._leased = -1
        self._local = CopyFiles()

    def read(self, path: Path, limit: int | None = None) -> bytes:
        """As of any file; what is not here yet is fetched, and `run.json` each time."""
        there = self._there(path)
        if there is None:
            return super().read(path, limit)
        is_manifest = path == self._path / "run.json"
        if not is_manifest and not self._afresh:
            with suppress(FileNotFoundError):
                return super().read(path, limit)
        data = self._bucket.read(there, limit)
        if limit is None or len(data) < limit:
            with suppress(FileNotFoundError):
                if is_manifest and self._local.read(path) == data:
                    return data
            self._keep(path, [data])
        return data

    @contextmanager
    def stream(self, path: Path) -> Iterator[BinaryIO]:
        """As of any file; what is not here yet is fetched."""
        there = self._there(path)
        if there is not None and (self._afresh or not super().exists(path)):
            self._keep(path, self._bucket.pieces(there))
        with super().stream(path) as opened:
            yield opened

    def names(self, path: Path) -> list[str]:
        """What is in the store's folder, or in one of this machine's own."""
        if path.parent == self._path and path.name in _OF_THE_STORE:
            return [name for name in self._bucket.names(self._address.below(path.name)) if not name.endswith("/")]
        return super().names(path)

    def exists(self, path: Path) -> bool:
        """Whether it is in the store, or here."""
        there = self._there(path)
        return super().exists(path) if there is None else self._bucket.exists(there)

    def create_from(self, path: Path, parts: Iterable[bytes]) -> None:
        """Write a file of the store's there and here."""
        there = self._there(path)
        if there is None:
            super().create_from(path, parts)
        else:
            self._send(self._bucket.put, there, path, parts)

    def publish_from(self, path: Path, parts: Iterable[bytes]) -> None:
        """Make a file of the store's appear there, if it is not there yet, and then here."""
        there = self._there(path)
        if there is None:
            super().publish_from(path, parts)
        else:
            self._send(self._bucket.create, there, path, parts)

    def replace(self, path: Path, data: bytes, *, durable: bool = True) -> None:
        """Put a small file in the place of the old one, there and here. A model's file takes nobody's place there.

        Raises:
            BadInputError: there is another file of a model's name already.
        """
        there = self._there(path)
        if there is None:
            super().replace(path, data, durable=durable)
        elif path.parent.name == "model":
            try:
                self._send(self._bucket.create, there, path, [data])
            except FileExistsError:
                raise BadInputError(f"{there} is there already and not this run's; choose another address") from None
        else:
            self.create_from(path, [data])

    def remove(self, path: Path, *, durable: bool = False) -> None:
        """Delete a file of the store's there and here."""
        there = self._there(path)
        if there is None:
            super().remove(path, durable=durable)
            return
        self._check_lease()
        self._bucket.delete(there)
        with suppress(FileNotFoundError):
            super().remove(path, durable=durable)

    def sweep(self, folder: Path, older_than: float = 0.0) -> None:
        """Remove what killed processes left here; others may be fetching at this moment."""
        with suppress(FileNotFoundError):
            self._local.sweep(folder, max(older_than, _SWEPT_SECONDS))

    def sync_folder(self, path: Path) -> None:
        """Nothing is to be done for the store's own names: they are durable once it has answered."""
        if self._there(path / "any") is None:
            super().sync_folder(path)

    def lock(self, path: Path, wait: float = 0.0) -> int:
        """Take a lock; with the writer's goes a lease in the store."""
        descriptor = super().lock(path, wait)
        if path == self._path / "writer.lock":
            lease = Lease(self._bucket, self._address)
            try:
                lease.take()
            except BaseException:
                super().unlock(descriptor)
                raise
            self._lease, self._leased = lease, descriptor
        return descriptor

    def unlock(self, descriptor: int) -> None:
        """Give a lock back, and the lease with it."""
        if self._lease is not None and descriptor == self._leased:
            self._lease.give_back()
            self._lease = None
        super().unlock(descriptor)

    def _there(self, path: Path) -> Address | None:
        """Where a file is in the store; None of this machine's own. Hidden files are only ever on their way to a name."""
        if not path.is_relative_to(self._path) or path.name.startswith("."):
            return None
        parts = path.relative_to(self._path).parts
        is_theirs = parts == ("run.json",) or (len(parts) == 2 and parts[0] in _OF_THE_STORE)
        return self._address.below(*parts) if is_theirs else None

    def _send(
        self, write: Callable[[Address, bytes], object], there: Address, path: Path, parts: Iterable[bytes]
    ) -> None:
        """Write a file into the store and then here."""
        data = b"".join(parts)
        self._check_lease()
        write(there, data)
        self._keep(path, [data])

    def _keep(self, path: Path, parts: Iterable[bytes]) -> None:
        """Put a file of the store's here, whole or not at all; with another `run.json`, another run's copies go."""
        if path == self._path / "run.json":
            for folder in _OF_THE_STORE:
                with suppress(FileNotFoundError):
                    for name in self._local.names(self._path / folder):
                        self._local.remove(self._path / folder / name)
        self._local.make_folder(path.parent)
        temporary = path.with_name(f".{path.name}.{uuid4().hex}{TEMPORARY}")
        try:
            self._local.create_from(temporary, parts)
            self._local.rename(temporary, path)
        except (EngineError, OSError):
            with suppress(FileNotFoundError):
                self._local.remove(temporary)
            raise

    def _check_lease(self) -> None:
        if self._lease is not None:
            self._lease.check()


def _root() -> Path:
    """Where copies lie: `$SNAPSHOT_INFLUENCE_COPIES`, or else `~/.local/share/snapshot-influence/copies`."""
    return _resolved(os.environ.get("SNAPSHOT_INFLUENCE_COPIES") or "~/.local/share/snapshot-influence/copies")


@lru_cache(maxsize=8)
def _resolved(folder: str) -> Path:
    return Path(folder).expanduser().resolve()


def _copy_of(address: Address) -> Path:
    files, origin = CopyFiles(), str(address.whole)
    folder = _root() / f"{address.bucket}-{sha256(origin.encode()).hexdigest()[:8]}"
    if not files.exists(folder / _ORIGIN):
        files.make_folder(folder)
        files.replace(folder / _ORIGIN, origin.encode())
    return folder.joinpath(*address.parts)


def _glimpse(bucket: Bucket, run: Address) -> Path | None:
    """A run's copy with what shows that it grew, as far as that can be had; None where it is gone by now."""
    path = _copy_of(run)
    if address_of(path) != run:  # inside a run that is gone by now; `local_folder` says so
        return None
    files = MirrorFiles(path, run, bucket)
    try:
        files.read(path / "run.json", LARGEST_COMMIT + 1)
        for name in files.names(path / "commits")[-1:]:
            files.read(path / "commits" / name, LARGEST_COMMIT + 1)
    except FileNotFoundError:
        return None
    except EngineError:  # who opens it is told why
        return path
    return path

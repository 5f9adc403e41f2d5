"""Every file operation of the run format: what a disk can do wrong is handled, and tested, in one place."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, ClassVar, ParamSpec, TypeVar
from uuid import uuid4

from filelock import lock_descriptor, unlock_descriptor

from engine.errors import BadInputError, DamagedRunError, EngineError, LockedRunError, StorageError

P = ParamSpec("P")
T = TypeVar("T")

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_KEPT_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_READ_AT_ONCE = 16 * 2**20

_WRITES = (os.write, os.link, os.unlink, os.rename, os.replace, os.mkdir)

TEMPORARY = ".tmp"
"""End of the hidden name that a file has until it is whole."""


class Files:
    """The file operations of the store. Each system call passes through `call`, which tests override.

    Raises:
        FileExistsError, FileNotFoundError: an answer rather than a failure; the caller knows what it means.
        StorageError: any other refusal of the disk, in one line.
    """

    writes_nothing: ClassVar[bool] = False
    """Whether this process only shows what there is, as if no disk could be written."""
    excludes_others: ClassVar[bool] = True
    """Whether who holds a lock can be sure that nobody else believes to hold it."""

    def call(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do one system call.

        Raises:
            StorageError: it would write, and `writes_nothing` is set.
        """
        if Files.writes_nothing and (operation in _WRITES or (operation is os.open and int(args[1]) & os.O_CREAT)):  # type: ignore[call-overload]
            raise StorageError("nothing is written here: this dashboard only shows runs (--read-only)")
        return operation(*args, **kwargs)

    def create(self, path: Path, data: bytes) -> None:
        """`create_from` of bytes that are in memory."""
        self.create_from(path, [data])

    def create_from(self, path: Path, parts: Iterable[bytes]) -> None:
        """Write a new file and force its bytes to the disk; its name is durable after `sync_folder`.

        Args:
            path: the file.
            parts: its bytes, piece by piece, so that they need not be in memory together.

        Raises:
            FileExistsError: there is something at `path`, even a dangling link.
        """
        with _storage_errors(path), self._opened(path, _NEW_FILE) as descriptor:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[self.call(os.write, descriptor, rest) :]
            self.call(os.fsync, descriptor)

    def sync_folder(self, path: Path) -> None:
        """Force the names in a folder to the disk."""
        with _storage_errors(path), self._opened(path, _FOLDER) as descriptor:
            self.call(os.fsync, descriptor)

    def publish(self, path: Path, data: bytes) -> None:
        """`publish_from` of bytes that are in memory."""
        self.publish_from(path, [data])

    def publish_from(self, path: Path, parts: Iterable[bytes]) -> None:
        """Make a file appear complete or not at all, durably, and only if `path` is not there yet.

        Args:
            path: the file.
            parts: its bytes, as `create_from` takes them.

        Raises:
            FileExistsError: there is something at `path`; it is left as it is.
        """
        temporary = path.with_name(f".{path.name}.{uuid4().hex}{TEMPORARY}")
        try:
            self.create_from(temporary, parts)
            with _storage_errors(path):
                self.call(os.link, temporary, path)
        except (EngineError, OSError):
            with suppress(OSError):
                self.call(os.unlink, temporary)
            raise
        with _storage_errors(path):
            self.call(os.unlink, temporary)
        self.sync_folder(path.parent)

    def replace(self, path: Path, data: bytes, *, durable: bool = True) -> None:
        """Put a small file in the place of the old one; a reader sees the old bytes or the new ones.

        Args:
            path: the file.
            data: its bytes.
            durable: whether it survives a power loss once this returns. A cache, or what says how far some work is, need not.
        """
        temporary = path.with_name(f".{path.name}.{uuid4().hex}{TEMPORARY}")
        try:
            self.create(temporary, data)
            with _storage_errors(path):
                self.call(os.replace, temporary, path)
        except (StorageError, OSError):
            with suppress(OSError):
                self.call(os.unlink, temporary)
            raise
        if durable:
            self.sync_folder(path.parent)

    def rename(self, path: Path, to: Path) -> None:
        """Give a file or folder its final name; an empty folder there is replaced."""
        with _storage_errors(to):
            self.call(os.rename, path, to)
        self.sync_folder(to.parent)

    def remove(self, path: Path, *, durable: bool = False) -> None:
        """Delete a file.

        Args:
            path: the file.
            durable: whether a power loss can't bring it back once this returns.
        """
        with _storage_errors(path):
            self.call(os.unlink, path)
        if durable:
            self.sync_folder(path.parent)

    def sweep(self, folder: Path, older_than: float = 0.0) -> None:
        """Remove what killed writers left in a folder: files that never got their name.

        Args:
            folder: where to look.
            older_than: seconds since they were last written; 0 where nobody else can be writing.
        """
        for name in self.names(folder):
            path = folder / name
            if name.startswith(".") and name.endswith(TEMPORARY):
                with suppress(FileNotFoundError):
                    if not older_than or time.time() - path.lstat().st_mtime > older_than:
                        self.remove(path)

    def read(self, path: Path, limit: int | None = None) -> bytes:
        """The bytes of a regular file; a link is not followed and a pipe does not block.

        Args:
            path: the file.
            limit: stop after this many bytes, so that a file that grew can't fill the memory.

        Raises:
            FileNotFoundError: there is no such file.
            DamagedRunError: it is a folder, a link or a device.
        """
        with _storage_errors(path), self._opened(path, _READ) as descriptor:
            status = self.call(os.fstat, descriptor)
            _check_plain(path, status)
            left = status.st_size if limit is None else min(limit, status.st_size)
            parts = []
            while left > 0 and (part := self.call(os.read, descriptor, min(left, _READ_AT_ONCE))):
                parts.append(part)
                left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @contextmanager
    def stream(self, path: Path) -> Iterator[BinaryIO]:
        """A regular file to be read piece by piece. Errors as `read`."""
        with _storage_errors(path), self._opened(path, _READ) as descriptor:
            _check_plain(path, self.call(os.fstat, descriptor))
            with os.fdopen(descriptor, "rb", closefd=False) as opened:
                yield opened

    def names(self, path: Path) -> list[str]:
        """The sorted names in a folder.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        with _storage_errors(path), self._opened(path, _FOLDER | os.O_NOFOLLOW) as descriptor:
            return sorted(self.call(os.listdir, descriptor))

    def exists(self, path: Path) -> bool:
        """Whether there is anything at `path`, even a dangling link."""
        with _storage_errors(path):
            return self.call(os.path.lexists, path)

    def make_folder(self, path: Path) -> None:
        """Make a folder and its parents, durably; one that is there already is fine."""
        with _storage_errors(path):
            if self.call(os.path.isdir, path):
                return
        if path.parts[:1] in (("s3:",), ("gs:",)):
            raise BadInputError(
                f"{path} can't be made: an object store holds runs and nothing else here; name a folder"
            )
        self.make_folder(path.parent)
        with _storage_errors(path):
            try:
                self.call(os.mkdir, path)
            except FileExistsError:
                if not self.call(os.path.isdir, path):
                    raise StorageError(f"{path} is a file; a folder is needed there") from None
            except FileNotFoundError as error:
                raise StorageError(f"{path} can't be made ({error.strerror}); choose another folder") from None
        self.sync_folder(path.parent)

    def kept_open(self, path: Path, *, emptied: bool = False) -> int:
        """A descriptor of a lock or a log, which is made where it is not there. The caller closes it.

        Args:
            path: the file.
            emptied: whether what it held is thrown away.

        Raises:
            DamagedRunError: it is a link, a folder or a device, or another name of a file that is elsewhere too.
        """
        with _storage_errors(path):
            descriptor: int = self.call(os.open, path, _KEPT_OPEN, 0o666)
            try:
                _check_plain(path, self.call(os.fstat, descriptor), alone=True)
                if emptied:
                    self.call(os.ftruncate, descriptor, 0)
            except BaseException:
                self.call(os.close, descriptor)
                raise
        return descriptor

    def lock(self, path: Path, wait: float = 0.0) -> int:
        """Take the lock that `path` stands for; the result goes to `unlock`. A killed process loses its lock.

        Args:
            path: its file.
            wait: seconds to wait for another one that holds it for moments only.

        Raises:
            LockedRunError: another process holds it.
            DamagedRunError: `path` is no plain file of its own.
        """
        until = time.monotonic() + wait
        # A `FileLock` opens its file itself: a second name of somebody's file too. And a worker must inherit this one.
        descriptor = self.kept_open(path)
        try:
            with _storage_errors(path):
                while not self.call(lock_descriptor, descriptor, blocking=False):
                    if time.monotonic() >= until:
                        raise LockedRunError(
                            f"{path.parent} is being written by another process; wait for it or stop it"
                        )
                    time.sleep(0.01)
        except BaseException:
            self.call(os.close, descriptor)
            raise
        return descriptor

    def unlock(self, descriptor: int) -> None:
        """Give the lock back, also where a forked child inherited it. An error here can lose nothing."""
        with suppress(OSError):
            self.call(unlock_descriptor, descriptor)
        with suppress(OSError):
            self.call(os.close, descriptor)

    @contextmanager
    def _opened(self, path: Path, flags: int) -> Iterator[int]:
        descriptor = self.call(os.open, path, flags, 0o666)
        try:
            yield descriptor
        finally:
            self.call(os.close, descriptor)


def inside(folder: Path, *names: str) -> Path:
    """`folder / names...`, where no part below `folder` is a link, so that nothing outside of it is read or written.

    Folder and file need not be there. What is a run's, or beside it, is reached through this: a received run may hold
    links to anything.

    Args:
        folder: a run's folder, or another that the user named; it may be a link itself.
        names: of the folders below it and of the file.

    Raises:
        DamagedRunError: a part is a link, a device or a pipe.
    """
    path = folder
    for name in names:
        path = path / name
        try:
            kind = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise StorageError(_refusal(path, error)) from error
        if stat.S_ISLNK(kind):
            raise DamagedRunError(
                f"{path.relative_to(folder)} is a symbolic link; nothing is read or written through it"
            )
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise DamagedRunError(f"{path.relative_to(folder)} is not a regular file")
    return path


def _check_plain(path: Path, status: os.stat_result, alone: bool = False) -> None:
    """Refuse what is no file; `alone`: also one that has another name, under which it may be anybody's."""
    if not stat.S_ISREG(status.st_mode) or (alone and status.st_nlink > 1):
        raise DamagedRunError(f"{path.parent.name}/{path.name} is not a regular file")


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    """Say in one line what the disk refused."""
    try:
        yield
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DamagedRunError(f"{path.parent.name}/{path.name} is a symbolic link") from error
        raise StorageError(_refusal(path, error)) from error


def _refusal(path: Path, error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return f"the disk is full ({path}); earlier rounds are safe: free some space, then resume"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{path.parent} can't be used ({error.strerror}); choose a folder that you may write to"
        case errno.ENOMEM:
            return f"{path} can't be read or written: there is not enough memory; close something, then try again"
        case errno.ENAMETOOLONG:
            return f"the name {path.name[:40]}… is too long; choose a shorter one"
        case errno.ENOTDIR:
            return f"{path} can't be used: a part of the path is a file; a folder is needed there"
        case _:
            return f"{path} failed ({error.strerror}); earlier rounds are safe: check the disk, then resume"

"""The operations of an object store that runs need: read by Arrow's file systems, written where a write can be conditional.

A commit must appear once, whoever else writes at the same moment: S3's `If-None-Match: *` promises that, and Arrow's file
systems can't ask for it. So writes go through boto3 (extra `s3`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, ParamSpec, TypeVar

from pyarrow import ArrowException

from engine.errors import BadInputError, StorageError
from engine.store.buckets.address import Address

P = ParamSpec("P")
T = TypeVar("T")

_KEYS = {
    "s3": "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
}
"""Where a store's own programs look for who somebody is."""
_AT_ONCE = 16 * 2**20
_PATIENCE = 10
"""Seconds that a request to Google's store is tried again; by itself Arrow does so for a quarter of an hour."""
_REFUSED = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
_MISSING = ("NoSuchKey", "404")
_NO_CONDITIONS = ("NotImplemented", "501")
_NO_RIGHT = (
    "AccessDenied",
    "ACCESS_DENIED",
    "ExpiredToken",
    "Forbidden",
    "InvalidAccessKeyId",
    "NoCredentials",
    "OAuth2 access token",
    "SignatureDoesNotMatch",
)


class Held(NamedTuple):
    """A small object."""

    data: bytes
    tag: str
    """By which a write says that it takes this one's place."""
    age: float
    """Seconds since it was written, by the store's own clock."""


class Bucket:
    """The object store of an address. Each request passes through `call`, which tests override.

    Raises:
        FileNotFoundError, FileExistsError: an answer rather than a failure.
        StorageError: the store can't be reached or refuses, in one line.
        BadInputError: there is no such bucket, or boto3 is missing.
    """

    def __init__(self, address: Address) -> None:
        """Nothing is asked for yet."""
        self.address = address

    def call(self, request: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make one request."""
        return request(*args, **kwargs)

    def read(self, file: Address, limit: int | None = None) -> bytes:
        """The bytes of an object, or so many of them."""
        return b"".join(self.pieces(file, limit))

    def pieces(self, file: Address, limit: int | None = None) -> Iterator[bytes]:
        """The bytes of an object, piece by piece."""
        with self._errors(file):
            stream = self.call(self._files.open_input_stream, file.path)
            with stream:
                left = _AT_ONCE if limit is None else limit
                while left > 0 and (piece := self.call(stream.read, min(left, _AT_ONCE))):
                    yield piece
                    left -= 0 if limit is None else len(piece)

    def names(self, folder: Address) -> list[str]:
        """What lies right in a folder, sorted; folders end with a slash. Of a folder that is not there nothing."""
        from pyarrow.fs import FileSelector, FileType

        with self._errors(folder):
            found = self.call(self._files.get_file_info, FileSelector(folder.path, allow_not_found=True))
        return sorted(f"{each.base_name}/" if each.type == FileType.Directory else each.base_name for each in found)

    def exists(self, file: Address) -> bool:
        """Whether there is an object of this name."""
        from pyarrow.fs import FileType

        with self._errors(file):
            return bool(self.call(self._files.get_file_info, file.path).type == FileType.File)

    def create(self, file: Address, data: bytes) -> str:
        """Write an object only if there is none of this name; returns its tag.

        Where an answer was lost and the request made again, the object that is there by then is this one.

        Raises:
            FileExistsError: there is another one, or somebody writes it at this moment.
        """
        try:
            return self._put(file, data, IfNoneMatch="*")
        except FileExistsError:
            with suppress(FileNotFoundError):
                held = self.held(file)
                if held.data == data:
                    return held.tag
            raise

    def replace(self, file: Address, data: bytes, tag: str) -> str:
        """Write an object in the place of the one that has this tag; returns its own.

        Raises:
            FileExistsError: there is another one by now, or none.
        """
        try:
            return self._put(file, data, IfMatch=tag)
        except FileNotFoundError:
            raise FileExistsError(str(file)) from None

    def put(self, file: Address, data: bytes) -> None:
        """Write an object whatever is there."""
        self._put(file, data)

    def held(self, file: Address) -> Held:
        """A small object with its tag."""
        from email.utils import parsedate_to_datetime

        with self._errors(file):
            got = self.call(self._client.get_object, Bucket=file.bucket, Key=file.key)
            said = got["ResponseMetadata"]["HTTPHeaders"].get("date")
            now = parsedate_to_datetime(said) if said else datetime.now(UTC)
            return Held(got["Body"].read(), got["ETag"], (now - got["LastModified"]).total_seconds())

    def delete(self, file: Address) -> None:
        """Remove an object; one that is not there is fine."""
        with self._errors(file):
            self.call(self._client.delete_object, Bucket=file.bucket, Key=file.key)

    @property
    def _files(self) -> Any:
        with self._errors(self.address):
            return _reader(self.address.whole)

    @property
    def _client(self) -> Any:
        if self.address.scheme != "s3":
            raise StorageError(
                f"{self.address} can only be read: this engine writes to s3:// alone; record into a folder, and copy that"
            )
        with self._errors(self.address):
            return _writer(self.address.whole)

    def _put(self, file: Address, data: bytes, **conditions: str) -> str:
        with self._errors(file):
            done = self.call(self._client.put_object, Bucket=file.bucket, Key=file.key, Body=data, **conditions)
            return str(done["ETag"])

    @contextmanager
    def _errors(self, file: Address) -> Iterator[None]:
        """Say in one line what the store refused."""
        try:
            yield
        except (FileExistsError, FileNotFoundError):
            raise
        except Exception as error:  # what is none of the store's is raised again
            said = getattr(error, "response", None)  # boto3's own errors can be named only where it is installed
            code = str(said["Error"].get("Code", "")) if said else ""
            if code in _REFUSED:
                raise FileExistsError(str(file)) from None
            if code in _MISSING:
                raise FileNotFoundError(str(file)) from None
            if code in _NO_CONDITIONS:
                raise no_conditions(file) from error
            if code == "NoSuchBucket":
                raise BadInputError(f"there is no bucket {file.bucket}; make it, or name another") from None
            is_botos = type(error).__module__.startswith("botocore")
            if not said and not is_botos and not isinstance(error, OSError | ArrowException):
                raise
            line = _first_line(error)
            if any(each in f"{code} {type(error).__name__} {line}" for each in _NO_RIGHT):
                raise StorageError(
                    f"{file} can't be used ({line}); say who you are, as for the store's own programs, by "
                    f"{_KEYS[file.scheme]}; and have the right to use it"
                ) from error
            raise StorageError(f"{file} failed ({line}); earlier rounds are safe: try again") from error


@lru_cache(maxsize=8)
def _reader(bucket: Address) -> Any:
    """Arrow's file system, with the connections of this process."""
    from pyarrow.fs import FileSystem

    patience = f"{'&' if bucket.options else '?'}retry_limit_seconds={_PATIENCE}" if bucket.scheme == "gs" else ""
    found, _ = FileSystem.from_uri(f"{bucket}{patience}")
    return found


@lru_cache(maxsize=8)
def _writer(bucket: Address) -> Any:
    """boto3's client, which takes a third of a second to make."""
    try:
        import boto3
    except ImportError:
        raise BadInputError(f"to write to {bucket}, boto3 is needed: pip install 'snapshot-influence[s3]'") from None
    said = bucket.said
    endpoint = said.get("endpoint_override")
    url = f"{said.get('scheme', 'https')}://{endpoint}" if endpoint else None
    return boto3.Session().client("s3", endpoint_url=url, region_name=said.get("region"))


def no_conditions(file: Address) -> StorageError:
    """What is wrong with a store on which two writers could make the same commit."""
    return StorageError(
        f"{file.whole} can't be written: this store has no conditional writes, so that two writers could make the same round; "
        "record into a folder, and copy that"
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]

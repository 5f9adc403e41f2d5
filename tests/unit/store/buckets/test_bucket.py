"""Requests to an object store: what it answers, and what is said where it refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from object_store import At

from engine.errors import BadInputError, StorageError
from engine.store.buckets import bucket as bucket_module
from engine.store.buckets.address import Address
from engine.store.buckets.bucket import Bucket


def bucket_of(text: str) -> tuple[Bucket, Address]:
    address = Address.of(text)
    assert address is not None
    return Bucket(address), address


def test_the_store_of_these_tests_refuses_a_second_put(bucket: At) -> None:
    store, there = bucket_of(bucket("mine"))
    tag = store.create(there.below("one"), b"mine")
    with pytest.raises(FileExistsError):
        store.create(there.below("one"), b"another's")
    assert store.create(there.below("one"), b"mine") == tag, "an answer that was lost and asked for again"
    newer = store.replace(there.below("one"), b"newer", tag)
    with pytest.raises(FileExistsError):
        store.replace(there.below("one"), b"too late", tag)
    with pytest.raises(FileExistsError):
        store.replace(there.below("none"), b"too late", tag)
    held = store.held(there.below("one"))
    assert (held.data, held.tag) == (b"newer", newer)
    assert 0 <= held.age < 60


def test_objects_are_read_listed_and_removed(bucket: At) -> None:
    store, there = bucket_of(bucket("a run"))
    for name in ("b", "a?c", "folder/d"):
        store.put(there.below(*name.split("/")), name.encode() * 3)
    assert store.names(there) == ["a?c", "b", "folder/"]
    assert store.read(there.below("a?c")) == b"a?ca?ca?c"
    assert store.read(there.below("b"), limit=2) == b"bb"
    store.delete(there.below("b"))
    store.delete(there.below("b"))
    with pytest.raises(FileNotFoundError):
        store.read(there.below("b"))
    with pytest.raises(FileNotFoundError):
        store.held(there.below("b"))
    assert store.names(there.below("nothing")) == []


class Answer(BaseHTTPRequestHandler):
    """One error to every request."""

    code, name = 403, "AccessDenied"

    def do_GET(self) -> None:
        said = f"<Error><Code>{self.name}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.code)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    do_HEAD = do_PUT = do_GET

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def refusing() -> Iterator[Callable[[int, str], str]]:
    """Status and code -> the address of a run in a store that answers everything so."""
    server = HTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()

    def address(code: int, name: str) -> str:
        Answer.code, Answer.name = code, name
        return f"s3://bucket/run?endpoint_override=127.0.0.1:{server.server_port}&region=us-east-1&scheme=http"

    yield address
    server.shutdown()
    server.server_close()


def test_who_may_not_is_told_how_to_say_who_they_are(
    bucket: At, refusing: Callable[[int, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, there = bucket_of(refusing(403, "AccessDenied"))
    for request in (lambda: store.read(there), lambda: store.put(there, b""), lambda: store.names(there)):
        with pytest.raises(StorageError, match=r"can't be used .*AWS_PROFILE") as refused:
            request()
        assert "\n" not in str(refused.value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    store, there = bucket_of(bucket("mine").replace("us-east-1", "us-east-2"))  # another client than those before
    with pytest.raises(StorageError, match=r"Unable to locate credentials.*AWS_PROFILE"):
        store.put(there, b"")


def test_a_store_that_knows_no_conditions_is_refused(bucket: At, refusing: Callable[[int, str], str]) -> None:
    store, there = bucket_of(refusing(501, "NotImplemented"))
    with pytest.raises(StorageError, match="has no conditional writes"):
        store.create(there, b"")


def test_googles_store_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "_PATIENCE", 1)
    store, there = bucket_of("gs://bucket/mine?endpoint_override=127.0.0.1:1&scheme=http")
    with pytest.raises(StorageError, match=r"gs://bucket/mine\?") as refused:
        store.read(there)
    assert "\n" not in str(refused.value)


def test_a_bucket_that_is_not_there(bucket: At) -> None:
    store, there = bucket_of(bucket("mine").replace("s3://runs", "s3://no-runs"))
    with pytest.raises(BadInputError, match=r"there is no bucket no-runs.*; make it"):
        store.put(there, b"")


def test_what_can_only_be_read_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    store, there = bucket_of("gs://bucket/mine")
    with pytest.raises(StorageError, match="can only be read"):
        store.put(there, b"")
    monkeypatch.setitem(sys.modules, "boto3", None)
    store, there = bucket_of("s3://bucket/mine")
    with pytest.raises(BadInputError, match=r"pip install 'snapshot-influence\[s3\]'"):
        store.put(there, b"")

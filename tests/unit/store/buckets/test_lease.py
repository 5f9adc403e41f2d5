"""The lease of a run on an object store: one writer at a time, by the store's clock."""

from __future__ import annotations

import time
from typing import Any

import pytest
from object_store import At

from engine.errors import LockedRunError, StorageError
from engine.store.buckets import lease
from engine.store.buckets.address import Address
from engine.store.buckets.bucket import Bucket
from engine.store.buckets.lease import Lease


def lease_of(text: str) -> Lease:
    address = Address.of(text)
    assert address is not None
    return Lease(Bucket(address), address)


def test_one_holds_it_and_the_next_gets_it_back(bucket: At) -> None:
    first, second = lease_of(bucket("mine")), lease_of(bucket("mine"))
    first.take()
    first.check()
    with pytest.raises(LockedRunError, match=r"another process; wait for it or stop it .* 1[12]\d s"):
        second.take()
    first.give_back()
    second.take()
    first.give_back()
    second.check()
    with pytest.raises(LockedRunError):
        lease_of(bucket("mine")).take()
    second.give_back()


def test_it_is_renewed_as_long_as_its_process_lives(bucket: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "EVERY_SECONDS", 0.01)
    held = lease_of(bucket("mine"))
    held.take()
    first = held._tag
    monkeypatch.setattr(lease, "SECONDS", 77.0)  # it says so, which changes its tag
    until = time.monotonic() + 20
    while held._tag == first and time.monotonic() < until:
        time.sleep(0.01)
    assert held._tag != first
    held.give_back()


def test_one_that_ran_out_is_taken_over_and_its_writer_stops(bucket: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.0)  # every lease has run out at once
    first, second = lease_of(bucket("mine")), lease_of(bucket("mine"))
    first.take()
    first.check()
    second.take()
    with pytest.raises(LockedRunError, match="taken over by another writer"):
        first.check()
    monkeypatch.setattr(lease, "SECONDS", 120.0)
    with pytest.raises(LockedRunError, match="taken over by another writer"):
        first.check()
    first.give_back()
    second.check()
    second.give_back()


def test_an_answer_to_a_renewal_that_was_lost_takes_nothing_away(bucket: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.0)
    honest, held = Bucket.call, lease_of(bucket("mine"))
    held.take()

    def losing(self: Bucket, request: Any, *args: Any, **asked: Any) -> Any:
        honest(self, request, *args, **asked)
        raise OSError("the network is down")

    monkeypatch.setattr(Bucket, "call", losing)
    with pytest.raises(StorageError, match="the network is down"):
        held.check()
    monkeypatch.setattr(Bucket, "call", honest)
    held.check()
    held.give_back()


@pytest.mark.parametrize("condition", ["IfNoneMatch", "IfMatch"])
def test_a_store_that_passes_over_a_condition_is_refused(
    bucket: At, monkeypatch: pytest.MonkeyPatch, condition: str
) -> None:
    honest = Bucket.call

    def careless(self: Bucket, request: Any, *args: Any, **asked: Any) -> Any:
        asked.pop(condition, None)
        return honest(self, request, *args, **asked)

    monkeypatch.setattr(Bucket, "call", careless)
    held = lease_of(bucket("mine"))
    with pytest.raises(StorageError, match="no conditional writes, so that two writers could make the same round"):
        held.take()
    assert held._bucket.names(held._run) == [], "nothing is left there"

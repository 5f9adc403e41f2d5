"""A lease in the place of a file lock: who may write a run on an object store.

It is held as long as its process lives, which renews it, and runs out by itself when that is killed. It spares two writers
each other's work. What keeps a run whole is the conditional write of its commits: a writer that slept through the end of its
lease, and does not know it, is refused there.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from typing import NamedTuple
from uuid import uuid4

from engine.errors import EngineError, LockedRunError, StorageError
from engine.store.buckets.address import Address
from engine.store.buckets.bucket import Bucket, no_conditions

SECONDS = 120.0
"""That it holds, from the last renewal on. A writer that was killed keeps others away so long."""
EVERY_SECONDS = 30.0
"""Between two renewals."""


class _Said(NamedTuple):
    owner: str
    seconds: float


class Lease:
    """The lease of a run, held from `take` to `give_back`. The store's own clock counts."""

    def __init__(self, bucket: Bucket, run: Address) -> None:
        """Nothing is asked for yet."""
        self._bucket, self._run, self._file = bucket, run, run.below("writer.lease")
        self._owner = uuid4().hex
        self._tag = '"none yet"'
        self._is_lost = False
        self._renewed = 0.0
        self._one_at_a_time = threading.Lock()
        self._over = threading.Event()

    def take(self) -> None:
        """Take it, also in the place of one that has run out.

        Raises:
            LockedRunError: another writer holds it.
            StorageError: the store has no conditional writes, so that nothing can be promised; or it can't be reached.
        """
        self._renewed = time.monotonic()
        try:
            self._tag = self._bucket.create(self._file, self._written(SECONDS))
        except FileExistsError:
            self._take_over()
        except StorageError:  # it may have been made, and the answer lost
            self.give_back()
            raise
        else:
            self._check_refusals()
        threading.Thread(target=self._renew_until_over, name="writer.lease", daemon=True).start()

    def check(self) -> None:
        """Make sure of it before a write.

        Raises:
            LockedRunError: another writer took it over.
            StorageError: it has run out, and the store can't be reached.
        """
        if self._is_lost:
            raise self._taken()
        if time.monotonic() - self._renewed >= SECONDS:
            self._renew(SECONDS)

    def give_back(self) -> None:
        """Let others write at once; where somebody took it over, theirs stays."""
        self._over.set()
        with suppress(EngineError):
            self._renew(0.0)

    def _renew_until_over(self) -> None:
        while not self._over.wait(EVERY_SECONDS) and not self._is_lost:
            with suppress(EngineError):  # it is tried again, and `check` speaks of it
                self._renew(SECONDS)

    def _renew(self, seconds: float) -> None:
        with self._one_at_a_time:
            if seconds and self._over.is_set():  # given back at this moment
                return
            now, data = time.monotonic(), self._written(seconds)
            try:
                try:
                    self._tag = self._bucket.replace(self._file, data, self._tag)
                except FileExistsError:  # perhaps its own: the answer to a renewal may have been lost
                    held = self._bucket.held(self._file)
                    if _read(held.data).owner != self._owner:
                        raise
                    self._tag = self._bucket.replace(self._file, data, held.tag)
            except (FileExistsError, FileNotFoundError):
                self._is_lost = True
                raise self._taken() from None
            self._renewed = now

    def _take_over(self) -> None:
        try:
            held = self._bucket.held(self._file)
            left = _read(held.data).seconds - held.age
            if left > 0:
                raise LockedRunError(
                    f"{self._run} is being written by another process; wait for it or stop it (one that was killed is waited "
                    f"for {left:.0f} s)"
                )
            self._tag = self._bucket.replace(self._file, self._written(SECONDS), held.tag)
        except (FileExistsError, FileNotFoundError):
            raise LockedRunError(f"{self._run} is being written by another process; try again") from None

    def _check_refusals(self) -> None:
        """Refuse a store that makes an object twice, or puts one in the place of another than was named."""
        for write in (
            lambda: self._bucket.create(self._file, b"a second one"),
            lambda: self._bucket.replace(self._file, b"another one", '"no such tag"'),
        ):
            try:
                write()
            except FileExistsError:
                continue
            except StorageError:  # nothing is known of the store, and others need not wait
                self.give_back()
                raise
            self._bucket.delete(self._file)
            raise no_conditions(self._run)

    def _taken(self) -> LockedRunError:
        return LockedRunError(f"{self._run} was taken over by another writer; open it again to go on")

    def _written(self, seconds: float) -> bytes:
        return json.dumps({"owner": self._owner, "seconds": seconds}).encode()


def _read(data: bytes) -> _Said:
    """What a lease says; one that is none has run out."""
    try:
        values = json.loads(data)
        return _Said(str(values["owner"]), float(values["seconds"]))
    except (ValueError, KeyError, TypeError):
        return _Said("", 0.0)

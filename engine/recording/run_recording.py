"""A run that is recorded from outside: rounds are collected, their minibatches watched, and committed after their update."""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInputError, EngineError
from engine.kinds.recorded.settings import RoundConfig
from engine.kinds.recorded.snapshot import RecordedSnapshot
from engine.recording.disk_space import AsFits, DiskSpace, checked
from engine.recording.minibatches import Records, passes
from engine.store.buckets.mirror import called, files_of, local_folder
from engine.store.commit import RunWriter
from engine.store.manifest import RunManifest
from engine.store.snapshot import parameters_of

NEVER_CAME = 2**31
"""Beside seed and round, what the permutations are drawn by that an update did not come to before it stopped."""


class Recording:
    """The rounds of one training. It holds the run's lock until it is finished, at the latest when Python ends."""

    def __init__(self, path: str | Path, keep: AsFits = "as fits", quiet: bool = False) -> None:
        """Nothing is written yet.

        Args:
            path: the run's folder, or its address on an object store.
            keep: see `DiskSpace`.
            quiet: do not say on stderr at round 1 what the run will take on disk.

        Raises:
            BadInputError: there is a run already, or `keep` is something else.
        """
        self.path = local_folder(path)
        self._keep, self._quiet = checked(keep), quiet
        self._check_free()
        self.writer: RunWriter | None = None
        self.pending: RecordedSnapshot | None = None
        """The round that is being trained on."""
        self.steps: list[Records] = []
        self.foreseen: Sequence[Records] = ()
        self.round = 0
        """The next round."""
        self.closed = self.failed = False
        """`failed`: a round could not be committed, after which no other is."""
        self.most_epochs: int | None = None
        """Of an update; None: as many as the first one takes."""
        self._led_to: Mapping[str, NDArray[Any]] | None = None
        """What the last update led to, where no round has begun with it."""
        self._since = 0.0
        self._space: DiskSpace | None = None
        self._ending: weakref.finalize[..., Any] | None = None

    def begin(self, manifest: RunManifest, planned: int | None = None) -> None:
        """Write `run.json`.

        Args:
            manifest: what it says.
            planned: rounds of the training, where somebody knows.

        Raises:
            BadInputError: it was closed, or another recorder has begun a run there since.
            EngineError: as `RunWriter.create`.
        """
        self._check_going_on()
        self._check_free()
        self._space = DiskSpace(self._keep, manifest, planned)
        self.writer = RunWriter.create(self.path, manifest)
        self.most_epochs = manifest.config.n_epochs
        self._ending = weakref.finalize(self, self.writer.close)
        self._ending.atexit = False  # the lock goes with the process, and a recorder's last commit comes before that

    def led_to(self, checkpoint: Mapping[str, NDArray[Any]]) -> None:
        """What the last update led to, before a round begins with it; if none does, it is what the run ends with.

        Raises:
            BadInputError: a round could not be committed, or the training went on after a round that was refused.
        """
        self._check_going_on()
        before = self._led_to
        if before is not None and self.round:
            now, was = parameters_of(checkpoint), parameters_of(before)
            if any(not np.array_equal(now[name], each, equal_nan=True) for name, each in was.items()):
                raise BadInputError(
                    f"the parameters have moved since round {self.round} was refused; record what comes after that into another "
                    "folder"
                )
        self._led_to = checkpoint

    @contextmanager
    def ends_on_error(self) -> Iterator[None]:
        """Record no more rounds after an error in here: nobody knows which parameters a later one would begin with."""
        try:
            yield
        except BaseException:
            self.failed = True
            raise

    def collected(self, snapshot: RecordedSnapshot, foreseen: Sequence[Records] = ()) -> None:
        """A round that is complete but for its update; `foreseen` is as `passes` takes it."""
        self.pending, self.foreseen, self.steps, self._since = snapshot, foreseen, [], time.perf_counter()
        self._led_to = None

    def minibatch(self, records: NDArray[Any]) -> None:
        """The records of the step that comes next."""
        self.steps.append(np.asarray(records, np.int64).ravel().copy())

    @property
    def seconds(self) -> float:
        """Since the round was collected."""
        return time.perf_counter() - self._since

    def whole(self) -> tuple[RecordedSnapshot, str]:
        """The round that is being trained on with the minibatches that were seen, and why it has none where it has not."""
        assert self.pending is not None, "asked for between collect and commit"
        snapshot = self.pending
        n, config = len(snapshot.buffer), RoundConfig.of(snapshot.config, {})
        rng = np.random.default_rng([config.seed, snapshot.round, NEVER_CAME])
        stops = config.target_kl is not None
        within = stops and config.kl_stop == "minibatch"
        found = passes(self.steps, n, rng, self.foreseen, config.n_epochs if stops else 0, cut_short=within)
        if found.why:
            return snapshot, found.why
        epochs = len(found.orders)
        if self.most_epochs is not None and epochs > self.most_epochs:
            return (
                snapshot,
                f"it took {epochs} epochs, and run.json says {self.most_epochs}; say n_epochs= to the recorder",
            )
        own: dict[str, Any] = {"batch_size": found.sizes[0], "n_epochs": epochs}
        if not found.regular:
            own["minibatch_sizes"] = list(found.sizes)
        in_force = {**snapshot.in_force, "config": {**snapshot.in_force["config"], **own}}
        whole = replace(snapshot, minibatches=found.orders, config=RoundConfig.of(config, own), in_force=in_force)
        return whole, ""

    def updated(self, metrics: Mapping[str, Any]) -> None:
        """Commit the round whose update is over.

        Raises:
            BadInputError: an earlier round could not be committed.
            EngineError: as `RunWriter.commit_round`; the recording is over.
        """
        if self.pending is None or self.writer is None or self._space is None:
            return
        self._check_going_on()
        with self.ends_on_error():
            snapshot, why = self.whole()
            found = {**snapshot.metrics, "update_seconds": self.seconds, **metrics}
            if why:
                found["not_replayable"] = why
            dropped = self._space.dropped(snapshot.round, found, self.writer.kept)
            self.writer.commit_round(snapshot, found, dropped)
        self.pending, self.round = None, snapshot.round + 1
        if self.round == 2:
            line = self._space.forecast(self.writer.kept)
            if not self._quiet:
                print(f"{self.path}: {line}", file=sys.stderr, flush=True)

    def finish(self, checkpoint: Mapping[str, NDArray[Any]]) -> None:
        """Commit the parameters after the last update, and give the lock back; in a forked process, do nothing."""
        if self._led_to is None:
            self._led_to = checkpoint
        self.close()

    def close(self) -> None:
        """Give the lock back; what was committed stays.

        A round whose update was going on is none, nor is one that could not be committed, but it began with the parameters that
        the round before it led to. In a forked process this does nothing: the training goes on in the other one.
        """
        if self.writer is None or self.writer.forked:
            return
        last, after = self.round, self._led_to if self.pending is None else self.pending.checkpoint
        writer, self.writer, self.pending, self.closed = self.writer, None, None, True
        try:
            if last and after is not None and not self.failed:
                writer.commit_final(last, after)
        finally:
            writer.close()
        if last and after is not None and self.failed:
            self._end_after_error(last, after)

    def _end_after_error(self, round: int, checkpoint: Mapping[str, NDArray[Any]]) -> None:
        """Commit what the last whole round led to, if the disk takes it; what went wrong has been said."""
        with suppress(EngineError), RunWriter.append(self.path) as writer:
            if writer.next_round == round:
                writer.commit_final(round, checkpoint)

    def _check_going_on(self) -> None:
        if self.closed and not self.failed:
            raise BadInputError(
                f"the recorder of {self.path} was closed; what comes after that needs another recorder with a folder of its own"
            )
        if self.failed:
            raise BadInputError(
                f"round {self.round} could not be committed into {self.path}, and the recording ended before it; "
                "record what comes after that into another folder"
            )

    def _check_free(self) -> None:
        if files_of(self.path).exists(self.path / "run.json"):
            raise BadInputError(f"{called(self.path)} holds a run already; record into another folder")

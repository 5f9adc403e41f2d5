"""A run that is recorded from outside: rounds are collected, their minibatches watched, and committed after their update."""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInputError
from engine.kinds.recorded.settings import RoundConfig
from engine.kinds.recorded.snapshot import RecordedSnapshot
from engine.recording.disk_space import AsFits, DiskSpace, checked
from engine.recording.minibatches import Records, passes
from engine.store.commit import RunWriter
from engine.store.files import Files
from engine.store.manifest import RunManifest

NEVER_CAME = 2**31
"""Beside seed and round, what the permutations are drawn by that an update did not come to before it stopped."""


class Recording:
    """The rounds of one training. It holds the run's lock until it is finished, at the latest when Python ends."""

    def __init__(self, path: str | Path, keep: AsFits = "as fits", quiet: bool = False) -> None:
        """Nothing is written yet.

        Args:
            path: the run's folder.
            keep: see `DiskSpace`.
            quiet: do not say on stderr at round 1 what the run will take on disk.

        Raises:
            BadInputError: there is a run already, or `keep` is something else.
        """
        self.path = Path(path)
        self._keep, self._quiet = checked(keep), quiet
        self._check_free()
        self.writer: RunWriter | None = None
        self.pending: RecordedSnapshot | None = None
        """The round that is being trained on."""
        self.steps: list[Records] = []
        self.foreseen: Sequence[Records] = ()
        self.round = 0
        """The next round."""
        self.closed = False
        self.most_epochs: int | None = None
        """Of an update; None: as many as the first one takes."""
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
        if self.closed:
            raise BadInputError(
                f"the recorder of {self.path} was closed; what comes after that needs another recorder with a folder of its own"
            )
        self._check_free()
        self._space = DiskSpace(self._keep, manifest, planned)
        self.writer = RunWriter.create(self.path, manifest)
        self.most_epochs = manifest.config.n_epochs
        self._ending = weakref.finalize(self, self.writer.close)
        self._ending.atexit = False  # the lock goes with the process, and a recorder's last commit comes before that

    def collected(self, snapshot: RecordedSnapshot, foreseen: Sequence[Records] = ()) -> None:
        """A round that is complete but for its update; `foreseen` is as `passes` takes it."""
        self.pending, self.foreseen, self.steps, self._since = snapshot, foreseen, [], time.perf_counter()

    def minibatch(self, records: NDArray[Any]) -> None:
        """The records of the step that comes next."""
        self.steps.append(np.asarray(records, np.int64).ravel().copy())

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
        """Commit the round whose update is over."""
        if self.pending is None or self.writer is None or self._space is None:
            return
        snapshot, why = self.whole()
        self.pending = None
        found = {**snapshot.metrics, "update_seconds": time.perf_counter() - self._since, **metrics}
        if why:
            found["not_replayable"] = why
        dropped = self._space.dropped(snapshot.round, found, self.writer.kept)
        self.writer.commit_round(snapshot, found, dropped)
        self.round = snapshot.round + 1
        if self.round == 2:
            line = self._space.forecast(self.writer.kept)
            if not self._quiet:
                print(f"{self.path}: {line}", file=sys.stderr, flush=True)

    def finish(self, checkpoint: Mapping[str, NDArray[Any]]) -> None:
        """Commit the parameters after the last update, and give the lock back; in a forked process, do nothing."""
        if self.writer is None or self.writer.forked:
            return
        try:
            if self.round:
                self.writer.commit_final(self.round, checkpoint)
        finally:
            self.close()

    def close(self) -> None:
        """Give the lock back; what was committed stays.

        A round whose update was going on is none, but it began with the parameters that the round before it led to.
        In a forked process this does nothing: the training goes on in the other one.
        """
        if self.writer is None or self.writer.forked:
            return
        pending, self.pending, self.closed = self.pending, None, True
        try:
            if pending is not None and pending.round:
                self.writer.commit_final(pending.round, pending.checkpoint)
        finally:
            self.writer.close()
            self.writer = None

    def _check_free(self) -> None:
        if Files().exists(self.path / "run.json"):
            raise BadInputError(f"{self.path} holds a run already; record into another folder")

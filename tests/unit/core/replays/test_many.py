"""Many replays: their numbers are those of single ones, and what is finished is kept and not made again."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor
from worlds import entry, moved_snapshot

import engine
from engine.core.draws import random_removals
from engine.core.policy import Policy
from engine.core.replays.many import ReplayResults, finished_replays, grid, replays, with_nothing_removed
from engine.core.targets.of_records import return_target
from engine.errors import EngineError
from engine.store.snapshot import Snapshot

INLINE: dict[str, Any] = {"executor": "inline"}


@dataclass(frozen=True)
class Watched:
    """The return target; leaves a file for every evaluation in a worker, and kills the worker at a certain one."""

    inner: Any
    folder: Path
    kill_at: int = 0
    name: str = "watched"

    def describe(self) -> dict[str, Any]:
        return {"target": self.name, **self.inner.describe()}

    def value(self, policy: Policy) -> Tensor:
        if parent_process() is not None:
            (self.folder / f"{len(list(self.folder.iterdir()))}-{os.getpid()}").touch()
            if len(list(self.folder.iterdir())) == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.inner.value(policy)


def test_outcomes_are_those_of_replay(snapshot: Snapshot) -> None:
    targets = [return_target(snapshot), engine.action_target(snapshot, record=3)]
    removed = with_nothing_removed(random_removals(snapshot, 0.5, 3))
    outcomes = replays(snapshot, targets, removed, 2)
    assert outcomes.shape == (2, 4, 2)
    for i, target in enumerate(targets):
        for m, row in enumerate(removed):
            for q in range(2):
                policy = engine.replay(snapshot, np.flatnonzero(row), order=q).policy
                assert outcomes[i, m, q] == target.value(policy).item()


def test_the_torch_path_and_continuous_actions_too() -> None:
    for settings in ({"path": "torch"}, {}):
        snapshot = moved_snapshot(entry("FollowWorld-v0"), n_steps=48, n_epochs=2, **settings)
        target = return_target(snapshot)
        removed = random_removals(snapshot, 0.5, 1)
        policy = engine.replay(snapshot, np.flatnonzero(removed[0]), order=1).policy
        assert replays(snapshot, [target], removed, 2)[0, 0, 1] == target.value(policy).item()


@pytest.mark.slow
@pytest.mark.long
def test_killing_a_worker_loses_nothing_that_was_finished(snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "seen").mkdir()
    (tmp_path / "again").mkdir()
    settings: dict[str, Any] = {"subsets": 5, "orders": 6, "executor": "processes", "workers": 1}
    target = Watched(return_target(snapshot), tmp_path / "seen", kill_at=20)
    with pytest.raises(EngineError, match="a worker process died"):
        engine.validate(snapshot, target, **settings)
    removed = with_nothing_removed(random_removals(snapshot, 0.5, 5))
    assert finished_replays(snapshot, target, grid(removed, 6)) == (16, 36)
    found = engine.validate(snapshot, replace(target, folder=tmp_path / "again", kill_at=0), **settings)
    assert len(list((tmp_path / "again").iterdir())) == 20
    assert found.actual == engine.validate(snapshot, subsets=5, orders=6, **INLINE).actual


def test_two_at_once_lose_nothing_of_each_other(snapshot: Snapshot) -> None:
    one, other = (ReplayResults(snapshot, return_target(snapshot)) for _ in range(2))  # both began before either wrote
    one.add([("a", 0)], np.array([1.0]))
    other.add([("b", 1)], np.array([2.0]))
    one.add([("c", 0)], np.array([3.0]))
    assert ReplayResults(snapshot, return_target(snapshot)).values == {("a", 0): 1.0, ("b", 1): 2.0, ("c", 0): 3.0}


def test_results_of_another_target_or_snapshot_are_others(snapshot: Snapshot) -> None:
    keys = {
        ReplayResults(snapshot, return_target(snapshot)).key,
        ReplayResults(snapshot, engine.action_target(snapshot, record=1)).key,
        ReplayResults(engine.open_run(snapshot.path or "").snapshot(2), return_target(snapshot)).key,
    }
    assert len(keys) == 3

"""Tasks on a real Ray cluster of two nodes: the same bit for bit, also where a node is lost in the middle."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import pytest
from deadlines import wait_until

from engine.core.draws import random_removals
from engine.core.replays.many import Replay, ReplayTask, run_replays
from engine.core.targets.functions import Target
from engine.core.targets.of_records import return_target
from engine.errors import BadInputError, EngineError
from engine.executors import feed_tasks, run_tasks
from engine.store.read import Run
from engine.store.snapshot import Snapshot

ray = pytest.importorskip("ray")
HEALTH = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
"""A node that is gone is noticed after seconds."""


class Nodes:
    """A cluster on this machine: a head that does nothing but know of the others, and nodes of one core each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        quiet = {"include_dashboard": False, "object_store_memory": 100 * 2**20}
        self.cluster = Cluster(initialize_head=True, head_node_args={**quiet, "num_cpus": 1, "_system_config": HEALTH})
        self.add()

    def add(self) -> None:
        self.last = self.cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
        self.cluster.wait_for_nodes()

    def lose(self) -> None:
        self.cluster.remove_node(self.last, allow_graceful=False)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # workers must find this file
        found = Nodes()
        patch.setenv("RAY_ADDRESS", found.cluster.address)
        yield found
        ray.shutdown()
        found.cluster.shutdown()


class Told(NamedTuple):
    """What a worker says of a task."""

    values: Any
    folder: Path
    finds_there: bool
    """Whether it would import what lies there."""


def replay_until_lost(snapshot: Snapshot, targets: list[Target], begun: Path, doomed: str, task: ReplayTask) -> Told:
    """A file for every task that is begun. One node does a task and is lost in its second; the other one waits for that."""
    node, here = ray.get_runtime_context().get_node_id(), Path.cwd()

    def count(of: str) -> int:
        return len(list(begun.glob(f"*-{of}-*")))

    (begun / f"{task.start}-{node}-{uuid4().hex}").touch()
    if node != doomed:
        wait_until(lambda: count(doomed) >= min(2, count(node)))
    elif count(doomed) > 1:
        time.sleep(600)
    return Told(run_replays(snapshot, targets, task), here, bool({"", str(here)} & set(sys.path)))


@pytest.mark.long
def test_a_node_that_is_lost_loses_its_task_alone_and_it_is_done_again(
    nodes: Nodes, cartpole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers stand where the command does, which may be a folder of received runs, and import nothing from there."""
    begun, doomed = tmp_path / "begun", nodes.last.node_id
    begun.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("engine.executors.batches.BATCH_SECONDS", 0.001)  # each alone
    snapshot = cartpole.snapshot(1)
    targets: list[Target] = [return_target(snapshot)]
    tasks = [ReplayTask(i, [], [Replay(row, i)]) for i, row in enumerate(random_removals(snapshot, 0.5, 8))]
    found: dict[int, Told] = {}
    lost = False
    for task, told in run_tasks(partial(replay_until_lost, snapshot, targets, begun, doomed), tasks, "ray"):
        found[task.start] = told
        if not lost and len(list(begun.glob(f"*-{doomed}-*"))) == 2:
            nodes.lose()
            lost = True
    assert lost
    assert sorted(found) == list(range(8))
    for task in tasks:
        np.testing.assert_array_equal(found[task.start].values, run_replays(snapshot, targets, task))
    assert {(told.folder, told.finds_there) for told in found.values()} == {(tmp_path, False)}
    assert len(list(begun.iterdir())) == 8 + 1, "the task that the node was at, and no other"
    nodes.add()


def odd_only(task: int) -> int:
    if task % 2 == 0:
        raise BadInputError(f"{task} is even; it must be odd")
    return task


@pytest.mark.slow
def test_errors_of_tasks_are_theirs_and_what_comes_next_may_depend_on_what_is_finished(nodes: Nodes) -> None:
    results = run_tasks(odd_only, [1, 2, 3], "ray")
    assert sorted(next(results) for _ in range(2)) == [(1, 1), (3, 3)]
    with pytest.raises(EngineError, match=r"^2: 2 is even; it must be odd$") as caught:
        next(results)
    assert "odd_only" in str(caught.value.__cause__.__cause__), "where it was raised"
    left, fed = [3], []
    for task, _ in feed_tasks(odd_only, lambda: left.pop() if left else None, "ray"):
        fed.append(task)
        left.extend([task + 2] if task < 7 else [])
    assert fed == [3, 5, 7]


def vanish(number: int, folder: Path, task: int) -> int:
    (folder / f"{task}-{uuid4().hex}").touch()
    if task == number:
        os._exit(3)
    return task


@pytest.mark.slow
def test_a_task_that_ends_its_worker_each_time_is_named_after_the_others_are_done(nodes: Nodes, tmp_path: Path) -> None:
    results, found = run_tasks(partial(vanish, 5, tmp_path), range(8), "ray"), []
    with pytest.raises(EngineError, match=r"^5: its worker was lost 3 times \(.*\); it may need more memory$"):
        found.extend(task for task, _ in iter(lambda: next(results), None))
    assert sorted(found) == [0, 1, 2, 3, 4, 6, 7]
    assert len(list(tmp_path.glob("5-*"))) >= 3


def dawdle(folder: Path, task: float) -> None:
    """Say who does it, and take so many seconds."""
    (folder / str(os.getpid())).touch()
    time.sleep(task)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


@pytest.mark.slow
def test_stopping_ends_running_tasks(nodes: Nodes, tmp_path: Path) -> None:
    results = run_tasks(partial(dawdle, tmp_path), [0.0, 600.0, 600.0], "ray")
    next(results)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    results.close()  # type: ignore[attr-defined]
    wait_until(lambda: not any(alive(int(path.name)) for path in tmp_path.iterdir()), within=30)


@pytest.mark.slow
def test_without_a_cluster_one_is_started_here_and_ends(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS")
    assert dict(run_tasks(odd_only, range(1, 7, 2), "ray", 2)) == {1: 1, 3: 3, 5: 5}
    assert not ray.is_initialized()


def test_a_cluster_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(BadInputError, match=r"the Ray cluster RAY_ADDRESS=127\.0\.0\.1:1 can't be reached"):
        list(run_tasks(odd_only, [1], "ray"))

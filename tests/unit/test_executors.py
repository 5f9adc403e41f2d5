"""Tasks give the same wherever they run, fail with their name, and leave no process behind."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time
from multiprocessing import active_children
from pathlib import Path

import pytest
from deadlines import wait_until

from engine import executors
from engine.errors import BadInputError, EngineError
from engine.executors import feed_tasks, run_tasks


def square(task: int) -> int:
    return task * task


def odd_only(task: int) -> int:
    if task % 2 == 0:
        raise BadInputError(f"{task} is even; it must be odd")
    return task


def halved(task: int) -> int:
    return task // 2


def divide(task: int) -> float:
    return 1 / task


def vanish(task: int) -> int:
    os._exit(3)


def dawdle(task: tuple[str, float]) -> None:
    """Say who does it, in a folder, and take so many seconds."""
    folder, seconds = task
    Path(folder, str(os.getpid())).touch()
    time.sleep(seconds)


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_every_task_comes_back_with_its_result(executor: str) -> None:
    assert dict(run_tasks(square, range(5), executor, 2)) == {0: 0, 1: 1, 2: 4, 3: 9, 4: 16}
    assert list(run_tasks(square, [], executor)) == []


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_failing_task_is_named_after_the_others_are_done(executor: str) -> None:
    results = run_tasks(odd_only, [1, 2, 3, 4, 5], executor, 2)
    assert sorted(next(results) for _ in range(3)) == [(1, 1), (3, 3), (5, 5)]
    with pytest.raises(EngineError, match=r"^[24]: [24] is even; it must be odd \(1 more of 5 tasks failed\)$"):
        next(results)


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_an_unforeseen_error_keeps_its_type_and_names_the_task(executor: str) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(run_tasks(divide, [1, 0], executor, 2))
    assert caught.value.__notes__ == ["in the task 0"]


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_what_comes_next_may_depend_on_what_is_finished(executor: str) -> None:
    """A number is halved as long as it is even, so that there is one task at a time."""
    left, found = [12], []
    for task, result in feed_tasks(halved, lambda: left.pop() if left else None, executor, 2):
        found.append((task, result))
        left.extend([result] if result % 2 == 0 else [])
    assert found == [(12, 6), (6, 3)]


@pytest.mark.parametrize("from_stdin", [True, False], ids=["from stdin", "without a guard"])
def test_a_program_that_workers_can_not_import_is_told_in_one_line(tmp_path: Path, from_stdin: bool) -> None:
    program = "from engine.executors import run_tasks; print(list(run_tasks(len, ['one'], 'processes', 1)))"
    script = tmp_path / "script.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(Path(executors.__file__).parents[1])}
    command, given = ([sys.executable, "-"], program) if from_stdin else ([sys.executable, str(script)], "")
    told = subprocess.run(
        command, input=given, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert told.returncode == 1
    *_, last = told.stderr.splitlines()
    assert 'it must be a file whose work stands under if __name__ == "__main__":' in last


def test_a_worker_that_dies_is_reported_in_one_line() -> None:
    with pytest.raises(EngineError, match="a worker process died"):
        list(run_tasks(vanish, [1, 2], "processes", 1))


def test_stopping_ends_the_workers_at_once(tmp_path: Path) -> None:
    before = set(active_children())
    results = run_tasks(dawdle, [(str(tmp_path), 0), (str(tmp_path), 600), (str(tmp_path), 600)], "processes", 2)
    next(results)
    start = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 20
    assert set(active_children()) == before


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


@pytest.mark.long
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(tmp_path: Path, sent: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}
        from test_executors import dawdle
        from engine.executors import run_tasks
        if __name__ == "__main__":
            list(run_tasks(dawdle, [({str(tmp_path / "seen")!r}, 600)] * 4, "processes", 2))
        """)
    )
    (tmp_path / "seen").mkdir()
    parent = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list((tmp_path / "seen").iterdir())) >= 2)
    workers = [int(path.name) for path in (tmp_path / "seen").iterdir()]
    assert len(workers) == 2
    parent.send_signal(sent)
    assert parent.wait(120) != 0
    wait_until(lambda: not any(map(alive, workers)))


def test_what_cannot_be_run_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInputError, match="the executor is 'threads'; it must be one of inline, processes, ray"):
        list(run_tasks(square, [1], "threads"))
    with pytest.raises(BadInputError, match="the number of workers is 0; it must be at least 1"):
        list(run_tasks(square, [1], "processes", 0))
    monkeypatch.setattr(executors, "find_spec", lambda name: None)
    with pytest.raises(BadInputError, match=r"pip install 'snapshot-influence\[ray\]'"):
        list(run_tasks(square, [1], "ray"))


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is an extra")
def test_ray_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # its workers must find this file
    assert dict(run_tasks(square, range(3), "ray", 2)) == {0: 0, 1: 1, 2: 4}
    with pytest.raises(EngineError, match=r"^2: 2 is even; it must be odd$"):
        list(run_tasks(odd_only, [1, 2], "ray", 2))

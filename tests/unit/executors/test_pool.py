"""Tasks give the same wherever they run, and fail with their name."""

from __future__ import annotations

import pytest

from engine.errors import BadInputError, EngineError
from engine.executors import feed_tasks, pool, run_tasks


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


def test_what_cannot_be_run_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInputError, match="the executor is 'threads'; it must be one of inline, processes, ray"):
        list(run_tasks(square, [1], "threads"))
    with pytest.raises(BadInputError, match="the number of workers is 0; it must be at least 1"):
        list(run_tasks(square, [1], "processes", 0))
    monkeypatch.setattr(pool, "find_spec", lambda name: None)
    with pytest.raises(BadInputError, match=r"pip install 'snapshot-influence\[ray\]'"):
        list(run_tasks(square, [1], "ray"))

"""Tasks go together for about a second, and those whose worker was lost go again."""

from __future__ import annotations

from engine.executors.batches import MOST_LOST, Batch, Batches


def batches(count: int, told: bool = True) -> Batches:
    left = iter(range(count))
    return Batches(lambda: next(left, None), count if told else None)


def sizes(found: Batches, workers: int) -> list[int]:
    return [len(batch.tasks) for batch in iter(lambda: found.next(workers), None)]


def test_a_batch_takes_a_second_once_it_is_known_how_long_a_task_takes() -> None:
    found = batches(100)
    assert [found.next(2), found.next(2)] == [Batch([0]), Batch([1])], "nothing is known"
    found.took([9.0, 0.09, 0.11, 0.1])  # the first one waited for imports
    assert sizes(found, 2) == [10] * 9 + [8]


def test_each_worker_has_a_batch_however_quick_tasks_are() -> None:
    found = batches(100)
    assert found.next(4) == Batch([0])
    found.took([0.0])
    assert sizes(found, 4) == [25, 25, 25, 24]


def test_long_tasks_go_alone_and_so_do_those_that_wait_for_others() -> None:
    long, fed = batches(5), batches(5, told=False)
    for each in (long, fed):
        assert each.next(2) == Batch([0])
    long.took([60.0])
    fed.took([0.001])
    assert sizes(long, 2) == sizes(fed, 2) == [1] * 4


def test_a_lost_batch_goes_again_in_halves_and_a_task_alone_is_given_up() -> None:
    found = batches(0)
    assert found.lost(Batch([1, 2, 3]))
    assert found.next(2) == Batch([1])
    assert found.next(2) == Batch([2, 3])
    batch = Batch([7])
    for lost in range(1, MOST_LOST):
        assert found.lost(batch)
        batch = found.next(2) or batch
        assert batch == Batch([7], lost)
    assert not found.lost(batch)
    assert found.next(2) is None

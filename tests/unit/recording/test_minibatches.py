"""What the steps of an update were epochs of, and why they were none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from engine.recording.minibatches import Passes, passes


def found(steps: Sequence[Sequence[int]], n: int, **given: object) -> Passes:
    return passes([np.array(step) for step in steps], n, np.random.default_rng(0), **given)  # type: ignore[arg-type]


def assert_each_a_permutation(orders: np.ndarray, n: int) -> None:
    assert (np.sort(orders, axis=1) == np.arange(n)).all()


@pytest.mark.parametrize(
    ("cuts", "n", "epochs", "regular"),
    [
        ((4, 4, 2), 10, 3, True),  # the last one smaller
        ((10,), 10, 3, True),
        ((4, 6), 10, 3, False),  # the last one merged into the one before
        ((4, 4), 10, 3, False),  # the last one dropped
        ((2, 5, 1), 10, 3, False),
        ((3,), 10, 1, False),
    ],
)
def test_epochs_are_found_again_whatever_they_are_cut_into(
    cuts: tuple[int, ...], n: int, epochs: int, regular: bool
) -> None:
    rng = np.random.default_rng(7)
    taken = [rng.permutation(n)[: sum(cuts)] for _ in range(epochs)]
    steps = [part for order in taken for part in np.split(order, np.cumsum(cuts)[:-1])]
    one = found(steps, n)
    assert (one.sizes, one.regular, one.why) == (cuts, regular, "")
    assert (one.orders[:, : sum(cuts)] == taken).all()
    assert_each_a_permutation(one.orders, n)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([], "no minibatch was seen"),
        ([[0, 8]], "a minibatch has a record that is not among 0 to 7"),
        ([[0, 0, 1]], "an epoch takes a record more than once"),
        ([[0, 1, 2], [2, 3, 4]], "an epoch takes a record more than once"),
        ([[*range(8)], [0, 1, 2]], "the minibatches of epoch 1 have other sizes"),
        ([[0, 1, 2, 3], [4, 5, 6, 7], [7, 6, 5], [4, 3, 2, 1, 0]], "the minibatches of epoch 1 have other sizes"),
        ([[0, 1, 2, 3], [4, 5, 6, 7], [7, 6, 5, 4]], "epoch 1 stopped after 1 of 2 minibatches, and nothing says why"),
    ],
)
def test_steps_that_are_no_epochs_say_why(steps: list[list[int]], why: str) -> None:
    one = found(steps, 8)
    assert why in one.why
    assert one.orders.shape == (0, 8)


def test_what_an_update_that_stopped_did_not_come_to_is_drawn() -> None:
    one = found([[0, 1, 2], [3, 4, 5], [7, 0, 1]], 8, planned=4, cut_short=True)
    assert one.sizes == (3, 3)
    assert one.orders.shape == (4, 8)
    assert one.orders[1, :3].tolist() == [7, 0, 1]
    assert_each_a_permutation(one.orders, 8)
    assert len({order.tobytes() for order in one.orders}) == 4
    for seen in ([[7, 0, 1]], [[7, 0, 1], [6, 2, 3]]):
        first = found(seen, 8, planned=2, cut_short=True)
        assert (first.sizes, first.orders.shape) == ((3, 3, 2), (2, 8))


def test_what_was_foreseen_is_taken_where_the_epochs_began_so() -> None:
    foreseen = [np.random.default_rng(i).permutation(6) for i in range(3)]
    steps = [foreseen[0][:3], foreseen[0][3:], foreseen[1][:3]]
    assert (found(steps, 6, foreseen=foreseen, planned=3, cut_short=True).orders == foreseen).all()
    other = found(
        [foreseen[0][:3], foreseen[0][3:], foreseen[1][:3][::-1]], 6, foreseen=foreseen, planned=3, cut_short=True
    )
    assert (other.orders[0] == foreseen[0]).all()
    assert (other.orders[1, :3] == foreseen[1][:3][::-1]).all()
    assert not (other.orders[2] == foreseen[2]).all()

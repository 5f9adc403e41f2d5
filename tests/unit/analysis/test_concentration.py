"""Where the influence that lowered a target lies, on cases whose answer is plain."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.analysis.concentration import Concentration, concentration, concentration_of, sides_of
from engine.spaces import Space
from engine.store.read import Run

EPISODE = np.array([3, 3, 3, 5, 5, 9])


def of(influence: list[float], **asked: object) -> Concentration:
    return concentration(np.array(influence, np.float32), ("episode", EPISODE), **asked)  # type: ignore[arg-type]


def test_sums_and_counts() -> None:
    found = of([-1, 2, -3, -0.5, 0, 1])
    assert (found.lowered, found.ranked, found.below, found.above) == (3, 6, -4.5, 3.0)
    assert found.sentences[0] == "3 of 6 records lowered the target, by -4.5 in sum; the others raised it by +3."
    (part,) = found.half
    assert (part.name, part.of_records, part.influence) == ("3", 0.5, -2.0)
    assert part.of_lowering == pytest.approx(4 / 4.5)


def test_what_lowered_it_most_may_have_raised_it_as_a_whole() -> None:
    found = of([-3, 9, -1, -0.5, 0, 0])
    assert found.sentences[1] == (
        "89 % of what lowered it lies in 1 of 3 episodes (3; 50 % of the records), which as a whole raised it (+5)."
    )


def test_nothing_negative() -> None:
    found = of([1, 2, 0, 0, 0, 0], actions={"left": EPISODE == 3})
    assert found.sentences == ("None of 6 records lowered the target; they raised it by +3 in sum.",)


def test_nothing_known() -> None:
    assert of([np.nan] * 6).sentences == ("No record of this round has an influence.",)
    assert of([-1] * 6, no_signal=np.ones(6, bool)).sentences == ("No record of this round has an influence.",)


def test_records_without_a_signal_are_not_counted() -> None:
    found = of([-1, 0, 0, 0, 0, np.inf], no_signal=np.array([False, True, True, False, False, False]))
    assert (found.lowered, found.ranked) == (1, 3)


def test_one_episode_only() -> None:
    found = concentration(np.array([-1, -2], np.float32), ("episode", np.array([4, 4])))
    assert found.sentences == (
        "2 of 2 records lowered the target, by -3 in sum; none raised it.",
        "All records are of one episode (4).",
    )


def test_many_episodes_are_said_to_be_many() -> None:
    found = concentration(np.full(20, -1, np.float32), ("episode", np.arange(20)))
    assert found.sentences[1] == "Half of what lowered it is spread over 10 of 20 episodes."


def test_an_action_is_named_where_it_has_more_than_its_share() -> None:
    actions = {"left": np.arange(6) < 1, "right": np.arange(6) >= 1}
    assert of([-4, 1, -1, 1, 1, 1], actions=actions).sentences[-1] == (
        "80 % of it by the action left (17 % of the records), which as a whole lowered it (-4)."
    )
    assert of([-1] * 6, actions=actions).sentences[-1] == "No action stands out."


def test_sides_of_discrete_and_continuous_actions() -> None:
    action = np.array([0, 2, 2])
    sides = sides_of(Space("discrete", n=3, names=("a", "b", "c")), action)
    assert sides is not None
    assert {name: side.tolist() for name, side in sides.items()} == {
        "a": [True, False, False],
        "c": [False, True, True],
    }
    torque = sides_of(Space("box", shape=(1,), dtype="float32", names=("torque",)), np.array([[-1.0], [0.0], [2.0]]))
    assert torque is not None
    assert {name: side.tolist() for name, side in torque.items()} == {
        "torque < 0": [True, False, False],
        "torque > 0": [False, False, True],
    }
    assert sides_of(Space("dict"), action) is None


def test_a_recorded_round_is_split_by_its_episodes_and_actions(cartpole: Run) -> None:
    snapshot = cartpole.snapshot(1)
    scores = engine.influence(snapshot, "return", "tracin_adam", cache=False)
    found = concentration_of(snapshot, scores)
    below = np.minimum(scores.influence.astype(np.float64), 0)
    assert (found.lowered, found.word) == (int((below < 0).sum()), "episode")
    assert found.below == pytest.approx(below.sum())
    assert found.groups == len(np.unique(snapshot.buffer.episode))
    held = np.isin(snapshot.buffer.episode, [int(part.name) for part in found.half])
    assert below[held].sum() / below.sum() >= 0.5
    fewer = np.isin(snapshot.buffer.episode, [int(part.name) for part in found.half[:-1]])
    assert below[fewer].sum() / below.sum() < 0.5
    assert found.action is not None
    assert found.action.name in ("push left", "push right")

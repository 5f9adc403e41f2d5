"""Records unlike those before: planted changes are named, learning is none."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.analysis.incidents.incident import Incident
from engine.analysis.incidents.unlike import MOST_COMPONENTS, Column, Look, Unlike
from engine.errors import BadInputError

NAMES = ("position", "speed")


class Buffer(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.reward)


def look(reward: Any, observation: Any = None) -> Look:
    return Look.at(Buffer(reward=reward, **({} if observation is None else {"observation": observation})), NAMES)


def healthy(k: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Continuous rewards, and two numbers whose range grows as the policy learns."""
    rng = np.random.default_rng(k)
    return rng.normal(0, 1 + 0.3 * k, n), rng.normal(0, 1 + 0.3 * k, (n, 2))


def after(rewards: Any, observations: Any = None, rounds: int = 5) -> list[Incident]:
    """What is said of a round after some healthy ones."""
    unlike = Unlike()
    for k in range(rounds):
        assert unlike.see(k, look(*healthy(k))) == []
    return unlike.see(rounds, look(rewards, observations))


def test_learning_is_no_change() -> None:
    unlike = Unlike()
    assert [each for k in range(60) for each in unlike.see(k, look(*healthy(k)))] == []


def test_a_reward_that_was_never_seen() -> None:
    unlike, rng = Unlike(), np.random.default_rng(0)
    for k in range(10):
        assert unlike.see(k, look((rng.random(500) < 0.1 * k).astype(float))) == []
    (only,) = unlike.see(10, look(-(rng.random(500) < 0.9).astype(float)))
    assert only.kind == "unlike before"
    assert (only.onset, only.update, only.metrics) == (10, 10, ("reward",))
    assert only.reason.endswith("of the records have the reward -1, which none of 5,000 in 10 rounds before had")
    assert unlike.see(11, look(np.full(500, -1.0))) == [], "it is told once"


def test_a_first_success_is_no_change() -> None:
    unlike = Unlike()
    for k in range(10):
        assert unlike.see(k, look(np.full(500, -1.0))) == []
    assert unlike.see(10, look(np.r_[np.full(490, -1.0), np.zeros(10)])) == []


def test_rewards_that_suddenly_have_many_values() -> None:
    unlike, rng = Unlike(), np.random.default_rng(0)
    for k in range(5):
        unlike.see(k, look(np.ones(500)))
    (only,) = unlike.see(5, look(np.where(rng.random(500) < 0.25, rng.normal(size=500), 1.0)))
    assert "of the records have the reward" in only.reason
    assert ", ..." in only.reason


def test_a_rare_value_that_all_records_have() -> None:
    unlike = Unlike()
    for k in range(5):
        assert unlike.see(k, look(np.r_[np.full(490, -1.0), np.zeros(10)])) == []
    (only,) = unlike.see(5, look(np.zeros(500)))
    assert only.reason == "reward stands still: 100% of the records have 0, at most 2% in a round before"


def test_what_is_far_off_or_stands_still_is_named() -> None:
    reward, observation = healthy(5)
    (scaled,) = after(100 * reward, observation)
    assert scaled.metrics == ("reward",)
    assert scaled.reason.startswith("reward is far off: a tenth of the records at ")
    (broken,) = after(reward, observation * [1.0, 0.0])
    assert broken.metrics == ("observation speed",)
    assert broken.reason == "observation speed stands still: 100% of the records have 0, at most 0% in a round before"
    (both,) = after(100 * reward, observation * [1.0, 0.0])
    assert both.metrics == ("reward", "observation speed")
    assert after(reward, observation) == []
    assert after(-reward, -observation) == [], "what keeps to the range is not seen"


def test_it_needs_a_past_and_the_round_just_before() -> None:
    reward, observation = healthy(5)
    assert after(100 * reward, observation, rounds=2) == []
    unlike = Unlike()
    for k in range(5):
        unlike.see(k, look(*healthy(k)))
    assert unlike.see(9, look(100 * reward, observation)) == []


def test_what_is_no_number_has_no_say() -> None:
    reward, observation = healthy(5)
    reward[::3] = np.nan
    observation[::2, 0] = np.inf
    assert after(reward, observation) == []
    assert after(np.full(400, np.nan), np.full((400, 2), np.inf)) == []
    assert Column.of(np.full(3, np.nan)) is None


@pytest.mark.parametrize("shape", [(), (8, 8, 3), (MOST_COMPONENTS + 1,)])
def test_observations_that_are_not_a_few_numbers_are_left_out(shape: tuple[int, ...]) -> None:
    assert list(look(np.ones(10), np.ones((10, *shape), np.float32)).columns) == ["reward"]
    assert list(look(np.ones(10), np.ones((10, 5), np.float32)).columns)[-1] == "observation component 4"


def test_a_look_comes_back_from_json() -> None:
    found = look(*healthy(3))
    assert Look.from_json(json.loads(json.dumps(found.to_json()))) == found
    for wrong in ({}, {"records": 3, "columns": {"reward": {"low": "a"}}}, {"records": 3, "columns": {"reward": None}}):
        with pytest.raises(BadInputError):
            Look.from_json(wrong)
    empty = found.to_json()
    empty["columns"]["reward"]["values"] = []
    with pytest.raises(BadInputError):
        Look.from_json(empty)

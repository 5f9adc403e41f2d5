"""What an environment shows and takes is what runs record of it: described, or refused in one line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple
from own_worlds import saying, write_package

from engine.envs import trainable
from engine.envs.fitting import Fitted, described
from engine.errors import BadInputError
from engine.spaces import Space

PACKAGE = "own_worlds_of_fitting"


@pytest.fixture(scope="module", autouse=True)
def _own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("own")
    write_package(folder, PACKAGE)
    with saying(imports=[PACKAGE], directory=folder):
        yield


def test_what_counts_from_three_counts_from_zero_and_the_environment_gets_what_was_chosen() -> None:
    """The walk itself refuses every other action."""
    environment = trainable("own/Walk-v0")
    observation, action = environment.spaces()
    assert (observation.n, action.n) == (10, 3)
    assert action.names == ("action 3", "action 4", "action 5"), "by their own numbers"
    env = environment.make()
    assert (env.observation_space, env.action_space) == (Discrete(10), Discrete(3))
    before, _ = env.reset(seed=5)
    env.unwrapped.slip = 0  # type: ignore[attr-defined]
    assert env.step(2)[0] == before + 1 == env.unwrapped.place - 3  # type: ignore[attr-defined]
    env.close()


def test_a_box_of_any_shape_is_described() -> None:
    found = described(Box(-1, 2, (), np.float32), ("a",), "action")
    assert found == Space("box", shape=(), dtype="float32", low=(-1,), high=(2,), names=("a",))
    assert described(Box(-1, 2, (2, 3), np.float64), (), "action").low == (-1,) * 6
    assert described(Box(0, 255, (84, 84, 4), np.uint8), (), "observation").low == (), "28,224 bounds say nothing"


@pytest.mark.parametrize(
    ("space", "what", "words"),
    [
        (Tuple((Discrete(2), Discrete(3))), "observation", "the observation space Tuple"),
        (Dict({"a": Box(0, 1, (40, 40)), "b": Discrete(3)}), "observation", "the observation space Dict"),
        (MultiDiscrete([2, 3]), "action", "the action space MultiDiscrete"),
        (MultiBinary(4), "action", "the action space MultiBinary"),
        (Text(5), "observation", "the observation space Text"),
        (Box(0, 5, (2,), np.int64), "action", "must be floats, or use Discrete"),
        (Box(0, 255, (4, 84, 84, 3), np.uint8), "observation", "at most one axis of channels"),
        (Box(0, 1, (0,)), "observation", "has 0 numbers"),
        (Discrete(70_000), "observation", "it may have 65,536"),
    ],
)
def test_other_spaces_are_refused_in_one_line(space: gym.Space[Any], what: str, words: str) -> None:
    with pytest.raises(BadInputError) as caught:
        described(space, (), what)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


class Shows(gym.Env[Any, Any]):
    """Shows what it is told to."""

    action_space = Discrete(2)

    def __init__(self, space: gym.Space[Any], shown: Any) -> None:
        self.observation_space, self.shown = space, shown

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return self.shown, {}


@pytest.mark.parametrize(
    ("space", "shown", "words"),
    [
        (Box(0, 1, (3,)), np.zeros(1, np.float32), r"shape \(1,\); its space says \(3,\)"),
        (Box(0, 1, ()), np.zeros(1, np.float32), r"shape \(1,\); its space says \(\)"),
        (Discrete(3, start=2), 1, "1, which is not in its space"),
    ],
)
def test_an_observation_of_another_space_is_named(space: gym.Space[Any], shown: Any, words: str) -> None:
    with pytest.raises(BadInputError, match=f"^mine shows .*{words}"):
        Fitted(Shows(space, shown), "mine").reset()


def test_an_observation_has_the_type_that_its_space_says() -> None:
    shown, _ = Fitted(Shows(Box(0, 1, (2,), np.float32), [0.25, 1]), "mine").reset()
    assert shown.dtype == np.float32

"""Which of Gymnasium's environments have a map, and which way their actions go."""

from __future__ import annotations

import gymnasium as gym
import pytest

from engine.envs.layout import STEPS
from engine.envs.toy_text import layout_of


@pytest.mark.parametrize("name", ["FrozenLake-v1", "FrozenLake8x8-v1", "CliffWalking-v1", "CliffWalkingSlippery-v1"])
def test_every_action_goes_where_the_map_says(name: str) -> None:
    env = gym.make(name, is_slippery=False) if "Lake" in name else gym.make(name)
    layout, world = layout_of(env), env.unwrapped
    assert layout is not None
    tiles = layout.tiles(env)
    assert len(tiles) * len(tiles[0]) == env.observation_space.n
    moved = 0
    for state, actions in world.P.items():
        here = layout.place(state)
        if tiles[here.row][here.column] in ("hole", "goal", "cliff"):
            continue
        for action, outcomes in actions.items():
            rows, columns = STEPS[layout.moves[action]]
            row = min(max(here.row + rows, 0), len(tiles) - 1)
            column = min(max(here.column + columns, 0), len(tiles[0]) - 1)
            ends = [layout.place(after) for _, after, *_ in outcomes]
            if tiles[row][column] == "cliff":
                assert any(tiles[end.row][end.column] == "start" for end in ends)
                continue
            assert (row, column) in [(end.row, end.column) for end in ends]
            moved += (row, column) != (here.row, here.column)
    assert moved > 20


def test_others_have_no_map() -> None:
    for name in ("Taxi-v4", "Blackjack-v1", "CartPole-v1"):
        assert layout_of(gym.make(name)) is None, name
    by_lot = gym.make("FrozenLake-v1", map_name=None)
    assert layout_of(by_lot) is None, "it is another map every time that it is made"


def test_a_wrapper_that_shows_something_else_has_no_map() -> None:
    env = gym.make("CliffWalking-v1")
    assert layout_of(gym.wrappers.RecordEpisodeStatistics(env)) is not None
    assert layout_of(gym.wrappers.TransformObservation(env, lambda seen: 47 - seen, env.observation_space)) is None

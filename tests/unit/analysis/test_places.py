"""Where records were made: on maps drawn by hand, in the catalogue's grids, and gathered into groups."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.analysis.places import group_by_place, group_records, places, world_map
from engine.envs import CATALOGUE, Place, find, preset
from engine.envs.layout import DOWN, LEFT, RIGHT, STEPS, UP
from engine.errors import BadInputError
from engine.kinds.control.learner import ControlLearner
from engine.store.snapshot import Snapshot

GRIDS = ["FrozenLake-v1", "FrozenLake-v1-slippery", "MiniGrid-Empty-8x8-v0"]


def second_round(name: str, **settings: object) -> Snapshot:
    agent = ControlLearner.begin(preset(name, "v0.1", n_envs=2, n_steps=60, n_epochs=1, seed=6, **settings))
    agent.update(agent.collect())
    return agent.collect()


def test_records_are_gathered_by_place_and_action() -> None:
    a, b = Place(0, 1), Place(1, 0)
    where = [a, b, a, None, a, b]
    action = [0, 1, 0, 0, 2, 1]
    groups = group_records(where, action, [0, 1, 2, 3, 4])
    assert [(group.place, group.action, group.records.tolist()) for group in groups] == [
        (a, 0, [0, 2]),
        (a, 2, [4]),
        (b, 1, [1]),
    ]
    together = group_by_place(groups)
    assert [(group.place, group.action, group.records.tolist()) for group in together] == [
        (a, -1, [0, 2, 4]),
        (b, -1, [1]),
    ]
    values = np.array([1.0, math.nan, 4.0, 9.0, math.nan, 9.0])
    assert groups[0].mean(values) == 2.5
    assert together[0].mean(values) == 2.5, "what is not known does not count"
    assert math.isnan(together[1].mean(values))
    assert group_records(where, action, []) == []


def test_headings_are_places_of_their_own() -> None:
    where = [Place(1, 1, RIGHT), Place(1, 1, DOWN), Place(1, 1, RIGHT)]
    groups = group_records(where, [2, 2, 2], range(3))
    assert [(group.place.heading, group.records.tolist()) for group in groups] == [(RIGHT, [0, 2]), (DOWN, [1])]


def test_only_grids_have_a_map() -> None:
    assert [name for name in CATALOGUE if find(name).layout is not None] == GRIDS
    assert world_map(second_round("CartPole-v1")) is None


CLIFFS = Path(__file__).resolve().parents[3] / "sample_runs" / "CliffWalking-v1"


def test_a_grid_of_gymnasium_that_another_trainer_played_has_a_map() -> None:
    snapshot = engine.open_run(CLIFFS).snapshot(3)
    world = world_map(snapshot)
    assert world is not None
    assert world.tiles[:3] == (("",) * 12,) * 3
    assert world.tiles[3] == ("start", *("cliff",) * 10, "goal")
    where, buffer, n_envs = places(snapshot, world.layout), snapshot.buffer, snapshot.config.n_envs
    fell = np.flatnonzero(buffer.reward == buffer.reward.min())
    for record in fell[fell < len(buffer) - n_envs].tolist():
        here = where[record]
        assert here is not None
        rows, columns = STEPS[world.layout.moves[int(buffer.action[record])]]
        assert world.tiles[here.row + rows][here.column + columns] == "cliff", "who fell went over the edge"
    assert len(fell) > 5


def test_what_is_not_the_recorded_grid_has_no_map() -> None:
    snapshot = engine.open_run(CLIFFS).snapshot(3)
    lake = second_round("FrozenLake-v1")
    assert world_map(replace(lake, observation_space=replace(lake.observation_space, n=17, names=()))) is None
    rewards = snapshot.buffer.reward + 1
    other = replace(snapshot, buffer=replace(snapshot.buffer, reward=rewards), path=None)
    with pytest.raises(BadInputError, match="went otherwise than was recorded"):
        world_map(other)


def test_the_tiles_of_the_lake_are_its_map() -> None:
    found = world_map(second_round("FrozenLake-v1"))
    assert found is not None
    letters = {"start": "S", "hole": "H", "goal": "G", "": "F"}
    assert ["".join(letters[tile] for tile in row) for row in found.tiles] == ["SFFF", "FHFH", "FFFH", "HFFG"]
    assert found.picture is None


def test_the_room_is_drawn_with_its_walls_and_without_the_agent() -> None:
    found = world_map(second_round("MiniGrid-Empty-8x8-v0"))
    assert found is not None
    assert found.tiles[0] == ("wall",) * 8
    assert found.tiles[6] == ("wall", "", "", "", "", "", "goal", "wall")
    assert found.picture is not None
    assert found.picture.shape == (8 * 32, 8 * 32, 3)
    cell = {(r, c): found.picture[32 * r : 32 * r + 32, 32 * c : 32 * c + 32] for r in range(8) for c in range(8)}
    assert np.array_equal(cell[1, 1], cell[3, 4]), "nobody stands at the start"
    assert not np.array_equal(cell[6, 6], cell[3, 4])


@pytest.mark.parametrize("name", ["FrozenLake-v1", "MiniGrid-Empty-8x8-v0"])
def test_a_step_leads_to_the_neighbouring_place(name: str) -> None:
    """Every recorded action moves the agent as the layout says, or leaves it where it was."""
    snapshot = second_round(name)
    layout = find(name).layout
    assert layout is not None
    found, buffer = places(snapshot, layout), snapshot.buffer
    moved = 0
    for record in range(len(buffer) - 2):
        here, after, done = found[record], found[record + 2], buffer.terminated[record] | buffer.truncated[record]
        assert here is not None
        assert after is not None
        if done:
            assert (after.row, after.column) in ((0, 0), (1, 1)), "the start"
            continue
        heading = here.heading if layout.has_headings else layout.moves[int(buffer.action[record])]
        assert heading is not None
        rows, columns = STEPS[heading]
        step = after.row - here.row, after.column - here.column
        assert step in ((0, 0), (rows, columns))
        moved += step != (0, 0)
        turn = {0: -1, 1: 1}.get(int(buffer.action[record]), 0)
        if layout.has_headings:
            assert after.heading == (heading + turn) % 4
            assert step == (0, 0) or int(buffer.action[record]) == 2
    assert moved > 5


def test_moves_of_the_lake_go_as_their_names_say() -> None:
    entry = find("FrozenLake-v1")
    assert entry.layout is not None
    heading = {"left": LEFT, "down": DOWN, "right": RIGHT, "up": UP}
    assert entry.layout.moves == {action: heading[name] for action, name in enumerate(entry.action_names)}


def test_a_state_that_can_not_be_restored_has_no_place_unless_its_observation_tells() -> None:
    for name, lost in (("MiniGrid-Empty-8x8-v0", list(range(22, 120, 2))), ("FrozenLake-v1", [])):
        snapshot = second_round(name)
        reward = snapshot.buffer.reward.copy()
        reward[20] = 7
        layout = find(name).layout
        assert layout is not None
        found = places(replace(snapshot, buffer=replace(snapshot.buffer, reward=reward)), layout)
        assert [i for i, place in enumerate(found) if place is None] == lost

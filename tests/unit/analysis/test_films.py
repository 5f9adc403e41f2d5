"""A film shows the episode that an evaluation plays."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from worlds import record

import engine
from engine.analysis import films
from engine.analysis.films import film
from engine.analysis.rendering import CannotDrawError
from engine.envs import find
from engine.errors import BadInputError
from engine.kinds.control.agents import restore_agent
from engine.kinds.control.evaluation import Evaluator
from engine.kinds.control.normalization import normalizer_at
from engine.store.read import Run

SETTINGS = {"rounds": 1, "n_steps": 64, "n_epochs": 1}


def evaluated(run: Run, k: int, seed: int) -> float:
    checkpoint = run.checkpoint(k)
    agent = restore_agent(run.config, run.manifest.observation_space, run.manifest.action_space, checkpoint)
    evaluator = Evaluator(find(run.config.env_id), normalizer_at(run.config, checkpoint))
    return float(evaluator.returns(agent, [seed])[0])


@pytest.mark.long
@pytest.mark.parametrize("name", ["CartPole-v1", "FrozenLake-v1-slippery", "LunarLander-v3", "Pendulum-v1"])
def test_its_return_is_the_evaluations(tmp_path: Path, name: str) -> None:
    """Drawing changes nothing of the episode."""
    normalize = {"normalize_observation": True} if name == "Pendulum-v1" else {}
    run = record(tmp_path / "run", name, **SETTINGS, **normalize)
    found = film(run, 1, 41)
    assert found.total == pytest.approx(evaluated(run, 1, 41), abs=1e-9)
    assert len(found.pictures) == len(found.step) == len(found.reward_sum)
    assert (found.step[0], found.reward_sum[0]) == (0, 0)
    picture = np.asarray(Image.open(io.BytesIO(found.pictures[-1])))
    assert picture.shape[1] <= films.WIDTH
    assert picture.std() > 0
    assert len(set(found.pictures)) > 1


def test_a_long_episode_keeps_every_second_picture(cartpole: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = film(cartpole, 3, 7, cache=False)
    monkeypatch.setattr(films, "PICTURES", 4)
    found = film(cartpole, 3, 7, cache=False)
    assert len(found.step) <= 2 * 4 + 2
    every = int(found.step[1])
    assert set(np.diff(found.step[:-1])) == {every}
    assert (found.steps, found.total) == (whole.steps, whole.total)
    for step, picture in zip(found.step, found.pictures, strict=True):
        assert picture == whole.pictures[whole.at(int(step))]


def test_the_picture_at_a_step() -> None:
    one = films.Film(np.array([0, 4, 8, 9]), np.zeros(4), [], "terminated")
    assert [one.at(step) for step in (0, 3, 4, 8, 9, 500)] == [0, 0, 1, 2, 3, 3]


def test_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record(tmp_path / "run", "FrozenLake-v1", **SETTINGS)
    found = film(run, 0, 3)

    def never(*_: object) -> None:
        raise AssertionError("played again")

    monkeypatch.setattr(films, "_play", never)
    again = film(engine.open_run(run.path), 0, 3)
    assert (again.step.tolist(), again.reward_sum.tolist()) == (found.step.tolist(), found.reward_sum.tolist())
    assert (again.pictures, again.ended) == (found.pictures, found.ended)
    with pytest.raises(AssertionError, match="played again"):
        film(run, 0, 4)


def test_what_cannot_be_drawn_is_played_all_the_same(cartpole: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise CannotDrawError("no OpenGL here")

    monkeypatch.setattr(films, "take_picture", fails)
    found = film(cartpole, 3, 7, cache=False)
    assert (found.pictures, found.complaint) == ([], "no OpenGL here")
    assert found.total == evaluated(cartpole, 3, 7)


def test_a_checkpoint_that_is_not_there(cartpole: Run) -> None:
    with pytest.raises(BadInputError, match="round 9 is not in this run"):
        film(cartpole, 9, 0)

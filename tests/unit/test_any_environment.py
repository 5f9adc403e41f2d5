"""Environments outside the catalogue have everything: exact replays, influence, films, removals, rounds that go on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from own_worlds import saying, write_package

import engine
from engine.analysis import films
from engine.analysis.restoring import points
from engine.analysis.rollout_advantages import monte_carlo
from engine.kinds.control import evaluation
from engine.store.read import Run

PACKAGE = "own_worlds_of_any"
SMALL = {"rounds": 2, "n_steps": 40, "n_epochs": 2, "batch_size": 16}
OWN = ("Walk", "Arm", "Grey", "ChannelsFirst", "ChannelsLast", "SmallPicture")


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "PICTURES", 2)


@pytest.fixture(scope="module", autouse=True)
def _own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("own")
    write_package(folder, PACKAGE)
    with saying(imports=[PACKAGE], directory=folder):
        yield


def has_everything(env_id: str, out: Path, **settings: int) -> Run:
    """Train, replay against the next checkpoint, attribute, film, remove and go on."""
    run = engine.train(engine.preset(env_id, **{**SMALL, **settings}), out / "run")
    snapshot, after = run.snapshot(0), run.checkpoint(1)
    replayed = engine.replay(snapshot).agent.tensors()
    assert all(np.array_equal(tensor, after[name]) for name, tensor in replayed.items())
    assert np.isfinite(engine.influence(snapshot).influence).all()
    assert np.isfinite(engine.influence(snapshot, engine.action_target(snapshot, record=3)).influence).all()
    assert films.film(run, 1, seed=3).steps > 0
    outcome = engine.retrain(run, 0, [1, 2], out / "without", orders=2, episodes=2, continue_rounds=1)
    assert outcome.counterfactual.episodes == 2
    went_on = engine.open_run(out / "without")
    assert went_on.manifest.environment == run.manifest.environment
    assert went_on.stored_rounds == [0, 1]
    assert engine.verify_run(run.path) == []
    return run


@pytest.mark.parametrize("env_id", ["MountainCar-v0", "MountainCarContinuous-v0", "Taxi-v4"])
def test_an_environment_of_gymnasiums(env_id: str, tmp_path: Path) -> None:
    run = has_everything(env_id, tmp_path)
    assert run.manifest.environment is not None
    assert run.manifest.environment.id == env_id


@pytest.mark.parametrize("name", OWN)
def test_an_environment_of_ones_own(name: str, tmp_path: Path) -> None:
    run = has_everything(f"own/{name}-v0", tmp_path, n_envs=2)
    assert run.manifest.encoder == {"Walk": "one_hot", "Arm": "flatten"}.get(name, "image")


def test_what_a_function_makes(tmp_path: Path) -> None:
    with saying(make=f"{PACKAGE}:pendulum"):
        run = has_everything("Pendulum-v1", tmp_path)
        assert run.manifest.environment is not None
        assert run.manifest.environment.kwargs == {"g": 4.0, "max_episode_steps": 25}
        found = monte_carlo(run.snapshot(1), [1, 2], rollouts=2, executor="inline")
        assert found.restored.all()
    assert (run.snapshot(0).buffer.reward > -2).all(), "a tenth of the pendulum's own"


@pytest.mark.long
def test_rollouts_in_workers_know_what_was_imported(tmp_path: Path) -> None:
    run = engine.train(engine.preset("own/Walk-v0", **SMALL), tmp_path / "run")
    found = monte_carlo(run.snapshot(1), [1, 2, 3], rollouts=2, workers=1)
    assert found.restored.all()


def test_a_state_that_can_be_reached_is_not_stepped_to(tmp_path: Path) -> None:
    run = engine.train(engine.preset("own/Reachable-v0", **SMALL), tmp_path / "run")
    snapshot = run.snapshot(1)
    found = points(snapshot)
    assert [point.state[0] - 3 for point in found if point and point.state] == snapshot.buffer.observation.tolist()
    by_steps = engine.train(engine.preset("own/Walk-v0", **SMALL), tmp_path / "steps").snapshot(1)
    assert all(point is not None and point.state is None for point in points(by_steps))


def test_an_attribute_that_gives_no_access_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = engine.train(engine.preset("own/Reachable-v0", **SMALL), tmp_path / "run")
    monkeypatch.setattr(sys.modules[PACKAGE].Reachable, "state_access", "yes")
    with pytest.raises(
        engine.EngineError, match=r"state_access of own/Reachable-v0 is str; it must be an engine.StateAccess"
    ):
        points(run.snapshot(1))


def test_an_episode_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(evaluation, "LONGEST", 300)
    with saying(make=f"{PACKAGE}:endless"):
        run = engine.train(engine.preset("Endless", **SMALL), tmp_path / "run")
        for plays in (
            lambda: films.film(run, 1, seed=0),
            lambda: engine.retrain(run, 0, [1], tmp_path / "without", orders=2, episodes=2),
        ):
            with pytest.raises(engine.EngineError, match=r"^an episode of Endless has not ended after 300 steps"):
                plays()


def test_names_of_a_person_stand_in_the_place_of_the_environments_own(tmp_path: Path) -> None:
    names = {"observation": ["where", "how fast"], "action": ["left", "nothing", "right"]}
    run = engine.train(engine.preset("MountainCar-v0", **SMALL), tmp_path / "run", names=names)
    assert run.manifest.observation_space.names == ("where", "how fast")
    assert run.manifest.action_space.names == ("left", "nothing", "right")
    for wrong, words in (
        ({"action": ["left"]}, "action has 1 names; 3 are needed"),
        ({"action": "left"}, "a list of texts"),
        ({"actions": []}, "unknown name 'actions'"),
    ):
        with pytest.raises(engine.EngineError, match=words):
            engine.train(engine.preset("MountainCar-v0", **SMALL), tmp_path / "other", names=wrong)
        assert not (tmp_path / "other").exists()

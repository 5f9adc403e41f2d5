"""Nothing is played in an environment that does otherwise than was recorded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import pytest
from own_worlds import saying, write_package

import engine
from engine.analysis.films import film
from engine.analysis.rendering import render
from engine.errors import BadInputError
from engine.kinds.control import recorded_environment
from engine.kinds.control.recorded_environment import environment_of
from engine.store.read import Run

PACKAGE = "own_worlds_of_recorded"
SMALL = {"rounds": 2, "n_steps": 50, "n_epochs": 1}


@pytest.fixture(scope="module", autouse=True)
def _own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("own")
    write_package(folder, PACKAGE)
    with saying(imports=[PACKAGE], directory=folder):
        yield


@pytest.fixture
def by_registry(tmp_path: Path) -> Run:
    return engine.train(engine.preset("own/Walk-v0", **SMALL), tmp_path / "registered")


@pytest.fixture
def by_function(tmp_path: Path) -> Run:
    with saying(make=f"{PACKAGE}:walk"):
        return engine.train(engine.preset("Walk", **SMALL), tmp_path / "made")


def refused(run: Run, words: str) -> None:
    with pytest.raises(BadInputError) as caught:
        film(run, 1, seed=0)
    said = str(caught.value)
    assert said.startswith("can't play this run's environment")
    assert words in said
    assert "\n" not in said
    with pytest.raises(engine.EngineError, match="can't play this run's environment"):
        render(run.snapshot(1), 3)


@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize("normalized", [False, True])
def test_the_same_environment_is_played(tmp_path: Path, n_envs: int, normalized: bool) -> None:
    settings = {"n_envs": n_envs, "normalize_observation": normalized, "normalize_reward": normalized}
    run = engine.train(engine.preset("own/Arm-v0", **SMALL, **settings), tmp_path / "run")
    assert film(run, 1, seed=0).steps == 20
    assert environment_of(run.snapshot(1)) == environment_of(run)


def test_a_namesake_is_not_played(by_registry: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(gym.registry["own/Walk-v0"], kwargs={"slip": 0.6})
    monkeypatch.setitem(gym.registry, "own/Walk-v0", other)
    refused(by_registry, "an episode went otherwise than was recorded")
    refused(by_registry, "name a factory with --make")


def test_a_namesake_with_other_spaces_is_not_played(by_registry: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gym.registry, "own/Walk-v0", gym.registry["own/Arm-v0"])
    refused(by_registry, "other observations or actions")


def test_a_namesake_that_fails_is_not_played(by_registry: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(env: object, action: object) -> None:
        raise RuntimeError("no\nsuch thing")

    monkeypatch.setattr(sys.modules[PACKAGE].Walk, "step", broken)
    refused(by_registry, "fails (RuntimeError: no such thing)")


def test_a_factory_is_tried_where_the_registered_one_differs(by_registry: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(gym.registry["own/Walk-v0"], kwargs={"slip": 0.6})
    monkeypatch.setitem(gym.registry, "own/Walk-v0", other)
    monkeypatch.setattr(
        sys.modules[PACKAGE], "walk", lambda: gym.wrappers.TimeLimit(sys.modules[PACKAGE].Walk(slip=0.1), 20)
    )
    with saying(make=f"{PACKAGE}:walk"):
        assert film(by_registry, 1, seed=0).steps > 0


def test_what_a_function_made_needs_it_again(by_function: Run) -> None:
    refused(by_function, "it is not registered here")
    with saying(make=f"{PACKAGE}:pendulum"):
        refused(by_function, "other observations or actions")
    with saying(make=f"{PACKAGE}:fails"):
        refused(by_function, "no screen")
    with saying(make=f"{PACKAGE}:walk"):
        assert film(by_function, 1, seed=0).steps <= 15


def test_a_run_without_the_states_of_its_environments_is_not_played(by_registry: Run) -> None:
    snapshot = by_registry.snapshot(1)
    without = {name: tensor for name, tensor in snapshot.checkpoint.items() if not name.startswith("environment/")}
    with pytest.raises(BadInputError, match=r"^can't play this run's environment .* without the states"):
        environment_of(snapshot.changed(checkpoint=without))


def test_an_answer_is_kept_for_the_process(by_registry: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    environment_of(by_registry)
    monkeypatch.setattr(recorded_environment, "_difference", lambda *_: pytest.fail("it was seen before"))
    assert environment_of(by_registry) == environment_of(by_registry.snapshot(0)) == environment_of(by_registry)


def test_a_run_goes_on_only_where_it_began(by_function: Run, tmp_path: Path) -> None:
    """Pendulum-v1 is in the catalogue, too: a run of the function's is not resumed there."""
    with saying(make=f"{PACKAGE}:pendulum"):
        config = engine.preset("Pendulum-v1", "default", **SMALL)
        rounds = engine.rounds(config, tmp_path / "run")
        next(rounds), next(rounds)
        rounds.close()
        empty = engine.rounds(config, tmp_path / "empty")
        next(empty)
        empty.close()
    with pytest.raises(BadInputError, match=r"^can't play this run's environment"):
        engine.train(config, tmp_path / "run", resume=True)
    with pytest.raises(BadInputError, match="started in another environment"):
        engine.train(config, tmp_path / "empty", resume=True)
    with saying(make=f"{PACKAGE}:pendulum"):
        assert engine.train(config, tmp_path / "run", resume=True).final is not None
        assert engine.train(config, tmp_path / "empty", resume=True).final is not None

"""The short test before a training outside the catalogue, and what comes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from own_worlds import saying, write_package

import engine
from engine.analysis.films import film
from engine.analysis.restoring import CannotRestoreError, points
from engine.analysis.rollout_advantages import monte_carlo
from engine.envs import find, trainable
from engine.errors import BadInputError
from engine.kinds.control.repeats import how_it_repeats, with_repeats

PACKAGE = "own_worlds_of_repeats"
SMALL = {"rounds": 2, "n_steps": 50, "n_epochs": 1}


@pytest.fixture(scope="module", autouse=True)
def _own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("own")
    write_package(folder, PACKAGE)
    with saying(imports=[PACKAGE], directory=folder):
        yield


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("own/Walk-v0", "always"),
        ("own/Arm-v0", "always"),
        ("own/Elsewhere-v0", "never"),
        ("own/Remembers-v0", "fresh"),
        ("own/RemembersForEver-v0", "never"),
        ("MountainCarContinuous-v0", "always"),
        ("BipedalWalkerHardcore-v3", "fresh"),
    ],
)
def test_what_the_test_finds(name: str, found: str) -> None:
    assert how_it_repeats(trainable(name)) == found


def test_the_catalogue_says_the_same_of_its_own_and_is_not_tested() -> None:
    walker = find("BipedalWalker-v3")
    assert how_it_repeats(replace(walker, fresh_each_episode=False)) == "fresh"
    assert with_repeats(walker) is walker


def test_an_environment_that_must_be_made_anew_is_and_goes_on(tmp_path: Path) -> None:
    run = engine.train(engine.preset("own/Remembers-v0", **SMALL), tmp_path / "run")
    assert run.manifest.environment is not None
    assert run.manifest.environment.repeats == "fresh"
    snapshot = run.snapshot(1)
    starts = snapshot.buffer.observation[1:][(snapshot.buffer.terminated | snapshot.buffer.truncated)[:-1]]
    assert set(starts.tolist()) == {1}, "each begins as a new one does"
    assert None not in points(snapshot)
    whole = engine.train(engine.preset("own/Remembers-v0", **{**SMALL, "rounds": 3}), tmp_path / "whole")
    rounds = engine.rounds(engine.preset("own/Remembers-v0", **{**SMALL, "rounds": 3}), tmp_path / "resumed")
    next(rounds), next(rounds)
    rounds.close()
    resumed = engine.train(whole.config, tmp_path / "resumed", resume=True)
    assert all(np.array_equal(tensor, resumed.checkpoint(3)[name]) for name, tensor in whole.checkpoint(3).items())


@pytest.mark.parametrize("name", ["own/Elsewhere-v0", "own/RemembersForEver-v0"])
def test_one_that_never_repeats_trains_and_all_that_plays_says_why_not(name: str, tmp_path: Path) -> None:
    run = engine.train(engine.preset(name, **SMALL), tmp_path / "run")
    assert run.manifest.environment is not None
    assert run.manifest.environment.repeats == "never"
    snapshot = run.snapshot(0)
    assert np.isfinite(engine.influence(snapshot).influence).all()
    replayed = engine.replay(snapshot).agent.tensors()
    assert all(np.array_equal(tensor, run.checkpoint(1)[name]) for name, tensor in replayed.items())
    line = r"^can't play this run's environment .*np\.random.*reset$"
    with pytest.raises(BadInputError, match=line) as caught:
        film(run, 1, seed=0)
    assert "\n" not in str(caught.value)
    outcome = engine.retrain(run, 0, [1], tmp_path / "without", orders=2, episodes=2)
    assert isinstance(outcome, engine.UnplayedOutcome), "it is judged on records"
    assert re.match(line, outcome.unplayed)
    with pytest.raises(CannotRestoreError, match=r"^can't play this run's environment"):
        monte_carlo(snapshot, [0], rollouts=2, executor="inline")

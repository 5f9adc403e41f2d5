"""Other trainers, recorded as their users would: each with its own classes and its own update, in an environment of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from trainer_environments import EXAMPLES, Environment, environment_with

import engine
from engine.errors import BadInputError

ROUNDS = 3
ZOO = """
CartPole-v1:
  n_timesteps: 1000
  policy: MlpPolicy
  n_envs: 4
  n_steps: 64
  batch_size: 64
  n_epochs: 2
  learning_rate: lin_0.001
  clip_range: lin_0.2
  callback:
    - engine.recording.sb3.Recorder:
        path: runs/mine
"""
REMOVAL = """
import json, sys
import numpy as np
import engine
engine.allow(packages=sys.argv[2:])
run = engine.open_run(sys.argv[1])
snapshot, after = run.snapshot(1), run.snapshot(2).parameters
estimators = "first_order", "tracin_adam", "replay_gradient"
influence, *along = (engine.influence(snapshot, "return", name, cache=False).influence for name in estimators)
apart = lambda found: max(float(np.abs(found.checkpoint[f"parameter/{name}"] - after[name]).max()) for name in after)
worst = np.argsort(influence)[:50]
print(json.dumps({
    "finite": all(bool(np.isfinite(each).all()) for each in (influence, *along)),
    "signs": [bool((influence < 0).any()), bool((influence > 0).any())],
    "whole": apart(engine.replay(snapshot)),
    "without": apart(engine.replay(snapshot, drop=worst)),
}))
"""


@pytest.fixture
def _examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The examples can be named here, although their trainers can't be imported."""
    monkeypatch.syspath_prepend(EXAMPLES)
    before = engine.allow()
    yield
    engine.allow(**vars(before))


def replayed(environment: Environment, run: Path, *allow: str) -> list[int]:
    """The rounds of a run, each of them replayed bit for bit from its files by another process."""
    done = environment.run("-m", "engine", "verify", run, "--replay", "--json", *allow)
    found = json.loads(done.stdout)
    assert found["ok"]
    assert all(each["equal"] and each["moved"] > 0 for each in found["replay"]), found["replay"]
    return [each["round"] for each in found["replay"]]


@pytest.mark.slow
@pytest.mark.usefixtures("_examples")
@pytest.mark.parametrize(("name", "requirement"), [("skrl_ppo", "skrl==2.1.1"), ("torchrl_ppo", "torchrl==0.14.1")])
def test_an_example_is_replayed_scored_and_cut(name: str, requirement: str, tmp_path: Path) -> None:
    environment, run = environment_with(requirement), tmp_path / "run"
    trained = environment.run(EXAMPLES / f"{name}.py", run, str(ROUNDS), cwd=tmp_path)
    assert "Warning" not in trained.stderr, trained.stderr
    assert replayed(environment, run, "--allow", name) == list(range(ROUNDS))
    removal = json.loads(environment.run("-c", REMOVAL, run, name).stdout)
    assert removal["finite"]
    assert removal["signs"] == [True, True]
    assert removal["whole"] == 0 < removal["without"]
    opened = engine.open_run(run)
    assert opened.rounds[0].metrics["self_test"] == "equal bit for bit"
    assert len(opened.snapshot(1).buffer) == 512, "what was recorded is read without the trainer"
    engine.allow(packages=(name,))
    with pytest.raises(BadInputError, match=f"{name} can't be imported"):
        engine.influence(opened.snapshot(1), "return", cache=False)


@pytest.mark.slow
def test_the_zoo_is_given_a_recorder_in_its_settings(tmp_path: Path) -> None:
    environment = environment_with("rl_zoo3==2.9.2")
    (tmp_path / "ppo.yml").write_text(ZOO)
    environment.run("-m", "rl_zoo3.train", "--conf-file", "ppo.yml", "--seed", "1", cwd=tmp_path)
    run = engine.open_run(tmp_path / "runs" / "mine")
    assert run.manifest.env_id == "CartPole-v1"
    assert replayed(environment, run.path) == [0, 1, 2, 3], "the last one too, whose schedules go below 0"
    assert run.snapshot(3).in_force["learning_rate"] < 0
    retrain = ("retrain", run.path, "--round", "1", "--drop-bottom", "0.5", "--evaluate", "8", "--json")
    outcome = json.loads(environment.run("-m", "engine", *retrain, "--out", tmp_path / "cut").stdout)
    assert outcome["verdict"] in ("helps", "hurts", "within noise")
    assert engine.open_run(tmp_path / "cut").manifest.parent is not None

"""Every entry of the catalogue makes an environment whose spaces and names are what it says."""

import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import engine
from engine.config import TrainConfig
from engine.envs import CATALOGUE, Environment, find, preset
from engine.errors import BadInputError
from engine.spaces import Space

PROMISED = {
    "CartPole-v1",
    "FrozenLake-v1",
    "FrozenLake-v1-slippery",
    "Acrobot-v1",
    "LunarLander-v3",
    "MiniGrid-Empty-8x8-v0",
    "highway-fast-v0",
    "highway-v0",
    "BipedalWalker-v3",
    "Pendulum-v1",
    "HalfCheetah-v5",
}


def test_the_promised_environments_are_there() -> None:
    assert set(CATALOGUE) >= PROMISED
    assert all(name == entry.name for name, entry in CATALOGUE.items())


@pytest.mark.parametrize("environment", CATALOGUE.values(), ids=lambda e: e.name)
def test_spaces_and_names_fit_the_environment(environment: Environment) -> None:
    observation, action = environment.spaces()
    env: gym.Env[Any, Any] = environment.make()
    shown, _ = env.reset(seed=0)
    if observation.kind == "discrete":
        assert isinstance(env.observation_space, gym.spaces.Discrete)
        assert observation.n == env.observation_space.n == len(environment.observation_names)
    else:
        assert observation.shape == np.shape(shown)
        assert np.dtype(observation.dtype) == np.asarray(shown).dtype
        assert len(environment.observation_names) == (0 if np.ndim(shown) == 3 else np.size(shown))
    if action.kind == "discrete":
        assert isinstance(env.action_space, gym.spaces.Discrete)
        assert action.n == env.action_space.n == len(environment.action_names)
    else:
        assert isinstance(env.action_space, gym.spaces.Box)
        assert action.shape == env.action_space.shape == (len(environment.action_names),)
        assert np.array_equal(action.low, env.action_space.low)
        assert np.array_equal(action.high, env.action_space.high)
    assert len(set(environment.action_names)) == len(environment.action_names)
    assert observation.names == environment.observation_names
    assert action.names == environment.action_names
    assert len(set(environment.observation_names)) == len(environment.observation_names)
    env.close()


@pytest.mark.parametrize("environment", CATALOGUE.values(), ids=lambda e: e.name)
def test_presets_are_usable_settings(environment: Environment) -> None:
    assert {"default", "v0.1"} <= set(environment.presets)
    usual = preset(environment.name)
    assert usual == preset(environment.name, "tuned" if "tuned" in environment.presets else "default")
    for name, changed in environment.presets.items():
        config = preset(environment.name, name)
        assert config.env_id == environment.name
        assert {field: config.to_json()[field] for field in changed} == changed
        assert preset(environment.name, name, rounds=2, seed=9) == TrainConfig(
            **{"env_id": environment.name, **changed, "rounds": 2, "seed": 9}
        )


def test_the_papers_settings() -> None:
    """Its six environments; SGD but for BipedalWalker, no gradient clip, and its rounds."""
    papers = {name: preset(name, "paper") for name, entry in CATALOGUE.items() if "paper" in entry.presets}
    assert {name: (config.optimizer, config.learning_rate, config.rounds) for name, config in papers.items()} == {
        "FrozenLake-v1": ("sgd", 5e-3, 30),
        "Acrobot-v1": ("sgd", 5e-3, 20),
        "MiniGrid-Empty-8x8-v0": ("sgd", 5e-3, 40),
        "highway-v0": ("sgd", 5e-3, 25),
        "LunarLander-v3": ("sgd", 5e-3, 100),
        "BipedalWalker-v3": ("adam", 3e-4, 150),
    }
    adam = {name: preset(name, "paper-adam") for name, entry in CATALOGUE.items() if "paper-adam" in entry.presets}
    assert {name: config.optimizer for name, config in adam.items()} == {
        "LunarLander-v3": "adam",
        "MiniGrid-Empty-8x8-v0": "adam",
    }
    assert adam["LunarLander-v3"].learning_rate == 1e-3
    for config in (*papers.values(), *adam.values()):
        assert config.max_grad_norm == float("inf")
        assert (config.n_envs, config.n_steps, config.batch_size, config.n_epochs) == (1, 2048, 64, 10)
        assert (config.gamma, config.gae_lambda, config.clip_range, config.ent_coef) == (0.99, 0.95, 0.2, 0.0)
    assert find("highway-v0").options["config"]["vehicles_count"] == 10


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("FrozenLake-v1", {"rounds": 30, "optimizer": "sgd", "learning_rate": 5e-3}),
        ("LunarLander-v3", {"rounds": 100, "learning_rate": 1e-3}),
        ("Acrobot-v1", {"rounds": 20}),
    ],
)
def test_what_version_0_1_trained_with_stays(name: str, changed: dict[str, Any]) -> None:
    """The sample runs were made with it."""
    assert preset(name, "v0.1") == TrainConfig(env_id=name, **changed)
    sample = engine.open_run(Path(__file__).parents[3] / "sample_runs" / name)
    assert replace(sample.config, seed=0) == preset(name, "v0.1")


def test_slippery_is_slippery_and_the_other_is_not() -> None:
    def cells(name: str) -> set[int]:
        env = find(name).make()
        reached = set()
        for seed in range(20):
            env.reset(seed=seed)
            reached.add(int(env.step(1)[0]))
        return reached

    assert cells("FrozenLake-v1") == {4}
    assert cells("FrozenLake-v1-slippery") == {0, 1, 4}


@pytest.mark.parametrize(
    ("name", "hint"), [("CartPole-v0", "did you mean 'CartPole-v1'"), ("LunarLandr", "did you mean 'LunarLander-v3'")]
)
def test_unknown_environment_gets_the_nearest_name(name: str, hint: str) -> None:
    with pytest.raises(BadInputError, match=hint):
        find(name)


@pytest.mark.parametrize(
    ("short", "name"),
    [
        ("MiniGrid-Empty-8x8", "MiniGrid-Empty-8x8-v0"),
        ("FrozenLake", "FrozenLake-v1"),
        ("highway", "highway-v0"),
        ("highway-fast", "highway-fast-v0"),
    ],
)
def test_the_version_may_be_left_out_where_there_is_one(short: str, name: str) -> None:
    assert find(short).name == name
    assert preset(short).env_id == name


def test_a_missing_package_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highway_env", None)
    with pytest.raises(BadInputError) as caught:
        find("highway-fast-v0").make()
    assert str(caught.value) == (
        "highway-fast-v0 needs highway-env; install it with: pip install 'snapshot-influence[highway]'"
    )


def test_every_extra_is_in_pyproject_and_in_the_extra_environments() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for environment in CATALOGUE.values():
        if environment.extra is not None:
            assert any(line.startswith(environment.extra.package) for line in extras[environment.extra.name])
            assert environment.extra.name in extras["environments"][0]


def test_the_catalogue_is_listed_without_the_packages() -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(('minigrid', 'highway_env', 'mujoco')); sys.argv = ['engine', 'envs']; "
        "from engine.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert all(name in done.stdout for name in ("highway-v0", "HalfCheetah-v5"))


def test_unknown_environment_lists_the_catalogue_and_imports_nothing() -> None:
    with pytest.raises(BadInputError, match=r"(?s)unknown environment.*Acrobot-v1") as caught:
        find("antigravity:Env-v0")
    assert "did you mean" not in str(caught.value)


def test_unknown_preset_lists_the_presets() -> None:
    with pytest.raises(BadInputError, match=r"CartPole-v1 has no preset 'fast'; it has default, v0\.1, tuned"):
        preset("CartPole-v1", "fast")


def test_unsupported_space_is_refused_in_words() -> None:
    gym_id = "Blackjack-v1"
    with pytest.raises(BadInputError, match="Discrete and Box are"):
        Environment("b", gym_id, "", (), (), {}).spaces()


def test_space_json_there_and_back() -> None:
    for environment in CATALOGUE.values():
        for space in environment.spaces():
            assert Space.from_json(space.to_json()) == space

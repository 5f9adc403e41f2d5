"""What the numbers of observations and the actions of a recorded run are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

import engine
from engine.kinds.control.fields import observation_components
from engine.recording import sb3

OWN = ["position", "speed", "angle", "turn"]


class Named(gym.Wrapper[Any, Any, Any, Any]):
    """Cart and pole with names."""

    observation_names = OWN
    action_names = ("left", "right")


class Misnamed(Named):
    """With a name too few."""

    observation_names = OWN[:3]


class InParts(gym.ObservationWrapper[Any, Any, Any]):
    """Its observation as a part."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gym.spaces.Dict({"pole": env.observation_space})

    def observation(self, observation: Any) -> Any:
        return {"pole": observation}


NUMBERED = [f"observation {i}" for i in range(8)]


@pytest.mark.parametrize(
    ("wrapper", "stack", "components", "actions"),
    [
        (Named, 1, OWN, ["left", "right"]),
        (Named, 2, NUMBERED, ["left", "right"]),
        (Misnamed, 1, NUMBERED[:4], ["left", "right"]),
        (InParts, 1, [f"pole: {name}" for name in NUMBERED[:4]], ["action 0", "action 1"]),
    ],
)
def test_names_are_the_environments_own_where_they_fit_else_numbers(
    wrapper: Any, stack: int, components: list[str], actions: list[str], tmp_path: Path
) -> None:
    made: Any = DummyVecEnv([lambda: wrapper(gym.make("CartPole-v1"))])
    policy = "MultiInputPolicy" if wrapper is InParts else "MlpPolicy"
    model = PPO(
        policy, VecFrameStack(made, stack) if stack > 1 else made, n_steps=16, batch_size=16, n_epochs=1, seed=1
    )
    with sb3.Recorder(tmp_path / "run", quiet=True, self_test=False) as recorder:
        model.learn(16, callback=recorder)
    run = engine.open_run(tmp_path / "run")
    assert list(observation_components(run.snapshot(0))) == components
    assert list(run.manifest.action_space.value_names) == actions

"""What recording costs a Stable-Baselines3 training: the same rounds with and without, and what a round takes on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.timing import Figure, alternate, ratio
from engine.store.read import open_run

RECORDS, ROUNDS = 2048, 5
FRAMES = (84, 84, 4)


class Frames(gym.Env[Any, Any]):
    """Stacks of pictures in which a few sprites move, as Atari's games show them."""

    observation_space = gym.spaces.Box(0, 255, FRAMES, np.uint8)
    action_space = gym.spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Sprites at places of their own."""
        super().reset(seed=seed)
        self.place = self.np_random.integers(8, 70, (6, 2))
        self.stack = np.zeros(FRAMES, np.uint8)
        self.steps = 0
        return self._seen(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """They move a little."""
        self.steps += 1
        self.place = (self.place + self.np_random.integers(-2, 3, (6, 2))).clip(4, 76)
        return self._seen(), float(action == 0), self.steps >= 200, False, {}

    def _seen(self) -> Any:
        picture = np.full(FRAMES[:2], 87, np.uint8)
        picture[:16] = 0
        for i, (row, column) in enumerate(self.place):
            picture[row : row + 6, column : column + 6] = 120 + 20 * i
        self.stack = np.concatenate([self.stack[..., 1:], picture[..., None]], axis=2)
        return self.stack.copy()


def figures(quick: bool = False) -> Iterator[Figure]:
    """Shares of the time of a training that is not recorded; without the test of the first round, which is made once."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = count()
        ways = {
            "not recorded": partial(_vectors, None),
            "recorded": lambda: _vectors(Path(folder) / str(next(numbers))),
        }
        yield from _share("2,048 records, MLP", ways, 3 if quick else 7, "<= 3 %")
        ways = {
            "not recorded": partial(_pictures, None),
            "recorded": lambda: _pictures(Path(folder) / str(next(numbers))),
        }
        yield from _share("1,024 stacks of 84 x 84 x 4, CNN", ways, 1 if quick else 3, "<= 6 %")
        run = open_run(Path(folder) / str(next(numbers) - 1))
        size = sum(path.stat().st_size for path in (run.path / "data").glob("000001-records-*"))
        raw = 1024 * int(np.prod(FRAMES))
        yield Figure("records of such a round", size / 1e6, size / 1e6, "MB", size / raw, "their raw size", "<= 0.25x")


def _share(what: str, ways: Any, repeats: int, target: str) -> Iterator[Figure]:
    times = alternate(ways, repeats=repeats)
    more = 100 * (ratio(times, "recorded", "not recorded") - 1)
    yield Figure(f"what recording adds: {what}", more, more, "%", target=target)


def _vectors(path: Path | None) -> None:
    _learn("MlpPolicy", "CartPole-v1", path, ROUNDS * RECORDS, n_steps=RECORDS)


def _pictures(path: Path | None) -> None:
    from stable_baselines3.common.vec_env import DummyVecEnv

    _learn("CnnPolicy", DummyVecEnv([Frames] * 8), path, 3 * 1024, n_steps=128, batch_size=256, n_epochs=4)


def _learn(policy: str, env: Any, path: Path | None, steps: int, **settings: Any) -> None:
    from stable_baselines3 import PPO

    from engine.recording import sb3

    model = PPO(policy, env, seed=0, device="cpu", **settings)
    if path is None:
        model.learn(steps)
        return
    with sb3.Recorder(path, quiet=True, self_test=False) as recorder:
        model.learn(steps, callback=recorder)

"""What recording costs a Stable-Baselines3 training: time, and what a round takes on disk."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.timing import Figure
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


HOOKS = ("_on_training_start", "_on_rollout_start", "_on_step", "_on_rollout_end", "_on_training_end", "close")


def figures(quick: bool = False) -> Iterator[Figure]:
    """The recorder's time beside that of everything else in the same training.

    Without the test of the first round, which is made once. Whole trainings with and without a recorder differ by more from
    turn to turn than recording takes.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = (Path(folder) / str(number) for number in count())
        yield _share("2,048 records, MLP", [_vectors(next(paths)) for _ in range(3 if quick else 7)], "<= 3 %")
        pictures = [_pictures(next(paths)) for _ in range(1 if quick else 3)]
        yield _share("1,024 stacks of 84 x 84 x 4, CNN", pictures, "<= 6 %")
        run = open_run(max(Path(folder).iterdir(), key=lambda path: int(path.name)))
        size = sum(path.stat().st_size for path in (run.path / "data").glob("000001-records-*"))
        raw = 1024 * int(np.prod(FRAMES))
        yield Figure("records of such a round", size / 1e6, size / 1e6, "MB", size / raw, "their raw size", "<= 0.25x")


def _share(what: str, shares: list[float], target: str) -> Figure:
    more = [100 * share for share in shares]
    return Figure(f"what recording adds: {what}", statistics.median(more), min(more), "%", target=target)


def _vectors(path: Path) -> float:
    return _learn("MlpPolicy", "CartPole-v1", path, ROUNDS * RECORDS, n_steps=RECORDS)


def _pictures(path: Path) -> float:
    from stable_baselines3.common.vec_env import DummyVecEnv

    return _learn("CnnPolicy", DummyVecEnv([Frames] * 8), path, 3 * 1024, n_steps=128, batch_size=256, n_epochs=4)


def _learn(policy: str, env: Any, path: Path, steps: int, **settings: Any) -> float:
    """The recorder's time by that of the rest."""
    from stable_baselines3 import PPO

    from engine.recording import sb3

    model, spent = PPO(policy, env, seed=0, device="cpu", **settings), Stopwatch()
    start = time.perf_counter()
    with sb3.Recorder(path, quiet=True, self_test=False) as recorder:
        for name in HOOKS:
            setattr(recorder, name, spent.within(getattr(recorder, name)))
        recording = recorder._kept.recording
        vars(recording)["minibatch"] = spent.within(recording.minibatch)
        model.learn(steps, callback=recorder)
        recorder.close()
    return spent.seconds / (time.perf_counter() - start - spent.seconds)


class Stopwatch:
    """Adds up what calls take."""

    seconds = 0.0

    def within(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, measured."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        return measured

"""A package of environments that somebody else might have, written into a folder of the test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.allowed import allow, allow_as, allowed

SOURCE = '''
import gymnasium as gym
import numpy as np
from gymnasium.wrappers import TimeLimit, TransformReward

from engine import StateAccess


class Walk(gym.Env):
    """Ten places in a row; what is shown and what is chosen begin at 3: 3 goes left, 5 right, 4 nowhere."""

    observation_space = gym.spaces.Discrete(10, start=3)
    action_space = gym.spaces.Discrete(3, start=3)
    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, slip=0.1, render_mode=None):
        self.slip, self.render_mode = slip, render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(3, 13))
        return self.place, {}

    def step(self, action):
        assert 3 <= action <= 5, action
        moved = action - 4 if self.np_random.random() >= self.slip else 0
        self.place = min(max(self.place + moved, 3), 12)
        return self.place, float(self.place == 12), bool(self.place == 12), False, {}

    def render(self):
        picture = np.zeros((8, 80, 3), np.uint8)
        picture[:, 8 * (self.place - 3) : 8 * (self.place - 2)] = 255
        return picture


class Arm(gym.Env):
    """Six joints in two rows; the reward is how near all are to what is shown."""

    observation_space = gym.spaces.Box(-1, 1, (2, 3), np.float64)
    action_space = gym.spaces.Box(-1, 1, (2, 3), np.float64)
    observation_names = tuple(f"joint {i}" for i in range(6))
    action_names = tuple(f"torque {i}" for i in range(6))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.shown = self.np_random.uniform(-1, 1, (2, 3))
        return self.shown, {}

    def step(self, action):
        assert action.shape == (2, 3) and action.dtype == np.float64
        reward = -float(np.abs(action - self.shown).mean())
        self.shown = self.np_random.uniform(-1, 1, (2, 3))
        return self.shown, reward, False, False, {}


class Pictures(gym.Env):
    """A bright half: left or right, or of the upper or the lower picture in a pile of them."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, shape=(40, 40)):
        self.observation_space = gym.spaces.Box(0, 255, shape, np.uint8)

    def _show(self):
        self.side = int(self.np_random.integers(2))
        self.shown = np.zeros(self.observation_space.shape, np.uint8)
        wide = max(range(self.shown.ndim), key=lambda axis: (self.shown.shape[axis], axis))
        where = [slice(None)] * self.shown.ndim
        half = self.shown.shape[wide] // 2
        where[wide] = slice(half) if self.side == 0 else slice(half, None)
        self.shown[tuple(where)] = self.np_random.integers(100, 256)
        return self.shown

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._show(), {}

    def step(self, action):
        reward = float(action == self.side)
        return self._show(), reward, False, False, {}


class Elsewhere(Walk):
    """Draws from NumPy's own generator, which no reset brings back."""

    def step(self, action):
        self.place = 3 + int(np.random.randint(10))
        return self.place, float(self.place), False, False, {}


class Remembers(Walk):
    """Begins one place further with every reset."""

    resets = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.resets += 1
        self.place = 3 + self.resets % 10
        return self.place, {}


class RemembersForEver(Walk):
    """Begins one place further with every reset of any of its kind."""

    resets = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        RemembersForEver.resets += 1
        self.place = 3 + RemembersForEver.resets % 10
        return self.place, {}


class Reachable(Walk):
    """A walk whose place can be read and set."""

    state_access = StateAccess(
        lambda env: (env.unwrapped.place,), lambda env, state: setattr(env.unwrapped, "place", state[0])
    )


class Endless(Walk):
    """No episode ends."""

    def step(self, action):
        place, reward, _, _, info = super().step(action)
        return place, reward, False, False, info


class WholeNumbers(Walk):
    action_space = gym.spaces.Box(0, 5, (2,), np.int64)


for name, entry, kwargs in (
    ("Walk", Walk, {}),
    ("Arm", Arm, {}),
    ("Grey", Pictures, {}),
    ("ChannelsFirst", Pictures, {"shape": (3, 38, 36)}),
    ("ChannelsLast", Pictures, {"shape": (38, 36, 3)}),
    ("SmallPicture", Pictures, {"shape": (7, 8)}),
    ("Elsewhere", Elsewhere, {}),
    ("Remembers", Remembers, {}),
    ("RemembersForEver", RemembersForEver, {}),
    ("WholeNumbers", WholeNumbers, {}),
    ("Reachable", Reachable, {}),
):
    gym.registry.pop(f"own/{name}-v0", None)
    gym.register(f"own/{name}-v0", entry, kwargs=kwargs, max_episode_steps=20)


def pendulum():
    return TransformReward(gym.make("Pendulum-v1", g=4.0, max_episode_steps=25), lambda reward: reward / 10)


def walk():
    return TimeLimit(Walk(slip=0.3), 15)


def endless():
    return Endless()


def no_environment():
    return "nothing"


def fails():
    raise RuntimeError("no\\nscreen")


WORLDS = 3
'''


def write_package(folder: Path, name: str) -> str:
    """Write the package into a folder; returns its name."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(SOURCE)
    return name


@contextmanager
def saying(**said: Any) -> Iterator[None]:
    """Allow so much for a while, in the place of what was allowed before."""
    before, path = allowed(), list(sys.path)
    allow(**said)
    try:
        yield
    finally:
        sys.path[:] = path
        allow_as(before)

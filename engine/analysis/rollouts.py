"""Rollouts from recorded states: what comes of an action, and what the policy gets there on average.

A rollout is named by its state, its first action and its stream, the random numbers of everything after that. All first
actions of a state meet the same streams, so that the difference of two of them is a paired one. Where the policy, left
alone, samples the recorded action first, its rollout is that action's and is made once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from engine.analysis.restoring import Point
from engine.core.checkpoint import one_thread
from engine.envs import Environment, find
from engine.kinds.control.agents import Agent
from engine.kinds.control.blueprint import Blueprint
from engine.kinds.control.normalization import normalizer_at
from engine.kinds.control.stepper import feasible

Floats = NDArray[np.float64]

LANES = 64
"""Rollouts that go on side by side: the policy answers all of them at once."""
BLOCK = 32
"""Steps for which noise is drawn at once."""
NEGLIGIBLE = 0.01
"""A rollout is cut where the discount has fallen to this; the critic's value stands for what would follow, as at a time limit."""
ROLLOUT_SEED = 5
"""Names rollouts among what a run's seed draws."""


class Start(NamedTuple):
    """A state, and the actions whose outcome there is asked for."""

    record: int
    """The first record that was made in it; names its streams."""
    point: Point
    observation: NDArray[Any]
    """As the policy received it."""
    actions: NDArray[Any]
    """(k, ...) recorded actions, all different."""
    streams: int
    """M."""


class Outcomes(NamedTuple):
    """Discounted returns from one state; column j is stream j."""

    policy: Floats
    """(M,) following pi_theta(k) at once."""
    actions: Floats
    """(k, M) taking each of the actions first."""


@dataclass(frozen=True, eq=False)
class RoundPolicy:
    """What all rollouts of a round follow, and where they are played."""

    seed: tuple[int, ...]
    blueprint: Blueprint
    tensors: Mapping[str, NDArray[Any]]
    """The checkpoint's agent and normaliser."""
    environment: Environment | None = None
    """What is played; None: the catalogue's entry."""


@dataclass(frozen=True, eq=False)
class RolloutTask:
    """Some of the starts of a round's rollouts."""

    number: int
    starts: Sequence[Start]

    def __str__(self) -> str:
        return f"rollouts, part {self.number + 1}"


def horizon(gamma: float) -> int | None:
    """Steps after which a rollout is cut; None where nothing is discounted and only the episode's end ends it."""
    return None if gamma >= 1 else max(1, math.ceil(math.log(NEGLIGIBLE) / math.log(gamma))) if gamma > 0 else 1


def run_rollouts(policy: RoundPolicy, task: RolloutTask) -> list[Outcomes]:
    """The outcomes of each start.

    Raises:
        StateNotRestoredError: an environment does not come back to a state that was reached before.
    """
    one_thread()
    agent = policy.blueprint.agent(policy.tensors)
    noise = [_Noise(agent, (*policy.seed, start.record), start.streams) for start in task.starts]
    rollouts: dict[tuple[int, int, bytes], _Rollout] = {}
    names: list[tuple[list[tuple[int, int, bytes]], list[list[tuple[int, int, bytes]]]]] = []

    def named(i: int, j: int, action: Any) -> tuple[int, int, bytes]:
        key = (i, j, np.asarray(action).tobytes())
        rollouts.setdefault(key, _Rollout(task.starts[i], noise[i], j, action))
        return key

    for i, start in enumerate(task.starts):
        seen = np.repeat(start.observation[None], start.streams, axis=0)
        own = agent.act(seen, noise[i].block(0)[:, 0])
        at_once = [named(i, j, own[j]) for j in range(start.streams)]
        names.append((at_once, [[named(i, j, action) for j in range(start.streams)] for action in start.actions]))
    returns = dict(zip(rollouts, _Lanes(policy, agent).play(list(rollouts.values())), strict=True))
    return [
        Outcomes(
            np.array([returns[key] for key in at_once]),
            np.array([[returns[key] for key in row] for row in actions]).reshape(-1, len(at_once)),
        )
        for at_once, actions in names
    ]


class _Noise:
    """The random numbers of a start's streams, drawn in blocks of steps as they are needed."""

    def __init__(self, agent: Agent, seed: tuple[int, ...], streams: int) -> None:
        self.agent, self.seed, self.streams = agent, seed, streams
        self.blocks: dict[int, Floats] = {}

    def block(self, number: int) -> Floats:
        """(streams, BLOCK, size) for the policy's actions in steps number * BLOCK and after."""
        if number not in self.blocks:
            rng = np.random.default_rng([*self.seed, 0, number])
            drawn = self.agent.draw_noise(rng, self.streams * BLOCK)
            self.blocks[number] = drawn.reshape(self.streams, BLOCK, -1)
        return self.blocks[number]

    def generator(self, stream: int) -> np.random.Generator:
        """For the environment's own chances."""
        return np.random.Generator(np.random.PCG64([*self.seed, 1, stream]))


class _Rollout(NamedTuple):
    start: Start
    noise: _Noise
    stream: int
    action: Any


class _Lanes:
    """Copies of the environment, each playing one rollout at a time."""

    def __init__(self, policy: RoundPolicy, agent: Agent) -> None:
        self.agent, self.config, self.action_space = agent, policy.blueprint.config, policy.blueprint.action_space
        self.environment = policy.environment or find(self.config.env_id)
        self.normalizer = normalizer_at(self.config, policy.tensors)
        self.envs: list[gym.Env[Any, Any]] = []
        self.horizon = horizon(self.config.gamma)

    def play(self, rollouts: list[_Rollout]) -> Floats:
        """(rollouts,) discounted returns."""
        try:
            return self._play(rollouts)
        finally:
            for env in self.envs:
                env.close()

    def _play(self, rollouts: list[_Rollout]) -> Floats:
        returns = np.zeros(len(rollouts))
        cut: list[tuple[int, float, NDArray[Any]]] = []  # rollout, discount, what its last step shows
        waiting = iter(range(len(rollouts)))
        lanes = min(LANES, len(rollouts))
        number, steps, discount = np.zeros(lanes, np.int64), np.zeros(lanes, np.int64), np.ones(lanes)
        shown = np.repeat(rollouts[0].start.point.shown[None], lanes, axis=0) if rollouts else np.zeros(0)
        noise = np.zeros((lanes, BLOCK, rollouts[0].noise.block(0).shape[2])) if rollouts else np.zeros(0)
        for _ in range(lanes):
            self.envs.append(self.environment.make())
            self.envs[-1].reset(seed=0)

        def step(lane: int, action: Any) -> bool:
            """Whether the rollout goes on."""
            shown[lane], reward, terminated, truncated, _ = self.envs[lane].step(feasible(action, self.action_space))
            returns[number[lane]] += discount[lane] * self._scaled(reward)
            steps[lane] += 1
            discount[lane] *= self.config.gamma
            if terminated:
                return False
            if truncated or steps[lane] == self.horizon:
                cut.append((number[lane], discount[lane], shown[lane].copy()))
                return False
            return True

        def begin(lane: int) -> bool:
            """Whether there is another rollout for the lane; those that end with their first step are done by the way."""
            for i in waiting:
                rollout = rollouts[i]
                number[lane], steps[lane], discount[lane] = i, 0, 1
                env = rollout.start.point.restore(self.environment, self.envs[lane], self.action_space)
                env.unwrapped.np_random = rollout.noise.generator(rollout.stream)
                self.envs[lane] = env
                noise[lane] = rollout.noise.block(0)[rollout.stream]
                if step(lane, rollout.action):
                    return True
            return False

        running = np.array([lane for lane in range(lanes) if begin(lane)], np.int64)
        while len(running):
            for lane in running[steps[running] % BLOCK == 0]:
                rollout = rollouts[number[lane]]
                noise[lane] = rollout.noise.block(int(steps[lane]) // BLOCK)[rollout.stream]
            actions = self.agent.act(self._seen(shown[running]), noise[running, steps[running] % BLOCK])
            goes_on = [step(lane, action) or begin(lane) for lane, action in zip(running, actions, strict=True)]
            running = running[goes_on]
        if cut:
            numbers, rest, last = zip(*cut, strict=True)
            returns[list(numbers)] += np.array(rest) * self.agent.value(self._seen(np.stack(last)))
        return returns

    def _seen(self, shown: NDArray[Any]) -> NDArray[Any]:
        return shown if self.normalizer is None else self.normalizer.normalize(shown)

    def _scaled(self, reward: Any) -> float:
        return float(reward) if self.normalizer is None else float(self.normalizer.scale(reward))


def parts(starts: Sequence[Start], rollouts: int) -> Iterator[list[Start]]:
    """Starts in groups of about as many rollouts."""
    group: list[Start] = []
    for start in starts:
        group.append(start)
        if sum(each.streams * (1 + len(each.actions)) for each in group) >= rollouts:
            yield group
            group = []
    if group:
        yield group

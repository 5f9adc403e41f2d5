"""What a person would ask about a record, as numbers and as yes or no."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.analysis.advantages import MonteCarlo
from engine.analysis.fields import action_components, observation_components, steps_in_episode
from engine.core.replay import replay
from engine.kinds.control.networks import restore_policy
from engine.kinds.control.rollout import td_errors
from engine.kinds.control.snapshot import ControlSnapshot

Floats = NDArray[np.float64]

CERTAIN = 2.0
"""Standard errors from 0 at which the sign of A-bar is taken to be known."""
MOST_COMPONENTS = 64
"""Components or values of an observation up to which each of them is a feature."""
PRODUCT = "A-bar x advantage"
MISMATCH = "wrong sign"


@dataclass(frozen=True, eq=False)
class Feature:
    """One value a record."""

    name: str
    values: Floats
    """(n,) numbers; ones and zeros where it is yes or no; NaN where it is not known."""
    phrase: str = ""
    """What the records that have it do (`took action left`); empty for a number."""


def features(snapshot: ControlSnapshot, estimated: MonteCarlo | None = None) -> list[Feature]:
    """All features of a round's records; those that need A-bar only where it is estimated."""
    found = [*_of_learning(snapshot), *_of_episodes(snapshot), *_of_the_policy(snapshot), *_of_the_state(snapshot)]
    return found if estimated is None else [*rollout_features(snapshot, estimated), *found]


def _number(name: str, values: ArrayLike) -> Feature:
    return Feature(name, np.asarray(values, np.float64))


def _share(name: str, phrase: str, values: ArrayLike) -> Feature:
    return Feature(name, np.asarray(values, np.float64), phrase)


def rollout_features(snapshot: ControlSnapshot, estimated: MonteCarlo) -> Iterator[Feature]:
    """The first of `features`, those that need A-bar: what A-bar says of A-hat, the column `advantage`, and V-bar of V."""
    buffer = snapshot.buffer
    advantage, error, value = estimated.spread(len(buffer))
    known = (np.abs(advantage) > CERTAIN * error) & (buffer.advantage != 0)
    wrong = np.where(known, np.sign(advantage) != np.sign(buffer.advantage), math.nan)
    yield _number(PRODUCT, advantage * buffer.advantage)
    yield _share(MISMATCH, "have an advantage of the wrong sign", wrong)
    yield _number("A-bar", advantage)
    yield _number("advantage error", np.abs(advantage - buffer.advantage))
    yield _number("value error", buffer.value - value)
    yield _number("size of the value error", np.abs(buffer.value - value))


def _of_learning(snapshot: ControlSnapshot) -> Iterator[Feature]:
    buffer = snapshot.buffer
    delta = td_errors(buffer, snapshot.config)
    yield _number("advantage", buffer.advantage)
    yield _number("size of the advantage", np.abs(buffer.advantage))
    yield _share("positive advantage", "have a positive advantage", buffer.advantage > 0)
    yield _number("TD error", delta)
    yield _number("size of the TD error", np.abs(delta))
    yield _number("value", buffer.value)
    yield _share("dropped", "were dropped from the update", ~buffer.kept)


def _of_episodes(snapshot: ControlSnapshot) -> Iterator[Feature]:
    buffer, steps = snapshot.buffer, steps_in_episode(snapshot)
    ends = buffer.terminated | buffer.truncated
    episode = np.unique(buffer.episode, return_inverse=True)[1]
    last = np.full(int(episode.max()) + 1, math.nan)
    last[episode[ends]] = steps[ends]
    whole = np.isin(episode, episode[steps == 0]) & ~np.isnan(last[episode])
    total = np.bincount(episode, buffer.reward.astype(np.float64))[episode]
    yield _number("reward", buffer.reward)
    yield _number("return of the episode", np.where(whole, total, math.nan))
    yield _number("step in episode", steps)
    yield _number("steps to the end of the episode", last[episode] - steps)
    yield _share("terminated", "ended their episode", buffer.terminated)
    yield _share("truncated", "were cut off by the time limit", buffer.truncated)


def _of_the_policy(snapshot: ControlSnapshot) -> Iterator[Feature]:
    buffer, config = snapshot.buffer, snapshot.config
    if snapshot.action_space.kind == "discrete":
        policy = restore_policy(config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
        p = policy.probabilities(buffer.observation).astype(np.float64)
        yield _number("probability of the action", np.exp(buffer.log_prob))
        yield _number("entropy of the policy", -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1))
    else:
        yield _number("log probability of the action", buffer.log_prob)
    if snapshot.minibatches.size:
        after = replay(snapshot).agent.log_prob(buffer.observation, buffer.action)
        ratio = np.exp(after.astype(np.float64) - buffer.log_prob)
        yield _number("change of log probability", np.abs(after - buffer.log_prob))
        yield _share("ratio clipped", "end the update with a clipped ratio", np.abs(ratio - 1) > config.clip_range)


def _of_the_state(snapshot: ControlSnapshot) -> Iterator[Feature]:
    space, actions = snapshot.observation_space, snapshot.action_space
    if actions.kind == "discrete":
        for j, name in enumerate(_names(actions.names, actions.n)):
            yield _share(f"action: {name}", f"took action {name}", snapshot.buffer.action == j)
    else:
        for name, column in action_components(snapshot).items():
            yield _number(name if name.startswith("action") else f"action: {name}", column)
    if space.kind == "discrete":
        for j, name in enumerate(_names(space.names, space.n) if space.n <= MOST_COMPONENTS else ()):
            yield _share(f"state: {name}", f"were in {name}", snapshot.buffer.observation == j)
    else:
        components = observation_components(snapshot)
        for name, column in components.items() if len(components) <= MOST_COMPONENTS else ():
            yield _number(f"observation: {name}", column)


def _names(names: tuple[str, ...], n: int) -> tuple[str, ...]:
    return names if len(names) == n else tuple(map(str, range(n)))

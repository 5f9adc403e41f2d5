"""What a person would ask about the record of a control task: its learning, its episode, its policy and its state."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from engine.core.features import Feature, dropped, number, repaired, share
from engine.core.replays.replay import check_replayable, replay
from engine.errors import BadInputError
from engine.kinds.control.blueprint import policy_of
from engine.kinds.control.fields import action_components, observation_components, steps_in_episode
from engine.kinds.control.rollout import td_errors
from engine.kinds.control.snapshot import ControlSnapshot

MOST_COMPONENTS = 64
"""Components or values of an observation up to which each of them is a feature."""


def features(snapshot: ControlSnapshot) -> Iterator[Feature]:
    """All that is known without rollouts."""
    yield from _of_learning(snapshot)
    yield from _of_episodes(snapshot)
    yield from _of_the_policy(snapshot)
    yield from _of_the_state(snapshot)


def _of_learning(snapshot: ControlSnapshot) -> Iterator[Feature]:
    buffer = snapshot.buffer
    delta = td_errors(buffer, snapshot.config)
    yield number("advantage", buffer.advantage)
    yield number("size of the advantage", np.abs(buffer.advantage))
    yield share("positive advantage", "have a positive advantage", buffer.advantage > 0)
    yield number("TD error", delta)
    yield number("size of the TD error", np.abs(delta))
    yield number("value", buffer.value)
    yield dropped(buffer.kept)
    if buffer.repaired.any():
        yield repaired(buffer.repaired)


def _of_episodes(snapshot: ControlSnapshot) -> Iterator[Feature]:
    buffer, steps = snapshot.buffer, steps_in_episode(snapshot)
    ends = buffer.terminated | buffer.truncated
    episode = np.unique(buffer.episode, return_inverse=True)[1]
    last = np.full(int(episode.max()) + 1, math.nan)
    last[episode[ends]] = steps[ends]
    whole = np.isin(episode, episode[steps == 0]) & ~np.isnan(last[episode])
    total = np.bincount(episode, buffer.reward.astype(np.float64))[episode]
    yield number("reward", buffer.reward)
    yield number("return of the episode", np.where(whole, total, math.nan))
    yield number("step in episode", steps)
    yield number("steps to the end of the episode", last[episode] - steps)
    yield share("terminated", "ended their episode", buffer.terminated)
    yield share("truncated", "were cut off by the time limit", buffer.truncated)


def _of_the_policy(snapshot: ControlSnapshot) -> Iterator[Feature]:
    buffer, config = snapshot.buffer, snapshot.config
    if snapshot.action_space.kind == "discrete":
        yield number("probability of the action", np.exp(buffer.log_prob))
        with suppress(BadInputError):  # another trainer's policy may not say it
            p = policy_of(snapshot).action_parameters(buffer.observation)[0].double().softmax(-1).numpy()
            yield number("entropy of the policy", -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1))
    else:
        yield number("log probability of the action", buffer.log_prob)
    if _is_replayable(snapshot):
        after = replay(snapshot).agent.log_prob(buffer.observation, buffer.action)
        ratio = np.exp(after.astype(np.float64) - buffer.log_prob)
        yield number("change of log probability", np.abs(after - buffer.log_prob))
        yield share("ratio clipped", "end the update with a clipped ratio", np.abs(ratio - 1) > config.clip_range)


def _is_replayable(snapshot: ControlSnapshot) -> bool:
    try:
        check_replayable(snapshot)
    except BadInputError:
        return False
    return True


def _of_the_state(snapshot: ControlSnapshot) -> Iterator[Feature]:
    (space, observation), actions = snapshot.shown, snapshot.action_space
    if actions.kind == "discrete":
        for j, name in enumerate(_names(actions.names, actions.n)):
            yield share(f"action: {name}", f"took action {name.removeprefix('action ')}", snapshot.buffer.action == j)
    else:
        for name, column in action_components(snapshot).items():
            yield number(name if name.startswith("action") else f"action: {name}", column)
    if space.kind == "discrete":
        for j, name in enumerate(_names(space.names, space.n) if space.n <= MOST_COMPONENTS else ()):
            yield share(f"state: {name}", f"were in {name}", observation == j)
    else:
        components = observation_components(snapshot)
        for name, column in components.items() if len(components) <= MOST_COMPONENTS else ():
            yield number(f"observation: {name}", column)


def _names(names: tuple[str, ...], n: int) -> tuple[str, ...]:
    return names if len(names) == n else tuple(map(str, range(n)))

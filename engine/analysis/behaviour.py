"""How the agent came to do this here: pi(a|s) over rounds, and the records behind it (paper, section 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.attribution.estimators import DEFAULT_ESTIMATOR, top_and_bottom
from engine.attribution.influence import influence
from engine.attribution.targets import ActionTarget
from engine.errors import BadInputError, ZeroGradientError
from engine.learning.checkpoint import restore_policy
from engine.learning.networks import ActorCritic
from engine.store.read import Run


def action_probabilities(run: Run, target: ActionTarget) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The policy's view of one state at every checkpoint of the run.

    Args:
        run: with discrete actions; one checkpoint is read at a time.
        target: one state and action.

    Returns:
        (k,) checkpoint numbers (k is the policy before round k's update, the last one the final policy) and
        (k, actions) probabilities.
    """
    rows = [policy.probabilities(target.observation)[0] for policy in _policies(run)]
    return np.array(run.checkpoint_rounds), np.array(rows, np.float64)


def action_gaussians(
    run: Run, target: ActionTarget
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The same for continuous actions: the Gaussian policy in one state at every checkpoint of the run.

    Returns:
        (k,) checkpoint numbers, (k, d) means and (k, d) standard deviations of the action's components.
    """
    means, deviations = [], []
    for policy in _policies(run):
        if policy.log_std is None:
            raise BadInputError(f"the actions of {run.manifest.env_id} are discrete; they have probabilities")
        means.append(policy.actor_output(target.observation)[0].numpy())
        deviations.append(policy.log_std.weight.detach().exp().numpy())
    return np.array(run.checkpoint_rounds), np.array(means, np.float64), np.array(deviations, np.float64)


def _policies(run: Run) -> Iterator[ActorCritic]:
    spaces = run.manifest.observation_space, run.manifest.action_space
    return (restore_policy(run.config, *spaces, run.checkpoint(k)) for k in run.checkpoint_rounds)


@dataclass(frozen=True, eq=False)
class RoundContributors:
    """The records of one round that pushed a behaviour most, either way."""

    round: int
    record: NDArray[np.int64]
    """Top records, then bottom ones."""
    influence: NDArray[np.float32]
    """Of those records."""
    action: NDArray[Any]
    """What they did."""


def contributors(
    run: Run, target: ActionTarget, k: int = 5, estimator: str = DEFAULT_ESTIMATOR
) -> Iterator[RoundContributors]:
    """The k top and k bottom records of every recorded round, one round at a time.

    A round in which the target's gradient is zero (the policy is already certain) has no contributors.
    """
    for number in run.stored_rounds:
        snapshot = run.snapshot(number)
        try:
            scores = influence(snapshot, target, estimator).influence
        except ZeroGradientError:
            scores = np.zeros(len(snapshot.buffer), np.float32)
        chosen = np.concatenate(top_and_bottom(scores, k))
        yield RoundContributors(number, chosen, scores[chosen], snapshot.buffer.action[chosen])


def influence_by_action(
    run: Run,
    estimator: str = DEFAULT_ESTIMATOR,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[int], NDArray[np.float64]]:
    """Summed influence on each round's return target, by the action of the record.

    Args:
        run: with discrete actions.
        estimator: of the influence.
        progress: called with (rounds done, rounds in all).

    Returns:
        The recorded rounds, and (actions, rounds) sums divided by the round's sum of |influence|: in [-1, 1].
    """
    rounds = run.stored_rounds
    table = np.zeros((run.manifest.action_space.n, len(rounds)))
    for column, number in enumerate(rounds):
        snapshot = run.snapshot(number)
        try:
            scores = influence(snapshot, "return", estimator).influence
        except ZeroGradientError:
            continue
        sums = np.bincount(snapshot.buffer.action, scores, minlength=len(table))
        table[:, column] = sums / np.abs(scores).sum()
        if progress is not None:
            progress(column + 1, len(rounds))
    return rounds, table

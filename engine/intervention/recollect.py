"""What comes after an intervention when the data are collected anew: every arm trained on, with several seeds.

A replay keeps the round's data as it was. Here each arm goes on to collect data of its own, so that what the removal did
to the policy also changes what the policy sees next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.core.loop import train_on
from engine.core.replay import Mode, replay
from engine.core.training import Learner, filtered
from engine.envs import find
from engine.intervention.comparison import Estimate, compare
from engine.intervention.filtering import make_filter
from engine.kinds.control.agents import Actor, restore_agent
from engine.kinds.control.evaluation import Evaluator
from engine.kinds.control.normalization import Normalizer, normalizer_at
from engine.store.read import Run
from engine.store.snapshot import Snapshot

RECOLLECTION_SEED = 5
"""Names the generators of re-collected data among what a run's seed draws."""

Floats = NDArray[np.float64]


class Continued(NamedTuple):
    """One arm, trained on with one seed."""

    returns: Sequence[float | None]
    """Mean training return of each further round; None where no episode ended."""
    policy: Actor
    """After the last of them."""
    normalizer: Normalizer | None
    """As it stood then."""


def train_arm_on(
    snapshot: Snapshot,
    drop: Sequence[int] | NDArray[Any],
    mode: Mode,
    rounds: int,
    seed: int,
    *,
    say: Callable[[int], None] = lambda round: None,
    on_step: Callable[[], None] | None = None,
) -> Continued:
    """Replay a round without some records and train on, recording nothing.

    Args:
        snapshot: round k.
        drop: record numbers; empty for the original.
        mode: `mask` or `rebatch`.
        rounds: how many to train after it.
        seed: 0 replays the recorded minibatch order and goes on as the run itself would have. s > 0 replays the s-th other
            order, begins new episodes and draws actions and minibatches anew: the same luck for every arm.
        say: told each round that begins.
        on_step: called before every optimizer step; raise from it to cancel.
    """
    config = snapshot.config
    learner = Learner.after(replay(snapshot, drop, mode=mode, order=seed, on_step=on_step))
    learner.config = replace(config, rounds=learner.round + rounds)
    if seed:
        learner.reseed(np.random.default_rng([config.seed, snapshot.round, seed, RECOLLECTION_SEED]))
    returns = []
    keep = partial(filtered, record_filter=make_filter(config))
    for later in train_on(learner, learner.config.rounds, keep, on_step):
        say(later.round)
        returns.append(later.metrics["mean_return"])
    if learner.environments is not None:
        learner.environments.close()
    return Continued(returns, learner.agent, learner.normalizer)


def recorded_arm(branch: Run) -> Continued:
    """A branch that was recorded already, from its first further round to its final checkpoint."""
    last = branch.checkpoint(branch.config.rounds)
    manifest = branch.manifest
    agent = restore_agent(branch.config, manifest.observation_space, manifest.action_space, last)
    returns = [info.metrics["mean_return"] for info in branch.rounds[1:]]
    return Continued(returns, agent, normalizer_at(branch.config, last))


Curve = Sequence[float | None]
"""An arm's mean training return of each further round, with one seed."""


def summarize(arms: Mapping[str, Sequence[Curve]], round: int, evaluation: Mapping[str, Floats]) -> Any:
    """What `result.json` says of the re-collected data.

    Args:
        arms: one curve a seed, for `original`, `counterfactual` and `control`.
        round: k, the round that was replayed.
        evaluation: (seeds, episodes) returns of the final policies by arm, on evaluation seeds that the arms share.

    Returns:
        `seeds`; `rounds` after k; `curves`, by arm the mean training return of each round with its interval over the
        seeds and the seeds' own values (null where no episode ended); `evaluation` and `training`, each what
        `comparison.compare` says of the final policies' returns and of the mean training return (null where a seed
        ended no episode); `seed_means` of the evaluation; `verdict`, that of the evaluation.
    """
    training = {
        name: np.array([[math.nan if value is None else value for value in curve] for curve in each], np.float64)
        for name, each in arms.items()
    }
    seeds, rounds = next(iter(training.values())).shape
    seen = {name: np.isfinite(values) for name, values in training.items()}
    known = all(each.any(axis=1).all() for each in seen.values())
    evaluated = compare(**evaluation)
    return {
        "seeds": seeds,
        "rounds": [round + 1 + i for i in range(rounds)],
        "curves": {name: [_point(column) for column in values.T] for name, values in training.items()},
        "training": compare(**{name: np.nanmean(values, axis=1)[:, None] for name, values in training.items()})
        if known
        else None,
        "evaluation": evaluated,
        "seed_means": {name: returns.mean(axis=1).tolist() for name, returns in evaluation.items()},
        "verdict": evaluated["verdict"],
    }


def _point(values: Floats) -> dict[str, Any]:
    """(seeds,) -> mean and interval over those seeds in which an episode ended."""
    seen = values[np.isfinite(values)]
    estimate = Estimate.of(seen, 0).to_json() if len(seen) else {"mean": None, "low": None, "high": None}
    found = {name: estimate[name] for name in ("mean", "low", "high")}
    return found | {"seeds": [value if np.isfinite(value) else None for value in values.tolist()]}


def evaluate(
    snapshot: Snapshot,
    arms: Mapping[str, Sequence[Continued]],
    first_seed: int,
    episodes: int,
    check: Callable[[], None],
    evaluated: Callable[[], None],
) -> dict[str, Floats]:
    """(seeds, episodes) returns of every arm's final policies; seed s of each arm plays the same episodes.

    Args:
        snapshot: round k.
        arms: one `Continued` a seed.
        first_seed: the evaluation seeds begin here.
        episodes: per arm and seed.
        check: called before every step of the episodes; raise from it to cancel.
        evaluated: called after every policy.
    """
    evaluator = Evaluator(find(snapshot.config.env_id))
    found: dict[str, Floats] = {}
    try:
        for name, each in arms.items():
            rows = []
            for seed, one in enumerate(each):
                evaluator.normalizer = one.normalizer
                seeds = first_seed + seed * episodes + np.arange(episodes)
                rows.append(evaluator.returns(one.policy, seeds, check))
                evaluated()
            found[name] = np.stack(rows)
    finally:
        evaluator.close()
    return found

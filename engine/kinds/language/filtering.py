"""IIF for sequences, its baselines and re-estimation: update a language model on a part of each round, or on a repaired one.

As for control tasks, with two guards that language models need: a floor on what is kept, and no filtering
where the target says nothing, which is where a model that does well ends up.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from engine.config import TrainConfig
from engine.core.filtering import Filtered, actor_influence, done_to, filtered_count
from engine.errors import ZeroGradientError
from engine.kinds.language.advantages import no_signal
from engine.kinds.language.grpo import group_advantages
from engine.kinds.language.removals import with_one_of_each_group
from engine.kinds.language.sequences import LanguageSnapshot
from engine.store.snapshot import Float32s

SIGNAL = 0.1
"""`signal` below which nothing is filtered, in the reward's unit: a classifier's logit."""


def make_filter(config: TrainConfig) -> Callable[[LanguageSnapshot], Filtered] | None:
    """The filter that a configuration names, or None.

    | filter | drops, or repairs |
    |---|---|
    | `iif`, `reestimate` | the worst `config.drop` of the sequences with negative influence on the sequence target (1: all) |
    | `random`, `reestimate_random` | as many as `iif` would, whichever |
    | `reward_threshold` | the worst `config.drop` of the sequences whose reward lies below the round's mean |

    Influence is that of the policy's objective, without the value loss. At least `LanguageConfig.min_kept` of the records
    stay where some are dropped, and of a GRPO group one response. All but the last do nothing where the target's signal is
    near zero (`signal`).
    """
    if config.filter == "none":
        return None

    def choose(snapshot: LanguageSnapshot) -> Filtered:
        if config.filter == "reward_threshold":
            reward = snapshot.buffer.reward
            return _chosen(snapshot, reward - reward.mean(), "below the mean reward")
        nothing, found = np.zeros(0, np.int64), signal(snapshot)
        if found < SIGNAL:
            why = f"the rewards of the sequence target hardly differ (standard deviation {found:.2g}, below {SIGNAL:g})"
            return Filtered(nothing, f"nothing {done_to(config)}: {why}", repairs=config.repairs)
        try:
            scores = actor_influence(snapshot)
        except ZeroGradientError:
            why = f"nothing {done_to(config)}: the sequence target's gradient is zero"
            return Filtered(nothing, why, repairs=config.repairs)
        return _chosen(snapshot, scores, f"with negative influence by {config.filter_estimator}")

    return choose


def signal(snapshot: LanguageSnapshot) -> float:
    """Standard deviation of the rewards that the sequence target is made of; for GRPO within its groups.

    The target's advantages are normalised, so that near 0 they make a direction of what is no difference.
    """
    buffer = snapshot.buffer if snapshot.validation is None else snapshot.validation
    reward = buffer.reward.astype(np.float64)
    if snapshot.language.algorithm == "grpo":
        reward = group_advantages(reward, buffer.group, normalizer="dr_grpo")
    return float(reward.std())


def _chosen(snapshot: LanguageSnapshot, scores: Float32s, what: str) -> Filtered:
    """The worst of those with a negative score, or as many at random."""
    config, n = snapshot.config, len(scores)
    ranked = np.where(no_signal(snapshot), np.float32(0), scores)
    negatives = int((ranked < 0).sum())
    wanted = filtered_count(ranked, config.drop)
    most = n if config.repairs else n - math.ceil(snapshot.language.min_kept * n)
    order = np.argsort(ranked, kind="stable")
    at_random = config.filter in ("random", "reestimate_random")
    if at_random:
        order = np.random.default_rng([config.seed, 3, snapshot.round]).permutation(n)
    chosen = with_one_of_each_group(snapshot, order[: min(wanted, most)])
    as_many = "as many as the " if at_random else ""
    why = f"{config.filter}: {as_many}{len(chosen)} of {negatives} sequences {what}"
    if wanted > most:
        why += f"; {snapshot.language.min_kept:.0%} of the round stay in any case"
    return Filtered(chosen, why, repairs=config.repairs)

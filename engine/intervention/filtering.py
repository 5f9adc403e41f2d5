"""Iterative influence-based filtering (IIF; paper, section 5) and its baselines: train on a part of each round.

A filter looks at a round between collect and update and says which records the update goes without.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.influence import influence
from engine.core.training import Filtered, RecordFilter
from engine.core.training import train as train_with
from engine.errors import BadInputError, ZeroGradientError
from engine.kinds.control.agreement import agreement
from engine.kinds.control.rollout import td_errors
from engine.store.read import Run, open_run
from engine.store.snapshot import Float32s, Snapshot

Ranking = Callable[[Snapshot, Float32s], NDArray[np.floating]]
"""Gives every record a number from the snapshot and its influence; the smallest ones are dropped."""


def by_influence(_snapshot: Snapshot, scores: Float32s) -> NDArray[np.floating]:
    """IIF: the records that lowered the return target most."""
    return scores


def at_random(snapshot: Snapshot, scores: Float32s) -> NDArray[np.floating]:
    """The control: as many records as IIF drops, whichever."""
    return np.random.default_rng([snapshot.config.seed, 3, snapshot.round]).random(len(scores))


def by_advantage(snapshot: Snapshot, _scores: Float32s) -> NDArray[np.floating]:
    """The records whose advantage is smallest in magnitude."""
    return np.abs(snapshot.buffer.advantage)


def by_td_error(snapshot: Snapshot, _scores: Float32s) -> NDArray[np.floating]:
    """The records whose TD error is smallest in magnitude."""
    return np.abs(td_errors(snapshot.buffer, snapshot.config))


RANKINGS: dict[str, Ranking] = {
    "iif": by_influence,
    "guarded": by_influence,
    "random": at_random,
    "advantage": by_advantage,
    "td_error": by_td_error,
}

EXPLAINED_VARIANCE = (0.1, 0.3)
"""Explained variance of the critic at which `guarded` begins to filter, and from which on it filters fully."""
AGREEMENT = (1.5, 2.5)
"""The same for the agreement of the episodes' gradients (`attribution.agreement`)."""


def strength(explained_variance: float, agreement: float) -> float:
    """How much of `drop` the guarded filter applies, from 0 to 1: it grows with the evidence that influence is no noise.

    Evidence is a critic that explains the returns, or episodes that agree on what raises them, whichever is stronger.
    Without either, advantages are noise, and dropping the records that noise calls harmful amplifies it.
    """

    def ramp(value: float, low: float, high: float) -> float:
        return float(np.clip((np.nan_to_num(value) - low) / (high - low), 0, 1))

    return max(ramp(explained_variance, *EXPLAINED_VARIANCE), ramp(agreement, *AGREEMENT))


def actor_influence(snapshot: Snapshot) -> Float32s:
    """(n,) influence on the return target through the actor's objective: the paper's filtering leaves the value loss out.

    With separate networks that is all of the influence; in a shared trunk the value loss moves the policy as well. By
    `config.filter_estimator`; those that follow the update follow the one on the whole round, value loss included, and
    leave the critic's term out of what each record is credited with.
    """
    estimator = snapshot.config.filter_estimator
    if estimator == "first_order":
        without_value = replace(snapshot, config=replace(snapshot.config, vf_coef=0.0))
        return influence(without_value, "return", cache=False).influence
    scores = influence(snapshot, "return", estimator, cache=False)
    return scores.influence - scores.terms["critic"]


def make_filter(config: TrainConfig) -> RecordFilter | None:
    """The filter that a configuration names, or None.

    `iif` drops the worst `config.drop` of the records with negative influence, `random`, `advantage` and `td_error` as
    many. `guarded` drops them from the actor's loss alone, and fewer of them the weaker the evidence (`strength`).
    """
    if config.filter == "none":
        return None
    rank, guarded = RANKINGS[config.filter], config.filter == "guarded"

    def choose(snapshot: Snapshot) -> Filtered:
        drop, evidence = config.drop, ""
        if guarded:
            share, evidence = _weighed(snapshot)
            drop *= share
        if drop == 0:
            return Filtered(np.zeros(0, np.int64), f"{config.filter}: nothing dropped{evidence}", guarded)
        try:
            scores = actor_influence(snapshot)
        except ZeroGradientError:
            return Filtered(np.zeros(0, np.int64), "nothing dropped: the return target's gradient is zero", guarded)
        count = filtered_count(scores, drop)
        left = len(scores) - count
        if left < 2 * config.batch_size:
            raise BadInputError(
                f"the filter would keep {left} records of round {snapshot.round}, fewer than two minibatches "
                f"({2 * config.batch_size}); use a smaller drop than {config.drop:g}"
            )
        dropped = np.argsort(rank(snapshot, scores), kind="stable")[:count]
        negatives = int((scores < 0).sum())
        what = "the worst" if rank is by_influence else "as many as the worst"
        why = f"{config.filter}: {what} {count} of {negatives} negative records by {config.filter_estimator}{evidence}"
        return Filtered(dropped, why, guarded)

    return choose


def _weighed(snapshot: Snapshot) -> tuple[float, str]:
    """How strongly `guarded` filters a round, and the evidence in words. The cheaper evidence is looked at first."""
    explained = snapshot.metrics["explained_variance"]
    share, evidence = strength(explained, 0.0), f", from the actor's loss; explained variance {explained:.2f}"
    if share == 1:
        return share, evidence
    agreed = agreement(snapshot)
    return strength(explained, agreed), f"{evidence}, agreement {agreed:.2f}"


def filtered_count(scores: Float32s, drop: float) -> int:
    """How many records IIF drops: those strictly below the threshold sorted(I)[int(drop * negatives)].

    Influence [-3, -1, -1, 2] with drop 0.5 -> threshold sorted[1] = -1, one record (-3) lies below it. With drop 1 the
    threshold is the first that is not negative, so all negative records go.
    """
    negatives = int((scores < 0).sum())
    if negatives == 0:
        return 0
    ordered = np.sort(scores)
    place = int(negatives * drop)
    return negatives if place >= len(ordered) else int((ordered < ordered[place]).sum())


def bottom_fraction(scores: Float32s, fraction: float) -> NDArray[np.int64]:
    """The worst `fraction` of the records with negative influence, rounded down, sorted by number.

    With influence [-3, -1, 2, -2] and fraction 0.5: one and a half of three, so [0]. Unlike the filter's threshold, which
    may leave equal records in, this takes exactly that many; among equals those with the lower numbers.

    Raises:
        BadInputError: fraction is not in (0, 1], or no record is chosen.
    """
    if not 0 < fraction <= 1:
        raise BadInputError(f"the fraction to drop is {fraction}; it must be above 0 and at most 1")
    chosen = np.argsort(scores, kind="stable")[: int(fraction * (scores < 0).sum())]
    if len(chosen) == 0:
        raise BadInputError(f"no record is in the bottom {fraction:g} of the negative ones; choose a larger fraction")
    return np.sort(chosen)


def train(
    config: TrainConfig,
    out: str | Path,
    *,
    resume: bool = False,
    on_step: Callable[[], None] | None = None,
) -> Run:
    """Train PPO to the end and record every round in the run folder `out`; with `config.filter`, on a part of each round.

    >>> import engine
    >>> run = engine.train(engine.preset("FrozenLake-v1", rounds=2), "runs/short")
    >>> run.stored_rounds
    [0, 1]

    Args:
        config: what to train.
        out: the run folder to make, or with `resume` to continue.
        resume: continue an interrupted run; it goes on bit for bit as if nothing had happened.
        on_step: called before every optimizer step; raise from it to cancel.

    Returns:
        The recorded run. `rounds` gives each round while the training goes on.

    Raises:
        BadInputError: `out` is already a run, or not the run of this configuration, or the filter drops too much.
        LockedRunError: another process is writing this run.
        StorageError: the disk refused; earlier rounds stay readable.
    """
    for _ in rounds(config, out, resume=resume, on_step=on_step):
        pass
    return open_run(out)


def rounds(
    config: TrainConfig,
    out: str | Path,
    *,
    resume: bool = False,
    on_step: Callable[[], None] | None = None,
) -> Generator[Snapshot, None, None]:
    """Train as `train` does, one round at a time, as the caller asks for them.

    >>> import engine
    >>> config = engine.preset("FrozenLake-v1", rounds=2, seed=0, filter="iif", drop=0.5)
    >>> for snapshot in engine.rounds(config, "runs/filtered"):
    ...     print(snapshot.round, len(snapshot.buffer), snapshot.metrics["dropped"], snapshot.metrics["filter"])
    0 2048 418 iif: the worst 418 of ... negative records by first_order
    1 2048 4... iif: the worst 4... of ... negative records by first_order

    Nothing happens before the first round is asked for. Where the caller stops early, the committed rounds stay, and
    `resume` goes on from them.

    Args and errors are those of `train`.

    Yields:
        Each round's snapshot between collect and update. The round is committed after its update, when the next one
        is asked for.
    """
    yield from train_with(config, out, resume=resume, record_filter=make_filter(config), on_step=on_step)

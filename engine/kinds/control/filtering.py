"""Which records a control task's update goes without, or repairs: IIF, its baselines (paper, section 5) and re-estimation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core import filtering as core
from engine.core.filtering import Filtered, Ranking, RecordFilter, choose_lowest
from engine.kinds.control.agreement import agreement
from engine.kinds.control.rollout import td_errors
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.snapshot import Float32s


def by_advantage(snapshot: ControlSnapshot, _scores: Float32s) -> NDArray[np.floating]:
    """The records whose advantage is smallest in magnitude."""
    return np.abs(snapshot.buffer.advantage)


def by_td_error(snapshot: ControlSnapshot, _scores: Float32s) -> NDArray[np.floating]:
    """The records whose TD error is smallest in magnitude."""
    return np.abs(td_errors(snapshot.buffer, snapshot.config))


RANKINGS: Mapping[str, Ranking] = {
    **core.RANKINGS,
    "guarded": core.by_influence,
    "advantage": by_advantage,
    "td_error": by_td_error,
}

EXPLAINED_VARIANCE = (0.1, 0.3)
"""Explained variance of the critic at which `guarded` begins to filter, and from which on it filters fully."""
AGREEMENT = (1.5, 2.5)
"""The same for the agreement of the episodes' gradients (`agreement`)."""


def strength(explained_variance: float, agreement: float) -> float:
    """How much of `drop` the guarded filter applies, from 0 to 1: it grows with the evidence that influence is no noise.

    Evidence is a critic that explains the returns, or episodes that agree on what raises them, whichever is stronger.
    Without either, advantages are noise, and dropping the records that noise calls harmful amplifies it.
    """

    def ramp(value: float, low: float, high: float) -> float:
        return float(np.clip((np.nan_to_num(value) - low) / (high - low), 0, 1))

    return max(ramp(explained_variance, *EXPLAINED_VARIANCE), ramp(agreement, *AGREEMENT))


def make_filter(config: TrainConfig) -> RecordFilter | None:
    """The filter that a configuration names, or None.

    `iif` drops the worst `config.drop` of the records with negative influence, `random`, `advantage` and `td_error` as
    many. `guarded` drops them from the actor's loss alone, and fewer of them the weaker the evidence (`strength`).
    `reestimate` repairs those that `iif` drops: their TD error stands in the place of their advantage; `reestimate_random`
    as many others.
    """
    if config.filter == "none":
        return None
    rank, guarded = RANKINGS[config.filter], config.filter == "guarded"

    def choose(snapshot: ControlSnapshot) -> Filtered:
        drop, evidence = config.drop, ""
        if guarded:
            share, evidence = _weighed(snapshot)
            drop *= share
        if drop == 0:
            return Filtered(np.zeros(0, np.int64), f"{config.filter}: nothing dropped{evidence}", guarded)
        return choose_lowest(snapshot, config, rank, drop, evidence, actor_only=guarded)

    return choose


def _weighed(snapshot: ControlSnapshot) -> tuple[float, str]:
    """How strongly `guarded` filters a round, and the evidence in words. The cheaper evidence is looked at first."""
    explained = snapshot.metrics["explained_variance"]
    share, evidence = strength(explained, 0.0), f", from the actor's loss; explained variance {explained:.2f}"
    if share == 1:
        return share, evidence
    agreed = agreement(snapshot)
    return strength(explained, agreed), f"{evidence}, agreement {agreed:.2f}"

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
    "reestimate_guarded": core.by_influence,
    "advantage": by_advantage,
    "td_error": by_td_error,
}

GUARDED = ("guarded", "reestimate_guarded")
"""Filters that go by the evidence."""
EXPLAINED_VARIANCE = (0.1, 0.3)
"""Explained variance of the critic at which they begin to filter, and from which on they filter fully."""
AGREEMENT = (1.5, 2.5)
"""The same for the agreement of the episodes' gradients (`agreement`)."""


def strength(explained_variance: float, agreement: float) -> float:
    """How much of `drop` a guarded filter applies, from 0 to 1: it grows with the evidence that influence is no noise.

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
    `reestimate` repairs those that `iif` drops (`config.repair` says how), `reestimate_guarded` as many of them as `guarded`
    drops, and `reestimate_random` as many others as `reestimate`.
    """
    if config.filter == "none":
        return None
    rank, actor_only = RANKINGS[config.filter], config.filter == "guarded"

    def choose(snapshot: ControlSnapshot) -> Filtered:
        drop, evidence = config.drop, ""
        if config.filter in GUARDED:
            share, evidence = _weighed(snapshot)
            drop *= share
        if drop == 0:
            why = f"{config.filter}: nothing {core.done_to(config)}{evidence}"
            return Filtered(np.zeros(0, np.int64), why, actor_only, config.repairs)
        return choose_lowest(snapshot, config, rank, drop, evidence, actor_only=actor_only)

    return choose


def _weighed(snapshot: ControlSnapshot) -> tuple[float, str]:
    """How strongly a guarded filter takes hold of a round, and the evidence in words. The cheaper evidence is looked at first."""
    explained = snapshot.metrics["explained_variance"]
    whose = "" if snapshot.config.repairs else ", from the actor's loss"
    share, evidence = strength(explained, 0.0), f"{whose}; explained variance {explained:.2f}"
    if share == 1:
        return share, evidence
    agreed = agreement(snapshot)
    return strength(explained, agreed), f"{evidence}, agreement {agreed:.2f}"

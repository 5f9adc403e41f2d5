"""The update of a language model again: from a snapshot, with some sequences removed, re-weighted or reshuffled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.core.checkpoint import Tensors, learner_tensors, one_thread, restore_optimizer
from engine.core.objective import OnGradient, UpdateMetrics, draw_minibatches
from engine.core.replay import Mode, check_mode, check_weights
from engine.errors import BadInputError
from engine.kinds.language.advantages import regrouped
from engine.kinds.language.models import restore_policy
from engine.kinds.language.policy import LanguagePolicy
from engine.kinds.language.sequences import LanguageSnapshot
from engine.kinds.language.update import update


@dataclass(frozen=True)
class Replayed:
    """The outcome of a replayed update."""

    snapshot: LanguageSnapshot
    """What was replayed, with its removed records and minibatches."""
    policy: LanguagePolicy
    """At theta(k+1)."""
    optimizer: torch.optim.Optimizer
    """With its state after the update."""
    metrics: UpdateMetrics

    @property
    def checkpoint(self) -> Tensors:
        """`parameter/...` and `optimizer/...` after the update, as copies."""
        return learner_tensors(self.policy, self.optimizer)


def replay_language(
    snapshot: LanguageSnapshot,
    drop: Sequence[int] | NDArray[Any] | None = None,
    *,
    mode: Mode = "mask",
    order: int = 0,
    weights: Sequence[float] | NDArray[Any] | None = None,
    on_step: Callable[[], None] | None = None,
    on_gradient: OnGradient | None = None,
) -> Replayed:
    """Replay the update of a round of sequences, by default exactly.

    A removed sequence leaves the advantages of the others as they were normalised with it (PPO); in GRPO it is as if it
    had never been sampled: the others of its group are compared without it.

    Args:
        snapshot: round k of a run; records that it marks as not kept stay out.
        drop: records to remove as well.
        mode: `mask` leaves removed records out of their minibatches, `rebatch` draws new permutations of those left.
        order: 0 replays the recorded permutations (or, with `rebatch`, the first new ones), q > 0 the q-th other order.
        weights: (n,) how often each record counts, 1 by default; see `update.update`.
        on_step: called before every optimizer step; raise from it to cancel.
        on_gradient: watches every optimizer step, as in `ppo.update`.

    Returns:
        theta(k+1). With nothing removed and order 0 it is the original bit for bit, on an equal fingerprint.

    Raises:
        BadInputError: a record is out of range, all or all of a GRPO group would be removed, mode or order is unknown,
            there is not one weight of at least 0 a record, or the model can't be loaded.
    """
    left = intervene_language(snapshot, () if drop is None else drop, mode=mode, order=order)
    one_thread()
    policy = restore_policy(left)
    optimizer = restore_optimizer(policy, left.config, left.checkpoint)
    metrics = update(
        policy,
        optimizer,
        left.buffer,
        left.minibatches,
        left.config,
        left.language,
        weights=None if weights is None else check_weights(weights, len(snapshot.buffer)),
        on_step=on_step,
        on_gradient=on_gradient,
    )
    return Replayed(left, policy, optimizer, metrics)


def intervene_language(
    snapshot: LanguageSnapshot, drop: Sequence[int] | NDArray[Any], *, mode: Mode = "mask", order: int = 0
) -> LanguageSnapshot:
    """The snapshot with records removed and minibatches to match; `replay_language` says what the arguments mean."""
    check_mode(mode)
    if order < 0:
        raise BadInputError(f"order is {order}; it must be 0 (as recorded) or more")
    removed = len(drop) > 0
    if removed:
        snapshot = regrouped(snapshot.without(np.asarray(drop)))
    rebatch = mode == "rebatch" and removed
    if order == 0 and not rebatch:
        return snapshot
    kept = snapshot.buffer.kept if rebatch else np.ones(len(snapshot.buffer), bool)
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round, order])
    left, gone = np.flatnonzero(kept), np.flatnonzero(~kept)
    permutations = left[draw_minibatches(rng, len(left), snapshot.config.n_epochs)]
    tail = np.tile(gone, (len(permutations), 1))
    return snapshot.changed(minibatches=np.concatenate([permutations, tail], axis=1).astype(np.int32))

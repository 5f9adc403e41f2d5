"""Does the replay of a round land on what was recorded after it, and if not, what was done instead?"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from engine.analysis.checks.check import Check, Fault
from engine.core.kind import kind_of
from engine.core.policy import trained
from engine.core.replays.replay import replay
from engine.core.replays.replayed_run import verified_round
from engine.store.read import Run
from engine.store.snapshot import Snapshot, parameters_of

ROUNDING = 0.02
"""Largest difference as a share of the update's largest move that software and hardware may make."""
STRAIGHT = 0.9
"""Cosine of two steps from which on one is the other, but for its size."""


def landed(run: Run, k: int, name: str) -> Check:
    """Whether the replay of round k leads to theta(k + 1), bit for bit or to rounding."""
    if k not in run.stored_rounds:
        return Check(name, None, "there is no round before" if k < 0 else f"the records of round {k} are not stored")
    found = verified_round(run, k)
    if found.largest is None or found.moved is None:
        return Check(name, None, f"round {k} is not replayed: {found.why}")
    if found.equal:
        return Check(name, True, f"the replay of round {k} lands on theta({k + 1}), bit for bit")
    if found.largest <= ROUNDING * found.moved:
        share = found.largest / found.moved
        return Check(
            name, True, f"the replay of round {k} lands on theta({k + 1}) to rounding, {share:.1g} of the update"
        )
    fault, said = _done_instead(run.snapshot(k), parameters_of(run.checkpoint(k + 1)))
    return Check(name, False, f"the replay of round {k} does not land on theta({k + 1}): {said}", fault)


def _done_instead(snapshot: Snapshot, recorded: Mapping[str, NDArray[np.floating]]) -> tuple[Fault, str]:
    """By which parameters are elsewhere, and where the recorded update points."""
    before, replayed = snapshot.parameters, parameters_of(replay(snapshot).checkpoint)
    critic = _of_critic(snapshot)
    apart = {name for name in recorded if not _near(recorded[name], replayed[name], before[name])}
    if critic and apart <= critic:
        return "critic", "only parameters of the critic are elsewhere, as after they were set anew"
    one, other = (
        np.concatenate([(to[name] - before[name]).ravel() for name in sorted(before)]) for to in (recorded, replayed)
    )
    sizes = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    if not all(map(math.isfinite, sizes)):
        return "numbers", "parameters are not finite"
    cosine = float(one @ other) / ((sizes[0] * sizes[1]) or 1)
    factor = sizes[0] / (sizes[1] or math.inf)
    if cosine >= STRAIGHT or factor >= 2 or (0 < factor <= 0.5):
        return (
            "step",
            f"the recorded update is {factor:.3g} times as long as the one that the settings make, cosine {cosine:.2f}",
        )
    return "unexplained", f"it was changed after the update, or by another update (cosine {cosine:.2f})"


def _near(recorded: NDArray[np.floating], replayed: NDArray[np.floating], before: NDArray[np.floating]) -> bool:
    moved = float(np.abs(recorded - before).max(initial=0))
    return bool(np.abs(recorded - replayed).max(initial=0) <= ROUNDING * moved)


def _of_critic(snapshot: Snapshot) -> set[str]:
    """Names in the checkpoint of the parameters that only the value depends on."""
    kind = kind_of(snapshot)
    policy = kind.policy(snapshot)
    batch = kind.batch(snapshot, policy)
    said = policy(batch.inputs, batch.action, True)
    if said.value is None:
        return set()
    own = trained(policy)
    of_actor, of_value = (
        torch.autograd.grad(each.sum(), list(own.values()), retain_graph=True, allow_unused=True)
        for each in (said.log_prob, said.value)
    )
    return {
        name for name, actor, value in zip(own, of_actor, of_value, strict=True) if actor is None and value is not None
    }

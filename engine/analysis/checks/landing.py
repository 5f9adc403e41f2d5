"""Does the replay of a round land on what was recorded after it, and if not, what was done instead?"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from engine.analysis.checks.checked import Check, Fault, Read
from engine.core.kind import kind_of
from engine.core.policy import trained
from engine.core.replays.replay import replay
from engine.core.replays.replayed_run import farthest, verified_round
from engine.store.read import Run
from engine.store.snapshot import Snapshot, parameters_of

ROUNDING = 0.02
"""Largest difference as a share of the update's largest move that software and hardware may make."""
LONGER = 2.0
"""By how many times an update that is made with another learning rate is longer or shorter, where it can't be found exactly."""
MOSTLY = 1 / 3
"""Share of the distance to the recorded parameters that is left, at most, with a learning rate that explains most of it. The
exact one may be missed: where clipping cuts in elsewhere, a thousandth more of it already leads to other parameters."""
LARGEST_FACTOR, TRIED = 2.0, 17
"""Powers of ten by which another learning rate may be larger or smaller; how many are tried before the best is narrowed down."""


def landed(run: Run, k: int, name: str, read: Read) -> Check:
    """Whether the replay of round k leads to theta(k + 1), bit for bit or to rounding; `read` reads a round."""
    if not run.has_records(k):
        return Check(name, None, "there is no round before" if k < 0 else f"the records of round {k} are not stored")
    found = verified_round(run, k, read=read)
    if found.largest is None or found.moved is None:
        return Check(name, None, f"round {k} is not replayed: {found.why}")
    if not math.isfinite(found.moved):
        return Check(name, None, f"theta({k + 1}) is not finite, so that nothing lands on it")
    if found.equal:
        return Check(name, True, f"the replay of round {k} lands on theta({k + 1}), bit for bit")
    if found.largest <= ROUNDING * found.moved:
        share = found.largest / found.moved
        return Check(
            name, True, f"the replay of round {k} lands on theta({k + 1}) to rounding, {share:.1g} of the update"
        )
    fault, said = _done_instead(read(k), parameters_of(run.checkpoint(k + 1)))
    return Check(name, False, f"the replay of round {k} does not land on theta({k + 1}): {said}", fault)


def _done_instead(snapshot: Snapshot, recorded: Mapping[str, NDArray[np.floating]]) -> tuple[Fault, str]:
    """By which parameters are elsewhere, and where the recorded update points."""
    before, replayed = snapshot.parameters, parameters_of(replay(snapshot).checkpoint)
    critic = _of_critic(snapshot)
    elsewhere = {name for name in recorded if not _near(recorded[name], replayed[name], before[name])}
    if critic and elsewhere <= critic:
        return "critic", "only parameters of the critic are elsewhere, as after they were set anew"
    rate, apart = _as_if_learning_rate(snapshot, recorded)
    if apart <= ROUNDING:
        return "step", f"it is the update with {rate:.3g} times the learning rate"
    if apart * farthest(recorded, before) <= MOSTLY * farthest(recorded, replayed):
        return (
            "step",
            f"the update with about {rate:.2g} times the learning rate comes nearest, and explains most of it",
        )
    longer = _length(recorded, before) / (_length(replayed, before) or 1)
    if not 1 / LONGER <= longer <= LONGER:
        return "step", f"the recorded update is {longer:.3g} times as long, as with another learning rate"
    return "unexplained", f"no other learning rate leads there either ({rate:.3g} times it comes nearest)"


def _length(to: Mapping[str, NDArray[np.floating]], before: Mapping[str, NDArray[np.floating]]) -> float:
    """Euclidean length of an update."""
    return math.sqrt(sum(float(np.square(to[name] - before[name], dtype=np.float64).sum()) for name in before))


def _as_if_learning_rate(snapshot: Snapshot, recorded: Mapping[str, NDArray[np.floating]]) -> tuple[float, float]:
    """The factor of the learning rate whose replay comes nearest to the recorded parameters; how near, in their own move."""
    from scipy.optimize import minimize_scalar

    moved, kind = farthest(recorded, snapshot.parameters), kind_of(snapshot)
    rate = kind.setting(snapshot, "learning_rate")

    def apart(exponent: float) -> float:
        at_rate = kind.with_settings(snapshot, {"learning_rate": rate * 10**exponent})
        return farthest(parameters_of(replay(at_rate).checkpoint), recorded) / (moved or 1)

    exponents = np.linspace(-LARGEST_FACTOR, LARGEST_FACTOR, TRIED)
    best = min(exponents, key=apart)
    reach = exponents[1] - exponents[0]
    found = minimize_scalar(apart, bounds=(best - reach, best + reach), method="bounded", options={"xatol": 1e-4})
    return float(10**found.x), float(found.fun)


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

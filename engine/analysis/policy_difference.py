"""How two policies differ in what they would do in the same states."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.analysis.restoring import points
from engine.errors import BadInputError
from engine.kinds.control.blueprint import Blueprint
from engine.kinds.control.control_only import control_only
from engine.kinds.control.normalization import normalizer_at
from engine.kinds.control.snapshot import ControlSnapshot
from engine.known_kinds import kind_named
from engine.spaces import Space
from engine.store.read import Run

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class States:
    """The states of a round's records, as the environment shows them: every policy normalises them in its own way."""

    record: NDArray[np.int64]
    """(n,) record numbers."""
    shown: NDArray[np.generic]
    """(n, ...) not normalised."""
    commit: str
    """Hash of the round that they are from."""


@dataclass(frozen=True, eq=False)
class Categorical:
    """pi(.|s) over m discrete actions in n states."""

    log_prob: Floats
    """(n, m)"""

    @property
    def probability(self) -> Floats:
        """Probabilities, (n, m)."""
        return np.exp(self.log_prob)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """pi(.|s) over d continuous actions in n states, with independent components."""

    mean: Floats
    """(n, d)"""
    std: Floats
    """(d,) the same in all states."""


Distribution = Categorical | Gaussian


@dataclass(frozen=True, eq=False)
class Difference:
    """How far a second policy is from a first one, in each of n states."""

    kl: Floats
    """(n,) KL(first || second) in nats."""
    distance: Floats
    """(n,) discrete actions: total variation, half the sum of |p - q|, from 0 to 1. Continuous ones: distance between the
    means in standard deviations of the first policy (total variation has no closed form there)."""
    other_action: NDArray[np.bool_]
    """(n,) the most probable action is another one; for continuous actions, the means are more than one standard deviation
    apart."""


def comparable(first: Run, second: Run) -> str | None:
    """Why the policies of two runs can't be asked about the same states, or None if they can."""
    for run in (first, second):
        if not kind_named(run.kind).answers_states:
            return f"{run.name} is a run of the kind {run.kind}, whose policies are not asked about states"
    for what, a, b in (
        ("observations", first.manifest.observation_space, second.manifest.observation_space),
        ("actions", first.manifest.action_space, second.manifest.action_space),
    ):
        if _kind(a) != _kind(b):
            return (
                f"their {what} differ: {_words(a)} in {first.manifest.env_id}, {_words(b)} in {second.manifest.env_id}"
            )
    return None


@control_only
def shared_states(snapshot: ControlSnapshot) -> States:
    """The states of a round's records.

    Where the run normalises observations, the environment is stepped through the round again to see what it shows; records
    whose state can't be restored are left out.

    Raises:
        CannotRestoreError: observations are normalised and no state can be restored.
    """
    if not snapshot.config.normalize_observation:
        return States(snapshot.buffer.record.astype(np.int64), snapshot.buffer.observation, snapshot.hash)
    found = [(i, point.shown) for i, point in enumerate(points(snapshot)) if point is not None]
    if not found:
        raise BadInputError(f"no state of round {snapshot.round} can be restored; choose another round")
    records, shown = np.array([i for i, _ in found], np.int64), np.stack([shown for _, shown in found])
    return States(records, shown, snapshot.hash)


@control_only
def policy_in(run: Run, k: int, states: States) -> Distribution:
    """What the policy before round k's update (or the final one) would do in the states.

    Raises:
        BadInputError: the run has no checkpoint k.
        DamagedRunError: its file is damaged.
    """
    checkpoint = run.checkpoint(k)
    policy = Blueprint.of(run).policy(checkpoint)
    normalizer = normalizer_at(run.config, checkpoint)
    seen = states.shown if normalizer is None else normalizer.normalize(states.shown)
    output, deviation = policy.action_parameters(seen)
    if deviation is None:
        return Categorical(output.double().log_softmax(-1).numpy())
    return Gaussian(output.double().numpy(), deviation[0].double().numpy())


def difference(first: Distribution, second: Distribution) -> Difference:
    """Compare two policies state by state.

    p = [0.5, 0.5], q = [0.9, 0.1]: KL = 0.5 ln(0.5/0.9) + 0.5 ln(0.5/0.1) = 0.511, total variation 0.4.
    N(0, 1) and N(1, 2^2): KL = ln 2 + (1 + 1) / 8 - 1/2 = 0.443, means one standard deviation apart.

    Raises:
        BadInputError: one is discrete and the other is not, or their shapes differ.
    """
    match first, second:
        case Categorical(), Categorical() if first.log_prob.shape == second.log_prob.shape:
            p, q = first.probability, second.probability
            kl = (p * (first.log_prob - second.log_prob)).sum(axis=1)
            other = first.log_prob.argmax(axis=1) != second.log_prob.argmax(axis=1)
            return Difference(np.maximum(kl, 0), 0.5 * np.abs(p - q).sum(axis=1), other)
        case Gaussian(), Gaussian() if first.mean.shape == second.mean.shape:
            ratio = first.std / second.std
            shift = (second.mean - first.mean) / first.std
            kl = (-np.log(ratio) + 0.5 * (ratio**2 * (1 + shift**2) - 1)).sum(axis=1)
            apart = np.linalg.norm(shift, axis=1)
            return Difference(np.maximum(kl, 0), apart, apart > 1)
    raise BadInputError("the two policies have different actions; they can't be compared")


def over_rounds(first: Run, second: Run, states: States) -> Iterator[tuple[int, Difference]]:
    """The difference at every checkpoint that both runs have, one after the other.

    Yields:
        k, and the difference between the policies before round k's update.
    """
    for k in common_checkpoints(first, second):
        yield k, difference(policy_in(first, k, states), policy_in(second, k, states))


def common_checkpoints(first: Run, second: Run) -> list[int]:
    """The checkpoint numbers that both runs have."""
    there = set(second.checkpoint_rounds)
    return [k for k in first.checkpoint_rounds if k in there]


def most_different(states: States, by: Floats, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The n states in which `by` is largest, each once however many records were made in it.

    Args:
        states: of a round.
        by: (len(states),) such as the KL divergence.
        n: how many.

    Returns:
        Positions of the first records in those states, largest first, and how many records were made in each.
    """
    flat = np.ascontiguousarray(states.shown).reshape(len(states.record), -1)
    _, first, count = np.unique(flat, axis=0, return_index=True, return_counts=True)
    order = np.argsort(-by[first], kind="stable")[:n]
    return first[order].astype(np.int64), count[order].astype(np.int64)


def _kind(space: Space) -> tuple[object, ...]:
    return space.kind, space.n, space.shape, space.encoder


def _words(space: Space) -> str:
    if space.kind == "discrete":
        return f"one of {space.n}"
    if space.encoder == "image":
        return f"an image of {' x '.join(map(str, space.shape))}"
    return f"{math.prod(space.shape)} numbers"

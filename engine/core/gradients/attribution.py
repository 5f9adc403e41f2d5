"""What an estimator says of a round: influence by record, and the parts that add up to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.intervals import Interval
from engine.store.snapshot import Float32s
from engine.store.words import counted

Term = Literal["actor", "critic", "entropy"]
TERMS: tuple[Term, ...] = ("actor", "critic", "entropy")
"""The terms of a record's objective, in the order of every (3, ...) array."""


class Attribution(NamedTuple):
    """What an estimator says of a round."""

    influence: Float32s
    """(n,) the sum of its terms, and of its layers."""
    terms: Mapping[Term, Float32s]
    """(n,) each: what the record did through the actor's, the critic's and the entropy term of its objective."""
    layers: Mapping[str, Float32s]
    """(n,) each: what it did by moving each layer of the policy; empty where it was not asked for."""
    tokens: Float32s | None = None
    """(N,) by token of the records that are sequences; a record's sum up to its influence. None where records have no
    tokens, or the estimator does not tell them apart."""
    expected: Interval | None = None
    """The LDS that a check is expected to find, where the estimator foretells it (`foretold`)."""

    def __repr__(self) -> str:
        low, high = self.influence.min(initial=0), self.influence.max(initial=0)
        layers = f", {counted(len(self.layers), 'layer')}" if self.layers else ""
        return f"Attribution({counted(len(self.influence), 'record')}{layers}: {low:.3g} to {high:.3g})"

    def map(self, change: Callable[..., Any], *others: Attribution | Any) -> Attribution:
        """A linear function of this and other attributions (or numbers), in all and part by part."""

        def part(of: Callable[[Attribution], Any]) -> Float32s:
            found: Float32s = change(
                of(self), *(of(other) if isinstance(other, Attribution) else other for other in others)
            )
            return found

        given = [self, *(other for other in others if isinstance(other, Attribution))]
        return Attribution(
            part(attrgetter("influence")),
            {term: part(_named("terms", term)) for term in self.terms},
            {layer: part(_named("layers", layer)) for layer in self.layers},
            None if any(each.tokens is None for each in given) else part(attrgetter("tokens")),
        )


def _named(parts: str, name: str) -> Callable[[Attribution], Float32s]:
    def part(of: Attribution) -> Float32s:
        found: Float32s = getattr(of, parts)[name]
        return found

    return part


def top_and_bottom(influence: Float32s, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The k records that raised the target most and the k that lowered it most; ties by record number.

    Only records with positive influence are top records, only those with negative influence are bottom ones.
    """
    order = np.argsort(-influence, kind="stable")
    top = order[:k]
    bottom = order[::-1][:k]
    return top[influence[top] > 0], bottom[influence[bottom] < 0]

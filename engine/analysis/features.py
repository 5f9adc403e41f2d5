"""What a person would ask about a record: what its kind of run knows, and what rollouts say."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from engine.analysis.rollout_advantages import MonteCarlo
from engine.core.features import Feature, number, share
from engine.core.kind import kind_of
from engine.store.snapshot import Snapshot

CERTAIN = 2.0
"""Standard errors from 0 at which the sign of A-bar is taken to be known."""
PRODUCT = "A-bar x advantage"
MISMATCH = "wrong sign"


def features(snapshot: Snapshot, estimated: MonteCarlo | None = None) -> list[Feature]:
    """All features of a round's records; those that need A-bar only where it is estimated."""
    found = kind_of(snapshot).features(snapshot)
    return [*found] if estimated is None else [*rollout_features(snapshot, estimated), *found]


def rollout_features(snapshot: Snapshot, estimated: MonteCarlo) -> Iterator[Feature]:
    """The first of `features`, those that need A-bar: what A-bar says of A-hat, the column `advantage`, and V-bar of V."""
    buffer = snapshot.buffer
    advantage, error, value = estimated.spread(len(buffer))
    known = (np.abs(advantage) > CERTAIN * error) & (buffer.advantage != 0)
    wrong = np.where(known, np.sign(advantage) != np.sign(buffer.advantage), math.nan)
    yield number(PRODUCT, advantage * buffer.advantage)
    yield share(MISMATCH, "have an advantage of the wrong sign", wrong)
    yield number("A-bar", advantage)
    yield number("advantage error", np.abs(advantage - buffer.advantage))
    yield number("value error", buffer.value - value)
    yield number("size of the value error", np.abs(buffer.value - value))

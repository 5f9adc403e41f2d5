"""What a person would ask about the records of a round, as numbers and as yes or no."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Feature:
    """One value a record."""

    name: str
    values: NDArray[np.float64]
    """(n,) numbers; ones and zeros where it is yes or no; NaN where it is not known."""
    phrase: str = ""
    """What the records that have it do (`took action left`); empty for a number."""


def number(name: str, values: ArrayLike) -> Feature:
    """A feature that is a number, (n,)."""
    return Feature(name, np.asarray(values, np.float64))


def share(name: str, phrase: str, values: ArrayLike) -> Feature:
    """A feature that is yes or no, (n,); NaN where that is not known."""
    return Feature(name, np.asarray(values, np.float64), phrase)


def dropped(kept: NDArray[np.bool_]) -> Feature:
    """Whether the update went without a record, of its column `kept`."""
    return share("dropped", "were dropped from the update", ~kept)


def repaired(column: NDArray[np.bool_]) -> Feature:
    """Whether a record was repaired before the update, of its column `repaired`."""
    return share("repaired", "were repaired before the update", column)

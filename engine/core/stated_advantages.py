"""Advantages that follow from a round's rewards alone, as those of GRPO do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]


class StatedAdvantages(NamedTuple):
    """A round's advantages, and those that its rewards lead to by the rule that the settings state."""

    record: NDArray[np.int64]
    """(m,) whose advantage it is."""
    advantage: Column
    """(m,) as recorded."""
    by_rule: Mapping[str, Column]
    """Rule in words -> (m,) what it leads to; the settings' first, then what may have been done in its place."""
    turned: Column
    """(m,) what the settings' rule leads to from rewards of the other sign."""

    def __repr__(self) -> str:
        return f"StatedAdvantages({len(self.record)}, {next(iter(self.by_rule))})"

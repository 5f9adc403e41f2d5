"""Which points of a chart lie within an outline that was drawn in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def inside(x: NDArray[Any], y: NDArray[Any], across: Sequence[float], up: Sequence[float]) -> NDArray[np.bool_]:
    """(n,) whether each point is within a closed outline, by how often a ray from it crosses the outline.

    Args:
        x: (n,) of the points.
        y: (n,) of the points.
        across: (m,) corners of the outline on the horizontal axis, in order; the last is joined to the first.
        up: (m,) on the vertical one.
    """
    found = np.zeros(len(x), np.bool_)
    if len(across) < 3:
        return found
    near = np.flatnonzero((x >= min(across)) & (x <= max(across)) & (y >= min(up)) & (y <= max(up)))
    px, py = x[near].astype(np.float64), y[near].astype(np.float64)
    odd = np.zeros(len(near), np.bool_)
    for x0, y0, x1, y1 in zip(across, up, [*across[1:], across[0]], [*up[1:], up[0]], strict=True):
        if y0 != y1:
            odd ^= ((y0 > py) != (y1 > py)) & (px < x0 + (x1 - x0) * (py - y0) / (y1 - y0))
    found[near] = odd
    return found

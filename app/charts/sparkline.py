"""A run's return in a cell of a table: straight lines from round to round, so that nothing is drawn that was not measured."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from app.charts.envelope import column_edges, envelope

WIDTH, HEIGHT, MARGIN = 140, 28, 2
COLUMNS = 70
"""Of more values each column is drawn from its lowest to its highest."""
COLOUR = "#2f86c8"
"""Read on light and on dark."""


def corners(values: Sequence[float]) -> list[tuple[float, float]]:
    """The corners of the line in pixels, from the left and from above; none without a number.

    >>> corners([0.0, 10.0])
    [(2.0, 26.0), (138.0, 2.0)]
    """
    numbers = np.asarray(values, np.float64)
    rounds = np.arange(len(numbers))
    if not np.isfinite(numbers).any():
        return []
    found = envelope(rounds, numbers, column_edges(rounds, COLUMNS))
    across, up = np.repeat(found.at, 2), np.stack([found.low, found.high], axis=1).ravel()
    different = np.stack([np.ones(len(found), np.bool_), found.low < found.high], axis=1).ravel()
    across, up = across[different], up[different]
    low, high = up.min(), up.max()
    x = MARGIN + (WIDTH - 2 * MARGIN) * (across / max(len(numbers) - 1, 1))
    y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * ((up - low) / (high - low) if high > low else np.full(len(up), 0.5))
    return [*zip(x.round(1).tolist(), y.round(1).tolist(), strict=True)]


@lru_cache(maxsize=4096)
def sparkline(values: tuple[float, ...]) -> str:
    """The line as a picture, an address that holds all of it; empty without a number. The last ones are remembered."""
    drawn = corners(values)
    if not drawn:
        return ""
    points = " ".join(f"{x:g},{y:g}" for x, y in drawn)
    shape = f'<polyline points="{points}" fill="none" stroke="{COLOUR}" stroke-width="1.5" stroke-linejoin="round"/>'
    if len(drawn) == 1:
        shape = f'<circle cx="{drawn[0][0]:g}" cy="{drawn[0][1]:g}" r="2" fill="{COLOUR}"/>'
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{shape}</svg>'
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"

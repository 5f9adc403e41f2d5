"""Worlds where an outcome is the sum of what the kept records contribute."""

from __future__ import annotations

import numpy as np

M, N, Q = 60, 200, 8


def halves(rng: np.random.Generator, m: int = M, n: int = N) -> np.ndarray:
    """(m, n) masks that keep half."""
    return np.array([rng.permutation(n) < n // 2 for _ in range(m)])


def linear_world(rng: np.random.Generator, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Influence, masks and outcomes where f is the sum of the kept records' influence, an order's own shift, and noise."""
    influence, kept = rng.normal(size=N), halves(rng)
    outcomes = (kept @ influence)[:, None] + 100 * rng.normal(size=Q) + noise * rng.normal(size=(M, Q))
    return influence, kept, outcomes

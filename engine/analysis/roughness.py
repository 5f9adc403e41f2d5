"""How rough influence is over the states: the normalised Dirichlet energy on a graph of similar ones (paper, section 4.2).

    roughness = sum_ij w_ij (I_i - I_j)^2 / sum_ij w_ij,    max_i |I_i| = 1

Where records of similar states have similar influence it is near 0. Which graph is for the caller to say; the one of this
house is `nearest_graph`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEIGHBOURS = 10
MOST_VERTICES = 512
"""Records of a round that the graph has at most: comparing all pairs of more would take longer than the influence itself."""


@dataclass(frozen=True, eq=False)
class SimilarityGraph:
    """An undirected graph without loops, each edge once."""

    first: NDArray[np.int64]
    """(e,) one end of each edge."""
    second: NDArray[np.int64]
    """(e,) the other end."""
    weight: NDArray[np.float64]
    """(e,) w_ij >= 0."""


def roughness(scores: ArrayLike, graph: SimilarityGraph) -> float:
    """The normalised Dirichlet energy of scores, first divided by the largest |I|.

    >>> chain = SimilarityGraph(np.array([0, 1]), np.array([1, 2]), np.array([1.0, 1.0]))
    >>> roughness([2, 2, 0], chain)
    0.5

    Args:
        scores: (n,) of the vertices.
        graph: over them.

    Returns:
        From 0 (equal along every edge) to 4 (1 and -1 at the ends of every edge); NaN where all scores are 0 or no two
        records are similar.
    """
    values = np.asarray(scores, np.float64)
    largest, total = np.abs(values).max(initial=0.0), graph.weight.sum()
    if largest == 0 or total == 0:
        return float("nan")
    difference = (values[graph.first] - values[graph.second]) / largest
    return float((graph.weight * difference**2).sum() / total)


def shuffled_roughness(scores: ArrayLike) -> float:
    """What `roughness` is on average when the scores are dealt to the vertices at random: twice their variance.

    The control: on any graph without loops each edge then joins two scores drawn without replacement. NaN where all scores
    are 0 or there are fewer than two.
    """
    values = np.asarray(scores, np.float64)
    largest = np.abs(values).max(initial=0.0)
    return float(2 * (values / largest).var(ddof=1)) if largest and len(values) > 1 else float("nan")


def nearest_graph(embedding: NDArray[Any], rng: np.random.Generator, neighbours: int = NEIGHBOURS) -> SimilarityGraph:
    """Each vertex joined to its nearest others by cosine similarity; the weight is the similarity, 0 where it is negative.

    An edge is there if either end chose the other. Of others that are equally near (the same state, visited twice) a random
    draw says which are chosen.

    Args:
        embedding: (n, h)
        rng: for ties.
        neighbours: that each vertex chooses; all others, where there are not so many.
    """
    n = len(embedding)
    chosen = min(neighbours, n - 1)
    if chosen < 1:
        nothing = np.zeros(0, np.int64)
        return SimilarityGraph(nothing, nothing, np.zeros(0))
    unit = unit_vectors(embedding)
    similarity = unit @ unit.T
    order = similarity + rng.random((n, n), np.float32) * np.float32(1e-5)
    np.fill_diagonal(order, -np.inf)
    nearest = np.argpartition(order, n - chosen, axis=1)[:, n - chosen :]
    one, other = np.repeat(np.arange(n), chosen), nearest.ravel()
    first, second = np.divmod(np.unique(np.minimum(one, other) * n + np.maximum(one, other)), n)
    return SimilarityGraph(first, second, np.maximum(similarity[first, second], 0).astype(np.float64))


def unit_vectors(embedding: NDArray[Any]) -> NDArray[np.float32]:
    """(n, h) rows of length 1, so that inner products are cosine similarities; a row of zeros stays one."""
    rows: NDArray[np.float32] = np.asarray(embedding, np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)

"""How well a score finds what is known to be wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def auc(score: ArrayLike, wrong: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a wrong record scores higher than a right one; ties count one half.

    score [.9, .8, .3, .1], wrong [1, 0, 1, 0] -> of four pairs three are in order: .75. NaN where all are wrong, or none.
    """
    from scipy import stats

    ranks, n = stats.rankdata(score), int(wrong.sum())
    pairs = n * (len(wrong) - n)
    return float((ranks[wrong].sum() - n * (n + 1) / 2) / pairs) if pairs else float("nan")

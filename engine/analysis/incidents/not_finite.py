"""Metrics that were numbers and are none any more: null, NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

OF_RETURNS = ("mean_return", "std_return", "mean_length")
"""Null in a healthy round, where no episode ended in it."""
OF_RECORDS = ("mean_kl", "mean_penalized")
OF_UPDATE = ("policy_gradient_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "grad_norm")
"""Explained variance is not among these: it has no value where all returns are equal, as in a task that is solved."""
_WITHOUT_EPISODES = (*OF_UPDATE, *OF_RECORDS)
_ALL = (*_WITHOUT_EPISODES, *OF_RETURNS)
APART = 8
"""Rounds between what is one stretch."""


@dataclass(frozen=True)
class Stopped:
    """Rounds in which metrics are no numbers that were before."""

    first: int
    last: int
    metrics: tuple[str, ...]
    """In the order in which they stopped."""
    before: tuple[int, float]
    """The last round in which the first of them was a number, and its value."""


def number(value: Any) -> float:
    """A metric as a float; NaN where it is no finite number.

    >>> number(3), number(None), number("3"), number(True), number(float("inf"))
    (3.0, nan, nan, nan, nan)
    """
    if type(value) is not float:
        plain = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
        if isinstance(plain, bool) or not isinstance(plain, int | float):
            return math.nan
        try:
            value = float(plain)
        except OverflowError:
            return math.nan
    return value if math.isfinite(value) else math.nan


class NotFinite:
    """What has stopped being a number in a run that goes on.

    >>> found = NotFinite()
    >>> for k, loss in enumerate((0.3, 0.2, None, float("nan"))):
    ...     new = found.see(k, {"value_loss": loss, "entropy": 0.5})
    >>> found.stretches
    [Stopped(first=2, last=3, metrics=('value_loss',), before=(1, 0.2))]
    """

    def __init__(self) -> None:
        self.stretches: list[Stopped] = []
        self._last: dict[str, tuple[int, float]] = {}

    def see(self, round: int, metrics: Mapping[str, Any]) -> bool:
        """See the next round; says whether anything in it stopped being a number.

        Args:
            round: its number.
            metrics: its metrics; what is not among them is not missed.
        """
        stopped = []
        for name in _WITHOUT_EPISODES if metrics.get("episodes") == 0 else _ALL:
            if name in metrics:
                value = number(metrics[name])
                if not math.isnan(value):
                    self._last[name] = round, value
                elif name in self._last:
                    stopped.append(name)
        if not stopped:
            return False
        was = self.stretches[-1] if self.stretches else None
        if was is not None and round - was.last <= APART:
            metrics_of_all = tuple(dict.fromkeys((*was.metrics, *stopped)))
            self.stretches[-1] = replace(was, last=round, metrics=metrics_of_all)
        else:
            self.stretches.append(Stopped(round, round, tuple(stopped), self._last[stopped[0]]))
        return True

"""Which estimator to use where nothing was measured yet: what the study of faithfulness found in the most similar place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.core.estimators.registry import ESTIMATORS, REPLAY_REGRESSION
from engine.core.faithfulness.result import MOSTLY_NOISE
from engine.experiments.faithfulness import STAGES

CLEARLY = 0.05
"""A slower estimator is recommended only where its LDS is higher by more than this."""


@dataclass(frozen=True)
class Recommendation:
    """An estimator, and the measurements that speak for it."""

    estimator: str
    """The cheapest one that takes seconds and is not clearly worse than the best of those."""
    thorough: str | None
    """`replay_regression`, which takes a minute, where it is clearly better still."""
    lds: Mapping[str, float]
    """Mean LDS of every estimator that was measured in all of the cells."""
    spread: Mapping[str, tuple[float, float]]
    """The lowest and the highest LDS of each over the cells."""
    ceiling: float
    where: str
    """The cells, in words."""
    cells: int
    runs: int
    """Over how many runs the cells are spread."""

    @property
    def briefly(self) -> str:
        """What the estimator is recommended for, and how far its measurements lie apart, in a few words."""
        low, high = (f"{end:.2f}" for end in self.spread[self.estimator])
        measured = low if low == high else f"{low} to {high}"
        return f"a guess from {'another run' if self.runs == 1 else 'other runs'}: LDS {measured}"

    @property
    def sentence(self) -> str:
        """What was measured where, and what may follow."""
        figures = ", ".join(f"{name} {value:.2f}{self._range(name)}" for name, value in self.lds.items())
        slower = f", or {self.thorough} where a minute is no object" if self.thorough else ""
        return (
            f"A guess from another run, not measured here. In the study that comes with this project ({self.where}; "
            f"{self.cells} measurement{'s' if self.cells > 1 else ''}) the {'mean ' if self.cells > 1 else ''}LDS was {figures}, "
            f"of a possible {self.ceiling:.2f}. If this round is like those, {self.estimator} does well{slower}."
        )

    def _range(self, name: str) -> str:
        if self.cells == 1:
            return ""
        low, high = self.spread[name]
        return f" ({low:.2f} to {high:.2f})"


def recommend(
    rows: Sequence[Mapping[str, Any]], env_id: str, share: float, target: str, fraction: float = 0.5
) -> Recommendation | None:
    """The estimator for a round, from the study's cells of the same environment, stage of training and kind of target.

    Where the study has not that environment, from all environments at that stage. Cells that are mostly noise don't count.

    Args:
        rows: of the study, as `read_study` gives them.
        env_id: name in the catalogue.
        share: of the rounds that came before the round.
        target: `return` or `action`.
        fraction: share of the records that was removed.

    Returns:
        None if nothing like it was measured.
    """
    stage = min(STAGES, key=lambda name: abs(STAGES[name] - share))
    like = [
        row
        for row in rows
        if (row["stage"], row["target"], row["fraction"]) == (stage, target, fraction)
        and row["ceiling"] is not None
        and row["ceiling"] >= MOSTLY_NOISE
    ]
    own = [row for row in like if row["env_id"] == env_id]
    used = own or like
    cells: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in used:
        cell = cells.setdefault((row["experiment"], row["record"]), {})
        cell[row["estimator"]] = row["lds"] or 0.0
    names = [name for name in ESTIMATORS if cells and all(name in cell for cell in cells.values())]
    every = {name: [cell[name] for cell in cells.values()] for name in names}
    lds = {name: float(np.mean(values)) for name, values in every.items()}
    quick = [name for name in names if name != REPLAY_REGRESSION]
    if not quick:
        return None
    best = max(lds[name] for name in quick)
    chosen = next(name for name in quick if lds[name] >= best - CLEARLY)
    slower = REPLAY_REGRESSION if lds.get(REPLAY_REGRESSION, -1.0) > lds[chosen] + CLEARLY else None
    environments = (
        env_id if own else f"not {env_id}, which it has not, but {len({row['env_id'] for row in used})} others"
    )
    where = f"{environments}, {stage} in training, {target} target, {fraction:.0%} of the records removed"
    spread = {name: (min(values), max(values)) for name, values in every.items()}
    ceiling = float(np.mean([row["ceiling"] for row in used]))
    return Recommendation(chosen, slower, lds, spread, ceiling, where, len(cells), len({run for run, _ in cells}))

"""Rounds whose rewards or observations are unlike those before: values never seen, far off, or at a standstill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from engine.analysis.incidents.incident import UNLIKE, Incident
from engine.typed import typed

VERSION = 1
"""Part of the key under which looks are kept; raise it whenever a number of `Column` changes."""
FEW_VALUES = 20
"""Different rewards up to which they are a list of values."""
NEW_SHARE = 0.05
"""Of the records, that have a reward which was never seen before."""
SPANS = 5.0
"""By how many times the whole range before a number is far off."""
FAR_SHARE = 0.1
"""Of the records, that are far off on one side."""
USUAL, STILL = 0.1, 0.9
"""Share of the records with one value: at most in every round before, and at least where the number stands still."""
EARLIER_ROUNDS, EARLIER_RECORDS = 3, 500
"""That a round is compared with at least; the one just before must be among them."""
MOST_COMPONENTS = 64
"""Of an observation that is looked at: pictures are not."""


@dataclass(frozen=True)
class Column:
    """One number of every record of a round; those that are finite."""

    low: float
    high: float
    lower: float
    """A tenth of the records lie at or below it."""
    upper: float
    """A tenth of the records lie at or above it."""
    different: int
    """How many values there are."""
    values: Annotated[tuple[tuple[float, float], ...], Meta(min_length=1)]
    """The most common ones with their shares, at most `FEW_VALUES`."""

    @property
    def common(self) -> float:
        """Share of the most common value."""
        return self.values[0][1]

    @classmethod
    def of(cls, column: NDArray[Any]) -> Self | None:
        """Of (n,) numbers; None where none is finite.

        >>> Column.of(np.array([0.0, 1.0, 1.0, np.nan]))
        Column(low=0.0, high=1.0, lower=0.0, upper=1.0, different=2, values=((1.0, 0.66...), (0.0, 0.33...)))
        """
        finite = column[np.isfinite(column)].astype(np.float64) + 0.0  # no negative zero
        if not len(finite):
            return None
        values, counts = np.unique(finite, return_counts=True)
        lower, upper = np.quantile(finite, [FAR_SHARE, 1 - FAR_SHARE], method="inverted_cdf").tolist()
        often = np.argsort(-counts, kind="stable")[:FEW_VALUES]
        listed = zip(values[often].tolist(), (counts[often] / len(finite)).tolist(), strict=True)
        return cls(float(values[0]), float(values[-1]), lower, upper, len(values), tuple(listed))


@dataclass(frozen=True)
class Look:
    """What is kept of a round's records, to compare later rounds with."""

    records: int
    columns: dict[str, Column]
    """`reward`, and the components of observations that are a few numbers."""

    @classmethod
    def at(cls, buffer: Any, components: Sequence[str] = ()) -> Self:
        """At a buffer with, where it has them, `reward` (n,) and `observation` (n, ...).

        Args:
            buffer: of any kind of run.
            components: names of an observation's numbers, flattened; by default they are counted.
        """
        n = len(buffer)
        found = {"reward": np.asarray(getattr(buffer, "reward", ()))}
        observation = np.asarray(getattr(buffer, "observation", ()))
        if observation.dtype.kind == "f" and observation.ndim > 1 and observation[0].size <= MOST_COMPONENTS:
            flat = observation.reshape(n, -1)
            named = components if len(components) == flat.shape[1] else [f"component {j}" for j in range(flat.shape[1])]
            found |= {f"observation {name}": flat[:, j] for j, name in enumerate(named)}
        looked = {name: Column.of(column) for name, column in found.items()}
        return cls(n, {name: column for name, column in looked.items() if column is not None})

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Read what `to_json` gave, also from JSON.

        Raises:
            BadInputError: it is no such object.
        """
        return typed(cls, values)


class Unlike:
    """Compares the records of one round after another with those before.

    It tells a changed environment or broken records, no learning: a reward that 5 % of the records have and none had before,
    where rewards are a few values; a tenth of the records off by five times the whole range before; a number that always moved
    and stands still. A sign or a scale that keeps to the range is not seen. A change is told once, in its first round.

    >>> unlike = Unlike()
    >>> for k in range(5):
    ...     reward = np.full(600, -1.0 if k == 4 else 1.0)
    ...     for incident in unlike.see(k, Look(600, {"reward": Column.of(reward)})):
    ...         print(incident)
    Incident(unlike before at round 4: 100% of the records have the reward -1, which none of 2,400 in 4 rounds before had)
    """

    def __init__(self) -> None:
        self._rounds: list[int] = []
        self._records = 0
        self._past: dict[str, _Past] = {}
        self.compared: tuple[str, ...] = ()
        """Numbers of the round that was seen last that could be compared with rounds before."""

    def see(self, round: int, look: Look) -> list[Incident]:
        """See the next round whose records are there: at most one incident, which names every number that is unlike before."""
        enough = len(self._rounds) >= EARLIER_ROUNDS and self._records >= EARLIER_RECORDS
        comparable = enough and self._rounds[-1] == round - 1
        self.compared = tuple(name for name in look.columns if name in self._past) if comparable else ()
        before = f"{self._records:,} in {len(self._rounds)} rounds before"
        unlike = {name: self._past[name].unlike(name, look.columns[name], before) for name in self.compared}
        said = {name: words for name, words in unlike.items() if words}
        for name, column in look.columns.items():
            self._past.setdefault(name, _Past()).add(column)
        self._rounds.append(round)
        self._records += look.records
        if not said:
            return []
        reason = "; ".join(said.values())
        return [Incident(UNLIKE, round, round, round, reason, update=round, seen=round, metrics=tuple(said))]


class _Past:
    """A number over all rounds so far."""

    def __init__(self) -> None:
        self.low, self.high, self.common = np.inf, -np.inf, 0.0
        self.values: dict[float, float] | None = {}
        """Each value with its largest share of a round; None where there are too many to list."""

    def add(self, column: Column) -> None:
        self.low, self.high = min(self.low, column.low), max(self.high, column.high)
        self.common = max(self.common, column.common)
        if self.values is not None:
            self.values |= {value: max(share, self.values.get(value, 0.0)) for value, share in column.values}
            if column.different > FEW_VALUES or len(self.values) > FEW_VALUES:
                self.values = None

    def unlike(self, name: str, column: Column, before: str) -> str:
        """How a round differs, in words; empty where it doesn't."""
        span = self.high - self.low
        if name == "reward" and self.values is not None:
            new = [value for value, _ in column.values if value not in self.values]
            share = 1 - sum(share for value, share in column.values if value in self.values)
            if new and share >= NEW_SHARE:
                listed = ", ".join(f"{value:.4g}" for value in new[:3]) + (", ..." if len(new) > 3 else "")
                return f"{share:.0%} of the records have the reward {listed}, which none of {before} had"
        far = next((end for end in (column.lower, column.upper) if not self._near(end, span)), None)
        if span > 0 and far is not None:
            return (
                f"{name} is far off: a tenth of the records at {far:.4g} or beyond, and all of {before} from {self.low:.4g} to "
                f"{self.high:.4g}"
            )
        usually = self.common if self.values is None else self.values.get(column.values[0][0], 0.0)
        if usually <= USUAL and column.common >= STILL:
            usual = f"at most {usually:.0%} in a round before"
            return f"{name} stands still: {column.common:.0%} of the records have {column.values[0][0]:.4g}, {usual}"
        return ""

    def _near(self, value: float, span: float) -> bool:
        return self.low - SPANS * span <= value <= self.high + SPANS * span

"""Where the influence that lowered a target lies: in how few episodes, and in which actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.kind import kind_of
from engine.core.scores import Scores
from engine.errors import BadInputError
from engine.spaces import Space
from engine.store.snapshot import Float32s, Snapshot

FEW = 3
"""Groups that are named; what takes more of them is spread."""
STANDS_OUT = 0.1
"""An action is named if its share of what lowered the target exceeds its share of the records by this much."""

Groups = tuple[str, NDArray[Any]]
"""A word for one group of records, such as `episode`, and (n,) the group of each record."""


@dataclass(frozen=True)
class Part:
    """Some of a round's records."""

    name: str
    of_records: float
    """Their share of the records."""
    of_lowering: float
    """Their share of all influence below 0."""
    influence: float
    """The sum over all of them, also of what is above 0."""


@dataclass(frozen=True)
class Concentration:
    """How much of a round's influence is below 0, and where that lies."""

    lowered: int
    """Records with influence below 0."""
    ranked: int
    """Records that have an influence at all."""
    below: float
    """Sum of the influence below 0."""
    above: float
    """Sum of the influence above 0."""
    word: str = ""
    """What a group of records is called; empty where they are in none."""
    groups: int = 0
    half: tuple[Part, ...] = ()
    """The fewest groups that hold half of what is below 0, the one with most of it first."""
    action: Part | None = None
    """The action with more of what is below 0 than its records alone would have; None where nobody knows the actions."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What there is to say, in plain words; the first sentence says how many.

        >>> influence = np.array([1, -3, -1, 0.5], np.float32)
        >>> episode = np.array([7, 8, 9, 9])
        >>> found = concentration(influence, ("episode", episode), {"left": episode == 8, "right": episode != 8})
        >>> for sentence in found.sentences:
        ...     print(sentence)
        2 of 4 records lowered the target, by -4 in sum; the others raised it by +1.5.
        75 % of what lowered it lies in 1 of 3 episodes (8; 25 % of the records), which as a whole lowered it (-3).
        75 % of it by the action left (25 % of the records), which as a whole lowered it (-3).
        """
        if not self.ranked:
            return ("No record of this round has an influence.",)
        if not self.lowered:
            return (
                f"None of {self.ranked:,} records lowered the target; they raised it by {signed(self.above)} in sum.",
            )
        others = f"the others raised it by {signed(self.above)}" if self.above > 0 else "none raised it"
        first = (
            f"{self.lowered:,} of {self.ranked:,} records lowered the target, by {signed(self.below)} in sum; {others}."
        )
        return tuple(sentence for sentence in (first, self._of_groups, self._of_actions) if sentence)

    @property
    def _of_groups(self) -> str:
        k = len(self.half)
        if not k:
            return ""
        if self.groups == 1:
            return f"All records are of one {self.word} ({self.half[0].name})."
        if k > FEW:
            return f"Half of what lowered it is spread over {k} of {self.groups} {self.word}s."
        together = Part(
            ", ".join(part.name for part in self.half),
            sum(part.of_records for part in self.half),
            sum(part.of_lowering for part in self.half),
            sum(part.influence for part in self.half),
        )
        share = f"{_percent(together.of_lowering)} of what lowered it lies in {k} of {self.groups} {self.word}s"
        return f"{share} ({together.name}; {_of_all(together)}"

    @property
    def _of_actions(self) -> str:
        if self.action is None:
            return ""
        if self.action.of_lowering - self.action.of_records < STANDS_OUT:
            return "No action stands out."
        share = f"{_percent(self.action.of_lowering)} of it by the action {self.action.name}"
        return f"{share} ({_of_all(self.action)}"


def _of_all(part: Part) -> str:
    """The end of a parenthesis about some records, and what they did as a whole."""
    did = "raised it" if part.influence > 0 else "lowered it"
    return f"{_percent(part.of_records)} of the records), which as a whole {did} ({signed(part.influence)})."


def signed(value: float) -> str:
    """A sum as people read it.

    >>> signed(-1543.2), signed(0.01234)
    ('-1,543', '+0.0123')
    """
    return f"{value:+,.0f}" if abs(value) >= 1000 else f"{value:+.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def concentration(
    influence: Float32s,
    groups: Groups | None = None,
    actions: Mapping[str, NDArray[np.bool_]] | None = None,
    no_signal: NDArray[np.bool_] | None = None,
) -> Concentration:
    """Where the influence below 0 lies.

    Args:
        influence: (n,); what is no number counts for nothing.
        groups: what records belong together; None: nothing does.
        actions: name -> (n,) records with that action, or with one of that side; None: nobody knows.
        no_signal: (n,) records that have no influence, see `Scores.no_signal`.
    """
    known = np.isfinite(influence)
    if no_signal is not None and len(no_signal):
        known &= ~no_signal
    values = np.where(known, influence, 0).astype(np.float64)
    below = np.minimum(values, 0.0)
    ranked, total = int(known.sum()), float(below.sum())
    found = Concentration(int((below < 0).sum()), ranked, total, float(np.maximum(values, 0.0).sum()))
    if not found.lowered:
        return found

    def part(name: str, of_them: NDArray[np.bool_]) -> Part:
        return Part(
            name,
            float(known[of_them].sum()) / ranked,
            float(below[of_them].sum()) / total,
            float(values[of_them].sum()),
        )

    word, of = "", 0
    half: tuple[Part, ...] = ()
    if groups is not None:
        word, numbers = groups
        names, index = np.unique(numbers, return_inverse=True)
        sums = np.bincount(index.ravel(), below, len(names))
        order = np.argsort(sums, kind="stable")
        enough = 1 + int(np.searchsorted(-np.cumsum(sums[order]), -total / 2))
        half, of = tuple(part(str(names[i]), index.ravel() == i) for i in order[:enough]), len(names)
    sides = [part(name, of_them) for name, of_them in (actions or {}).items()]
    action = max(sides, key=lambda each: each.of_lowering - each.of_records, default=None)
    return Concentration(found.lowered, ranked, total, found.above, word, of, half, action)


def concentration_of(snapshot: Snapshot, scores: Scores) -> Concentration:
    """`concentration` of a round's scores, by what its kind of run says of its records.

    >>> import engine
    >>> snapshot = engine.open_run("sample_runs/FrozenLake-v1").snapshot(3)
    >>> found = concentration_of(snapshot, engine.influence(snapshot, "return"))
    >>> found.lowered == int((engine.influence(snapshot, "return").influence < 0).sum()), found.word
    (True, 'episode')
    """
    kind = kind_of(snapshot)
    try:
        groups = kind.groups(snapshot)
    except BadInputError:  # they belong to nothing
        groups = None
    spaces = kind.spaces(snapshot)
    actions = None if spaces is None else sides_of(spaces[1], snapshot.buffer.action)
    return concentration(scores.influence, groups, actions, scores.no_signal)


def sides_of(space: Space, action: NDArray[Any]) -> dict[str, NDArray[np.bool_]] | None:
    """The records by their action: each of a discrete space, each side of 0 of each component of a box.

    Args:
        space: of the actions.
        action: (n,) or (n, d)

    Returns:
        Name -> (n,) which records; None of actions that are neither.
    """
    if space.kind == "discrete":
        names = space.names if len(space.names) == space.n else [str(i) for i in range(space.n)]
        return {str(names[i]): action == i for i in np.unique(action).tolist()}
    if space.kind != "box":
        return None
    columns = dict(zip(space.component_names, action.reshape(len(action), -1).T, strict=True))
    return {
        f"{name} {sign} 0": side
        for name, column in columns.items()
        for sign, side in (("<", column < 0), (">", column > 0))
    }

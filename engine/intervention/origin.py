"""Where records came from that were chosen for removal: how somebody picked them, and by which scores they were ranked then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from engine.core.targets.question import PlainTarget, Question, TargetName, averaged_name
from engine.store.words import counted
from engine.typed import AtLeastOne, Count

Way = Literal["worst", "lasso", "box", "click", "hand", "group", "file"]

_WAYS: dict[Way, str] = {
    "lasso": "drawn around with the lasso",
    "box": "drawn around with the box",
    "click": "clicked in the chart",
    "hand": "selected by hand",
    "group": "a group",
    "file": "listed in a file",
}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How some records were chosen.

    >>> Origin(way="worst", share=0.5, estimator="tracin_adam", target=PlainTarget()).words()
    'the worst half by tracin_adam, return target'
    >>> Origin(way="group", group="two crashes").words()
    'the group two crashes'
    """

    way: Way
    """`worst`: a share of those with negative influence; `lasso`, `box`, `click`: in a chart; `hand`: otherwise selected."""
    share: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Of the records with negative influence, worst first; of `worst` alone."""
    group: str | None = None
    """Its name; of `group` alone."""
    estimator: str | None = None
    """Of the influence that was shown."""
    orders: AtLeastOne = 1
    """Minibatch orders that the influence was averaged over."""
    target: PlainTarget | None = None
    """Of the influence that was shown."""

    def __post_init__(self) -> None:
        if self.target is not None:  # else what is written could not be said
            TargetName(**vars(self.target))

    @classmethod
    def shown(cls, asked: Question | None, way: Way, **values: Any) -> Origin:
        """Of records that were chosen while the scores of a question were shown; None: none were."""
        if asked is None:
            return cls(way=way, **values)
        target = PlainTarget(**asked.target.plain())
        return cls(way=way, estimator=asked.estimator, orders=asked.orders, target=target, **values)

    def words(self, action_names: Sequence[str] = ()) -> str:
        """It in words, discrete actions by their names, if they are given; plain text."""
        asked = [] if self.target is None else [TargetName(**vars(self.target)).sentence(action_names)]
        scores = ", ".join([*([averaged_name(self.estimator, self.orders)] if self.estimator else []), *asked])
        if not scores:
            return self._picked()
        return f"{self._picked()} by {scores}" if self.way == "worst" else f"{self._picked()} ({scores} shown)"

    def to_json(self) -> dict[str, Any]:
        """Plain values; what says nothing is left out."""
        own = {name: value for name, value in vars(self).items() if value is not None}
        return own if self.target is None else {**own, "target": vars(self.target)}

    def _picked(self) -> str:
        if self.way == "worst":
            share = 1.0 if self.share is None else self.share
            return {1.0: "all that lowered the target", 0.5: "the worst half"}.get(
                share, f"the worst {100 * share:.3g} %"
            )
        return f"the group {self.group}" if self.way == "group" and self.group else _WAYS[self.way]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """So many of the removed records came from there."""

    records: Count
    origin: Origin | None = None
    """None: not kept."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; what says nothing is left out."""
        return {"records": self.records} | ({} if self.origin is None else {"origin": self.origin.to_json()})


def counted_by_origin(origins: Iterable[Origin | None]) -> tuple[Chosen, ...]:
    """How many records came from where, the largest part first: [a, b, a] -> 2 of a, 1 of b."""
    count: dict[Origin | None, int] = {}
    for origin in origins:
        count[origin] = count.get(origin, 0) + 1
    return tuple(Chosen(records=n, origin=origin) for origin, n in sorted(count.items(), key=lambda item: -item[1]))


def in_words(chosen: Sequence[Chosen], action_names: Sequence[str] = ()) -> str:
    """Where all came from, in a line, discrete actions by their names, if they are given; plain text.

    >>> in_words(())
    'not kept'
    >>> in_words([Chosen(records=3, origin=Origin(way="lasso")), Chosen(records=1)])
    '3 records drawn around with the lasso; 1 record of which it was not kept'
    """
    if all(part.origin is None for part in chosen):
        return "not kept"
    said = ["of which it was not kept" if part.origin is None else part.origin.words(action_names) for part in chosen]
    if len(chosen) == 1:
        return said[0]
    return "; ".join(f"{counted(part.records, 'record')} {words}" for part, words in zip(chosen, said, strict=True))

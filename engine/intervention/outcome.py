"""What `result.json` of an intervention holds, the check that it does, and the `Outcome` that `retrain` returns.

The classes below are the only definition of the fields: of their names in the file, of the attributes, and of what is valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from engine.core.replays.replay import Mode
from engine.errors import BadInputError, DamagedRunError
from engine.intervention.comparison import Verdict
from engine.store.words import brief
from engine.typed import typed

RESULT_FILE = "result.json"

T = TypeVar("T")
BoundedCount = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
"""64 bits hold the sum of two."""
Number = Annotated[float, msgspec.Meta(ge=-1e150, le=1e150)]
"""Finite, and so that its square is."""
Bound = Number | None
"""None where it is not known, or infinite."""
Orders = Annotated[int, msgspec.Meta(ge=2, lt=2**31)]
"""Replays of an arm; an interval needs two."""


@dataclass(frozen=True, kw_only=True)
class Arms(Generic[T]):
    """Something of each arm."""

    original: T
    counterfactual: T
    control: T


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """A confidence interval: both bounds or neither."""

    low: Bound
    high: Bound


@dataclass(frozen=True, kw_only=True)
class MeanChange(Bounds):
    """How a target changed, over minibatch orders."""

    mean: Number


@dataclass(frozen=True, kw_only=True)
class Estimated(MeanChange):
    """A mean and its confidence interval, see `comparison.Estimate`."""

    episodes: BoundedCount


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Three arms and their verdict, see `comparison.compare`."""

    original: Estimated
    counterfactual: Estimated
    control: Estimated
    difference: Estimated
    difference_from_control: Estimated
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How the measured target itself changed."""

    name: str
    counterfactual: MeanChange
    control: MeanChange
    about: Any = None
    action: Any = None
    of_round: BoundedCount | None = None
    order_values: Arms[list[Number]] | None = None


@dataclass(frozen=True, kw_only=True)
class Point:
    """A round of a branch's curve."""

    round: BoundedCount
    mean_return: Bound


@dataclass(frozen=True, kw_only=True)
class RecollectedPoint(Bounds):
    """A round of several seeds' curves."""

    mean: Bound
    seeds: list[Bound]


@dataclass(frozen=True, kw_only=True)
class Recollected:
    """What came of data that was collected anew, see `recollect.summarize`."""

    seeds: BoundedCount
    rounds: list[BoundedCount]
    curves: Arms[list[RecollectedPoint]]
    training: Compared | None
    evaluation: Compared
    seed_means: Arms[list[Bound]]
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Result(Compared):
    """All that `result.json` says of an intervention."""

    run: str
    parent: str
    env_id: str
    round: BoundedCount
    removed: list[BoundedCount]
    records: BoundedCount
    mode: Mode
    orders: Orders
    evaluation_seeds: tuple[BoundedCount, BoundedCount]
    same_machine: bool
    order_means: Arms[list[Number]]
    target: Measured
    curves: Arms[list[Point]] | None = None
    recollected: Recollected | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Outcome(Mapping[str, Any], Result):
    """An intervention's result: its fields as attributes, and by the names that `result.json` has.

    >>> from engine.store.documents import read_json
    >>> file = "sample_runs/FrozenLake-v1/interventions/8f920f3a0e6d/branch/result.json"
    >>> outcome = Outcome.of(read_json(file).values)
    >>> outcome.verdict, outcome["verdict"]
    ('helps', 'helps')
    >>> outcome.original.mean == outcome["original"]["mean"]
    True

    What the file does not say is None as an attribute, and no key. Equal to a mapping of the same values.
    """

    written: Mapping[str, Any]
    """The plain values as they are in the file."""

    @classmethod
    def of(cls, values: Mapping[str, Any], file: str = RESULT_FILE) -> Outcome:
        """The outcome that plain values are; errors as `check_outcome`."""
        return cls(**vars(check_outcome(values, file)), written=values)

    def __getitem__(self, name: str) -> Any:
        return self.written[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.written)

    def __len__(self) -> int:
        return len(self.written)

    def __repr__(self) -> str:
        means = f"return {self.original.mean:.4g} -> {self.counterfactual.mean:.4g}"
        without = f"without {len(self.removed):,} of {self.records:,} records of round {self.round}"
        return f"Outcome('{brief(self.run)}': {self.verdict}, {means} {without})"

    def to_json(self) -> dict[str, Any]:
        """The plain values."""
        return dict(self.written)


@dataclass(frozen=True, kw_only=True)
class RoundOutcome(Compared):
    """One round of a series of interventions, which has no branch."""

    round: BoundedCount
    removed_count: BoundedCount
    records: BoundedCount
    orders: Orders
    same_machine: bool
    order_means: Arms[list[Number]]


@dataclass(frozen=True, kw_only=True)
class SkippedRound:
    """One that could not be intervened in."""

    round: BoundedCount
    skipped: str


def is_round_outcome(values: Any) -> bool:
    """Whether `values` are what is known of a finished round of a series."""
    kind: type[SkippedRound | RoundOutcome] = (
        SkippedRound if isinstance(values, dict) and "skipped" in values else RoundOutcome
    )
    try:
        typed(kind, values, more=True)
    except BadInputError:
        return False
    return kind is SkippedRound or (
        values["removed_count"] < values["records"] and not any(_contradictions(values, values["orders"]))
    )


def check_outcome(values: Any, file: str) -> Result:
    """What is a result of an intervention, by attribute.

    Raises:
        DamagedRunError: something is missing, of another kind or at odds with the rest; names `file` and what.
    """
    try:
        result = typed(Result, values, more=True)
        wrong = next(_contradictions(values, values["orders"]), None) or next(_beyond_the_round(values), None)
    except BadInputError as error:
        wrong = str(error)
    if wrong is not None:
        raise DamagedRunError(f"{file} is damaged: it is no result of an intervention ({wrong})")
    return result


def _contradictions(values: Mapping[str, Any], orders: int) -> Iterator[str]:
    """What of a comparison's parts does not fit together."""
    if half := next(_half_intervals(values), None):
        yield f"`{half}` has one bound of its interval"
    yield from _of_other_length("order_means", values["order_means"], orders)


def _beyond_the_round(values: Mapping[str, Any]) -> Iterator[str]:
    """What of the rest of a whole result does not fit together: what was removed, the target, the rounds after."""
    yield from _null({"curves", "recollected"}, values)
    yield from _null({"order_values"}, values["target"])
    if not all(record < values["records"] for record in values["removed"]):
        yield f"`removed` names a record that the round's {values['records']} don't have"
    yield from _of_other_length("order_values", values["target"].get("order_values", {}), values["orders"])
    again = values.get("recollected")
    if again is None:
        return
    if "curves" not in values:
        yield "`recollected` is there without `curves`"
    yield from _of_other_length("curves", again["curves"], len(again["rounds"]))
    yield from _of_other_length("seed_means", again["seed_means"], again["seeds"])


def _null(names: set[str], values: Mapping[str, Any]) -> Iterator[str]:
    """Those of the names that are there without a value; what a result does not have is left out of it."""
    for name in sorted(names & values.keys()):
        if values[name] is None:
            yield f"`{name}` is null"


def _of_other_length(name: str, arms: Mapping[str, Sequence[Any]], length: int) -> Iterator[str]:
    for arm in (field.name for field in fields(Arms) if field.name in arms):
        if len(arms[arm]) != length:
            yield f"`{name}` of {arm} has {len(arms[arm])} values where {length} belong"


def _half_intervals(values: Any, name: str = "") -> Iterator[str]:
    """The names under which an interval has one bound only, however deep."""
    if isinstance(values, dict):
        if "low" in values and (values["low"] is None) != (values.get("high") is None):
            yield name
        for key, each in values.items():
            yield from _half_intervals(each, key)
    elif isinstance(values, list):
        for each in values:
            yield from _half_intervals(each, name)

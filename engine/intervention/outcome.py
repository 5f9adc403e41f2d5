"""What `result.json` of an intervention holds, the check that it does, and the `Outcome` that `retrain` returns.

The classes below are the only definition of the fields: of their names in the file, of the attributes, and of what is valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from engine.core.replays.replay import Mode
from engine.errors import BadInputError, DamagedRunError
from engine.intervention.comparison import TargetVerdict, Verdict
from engine.store.words import brief
from engine.typed import typed

RESULT_FILE = "result.json"

MAY_BE_UNKNOWN = frozenset({"kl", "log_prob_positive", "log_prob_negative"})
"""What a policy, or a round without such records, may have no number for."""

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
class CarriedOut:
    """What every result of an intervention says."""

    run: str
    parent: str
    env_id: str
    round: BoundedCount
    removed: list[BoundedCount]
    """Which records; with `repair` those that were repaired."""
    records: BoundedCount
    mode: Mode
    orders: Orders
    same_machine: bool
    target: Measured
    repair: bool = False
    """Whether the records were repaired in the place of being removed: they trained with their TD errors."""

    @property
    def what(self) -> str:
        """What was done, in words."""
        which = f"{len(self.removed):,} of {self.records:,} records of round {self.round}"
        return f"with {which} repaired" if self.repair else f"without {which}"


@dataclass(frozen=True, kw_only=True)
class Result(Compared, CarriedOut):
    """All that `result.json` says of an intervention whose policies were played."""

    evaluation_seeds: tuple[BoundedCount, BoundedCount]
    order_means: Arms[list[Number]]
    curves: Arms[list[Point]] | None = None
    recollected: Recollected | None = None


@dataclass(frozen=True, kw_only=True)
class ArmChanges:
    """How a number changed over minibatch orders, see `comparison.changes`."""

    counterfactual: MeanChange
    control: MeanChange
    difference_from_control: MeanChange
    order_values: Arms[list[Number]]


@dataclass(frozen=True, kw_only=True)
class Judged(ArmChanges):
    """What the verdict is about where nothing was played."""

    rounds: list[BoundedCount]
    """Later rounds, over whose records the return target was taken, on average; none: it is the measured target itself."""


@dataclass(frozen=True, kw_only=True)
class OnRecords:
    """The arms' policies on the records of one round; what isn't known is left out."""

    round: BoundedCount
    records: BoundedCount
    return_target: ArmChanges
    """Mean of the round's advantage times log pi(a|s) of its records."""
    kl: ArmChanges | None = None
    """Mean KL of an arm's policy from the original in nats, over the round's observations."""
    log_prob_positive: ArmChanges | None = None
    """Mean log pi(a|s) of the records with positive advantage."""
    log_prob_negative: ArmChanges | None = None
    """Mean log pi(a|s) of the records with negative advantage."""


@dataclass(frozen=True, kw_only=True)
class UnplayedResult(CarriedOut):
    """All that `result.json` says of an intervention whose policies could not be played: numbers on records, no returns."""

    unplayed: str
    """Why nothing could be played."""
    verdict: TargetVerdict
    judged: Judged
    by_round: list[OnRecords]
    """The round that was replayed, and the next ones with records."""
    left_out: list[str]
    """What is not known, and why; a line each."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _AsWritten(Mapping[str, Any]):
    """The fields of a file, also by the names that it has for them."""

    written: Mapping[str, Any]
    """The plain values as they are in the file."""

    def __getitem__(self, name: str) -> Any:
        return self.written[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.written)

    def __len__(self) -> int:
        return len(self.written)

    def to_json(self) -> dict[str, Any]:
        """The plain values."""
        return dict(self.written)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Outcome(_AsWritten, Result):
    """An intervention's result: its fields as attributes, and by the names that `result.json` has.

    >>> from engine.store.documents import read_json
    >>> file = "sample_runs/FrozenLake-v1/interventions/8f920f3a0e6d/branch/result.json"
    >>> outcome = outcome_of(read_json(file).values)
    >>> outcome.verdict, outcome["verdict"]
    ('helps', 'helps')
    >>> outcome.original.mean == outcome["original"]["mean"]
    True

    What the file does not say is None as an attribute, and no key. Equal to a mapping of the same values.
    """

    def __repr__(self) -> str:
        means = f"return {self.original.mean:.4g} -> {self.counterfactual.mean:.4g}"
        return f"Outcome('{brief(self.run)}': {self.verdict}, {means} {self.what})"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class UnplayedOutcome(_AsWritten, UnplayedResult):
    """An intervention's result where no policy could be played: as `Outcome`, with numbers on records in place of returns."""

    def __repr__(self) -> str:
        return f"UnplayedOutcome('{brief(self.run)}': {self.verdict} {self.what}, nothing was played)"


def outcome_of(values: Mapping[str, Any], file: str = RESULT_FILE) -> Outcome | UnplayedOutcome:
    """The outcome that plain values are; errors as `check_outcome`."""
    result = check_outcome(values, file)
    kind = UnplayedOutcome if isinstance(result, UnplayedResult) else Outcome
    return kind(**vars(result), written=values)


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


def check_outcome(values: Any, file: str) -> Result | UnplayedResult:
    """What is a result of an intervention, by attribute.

    Raises:
        DamagedRunError: something is missing, of another kind or at odds with the rest; names `file` and what.
    """
    unplayed = isinstance(values, dict) and "unplayed" in values
    kind: type[Result | UnplayedResult] = UnplayedResult if unplayed else Result
    try:
        result = typed(kind, values, more=True)
        problems = _contradictions_on_records(values) if unplayed else _contradictions(values, values["orders"])
        wrong = next(problems, None) or next(_beyond_the_round(values), None)
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


def _contradictions_on_records(values: Mapping[str, Any]) -> Iterator[str]:
    """The same of a result without episodes."""
    if half := next(_half_intervals(dict(values)), None):
        yield f"`{half}` has one bound of its interval"
    if not values["by_round"] or values["by_round"][0]["round"] != values["round"]:
        yield "`by_round` does not begin with the round that was replayed"
    numbers = ("return_target", *MAY_BE_UNKNOWN)
    for each in (values["judged"], *(on[name] for on in values["by_round"] for name in numbers if on.get(name))):
        yield from _of_other_length("order_values", each["order_values"], values["orders"])


def _beyond_the_round(values: Mapping[str, Any]) -> Iterator[str]:
    """What of the rest of a whole result does not fit together: what was removed, the target, the rounds after."""
    yield from _null({"curves", "recollected"}, values)
    for on in values.get("by_round", ()):
        yield from _null(MAY_BE_UNKNOWN, on)
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


def _null(names: Set[str], values: Mapping[str, Any]) -> Iterator[str]:
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

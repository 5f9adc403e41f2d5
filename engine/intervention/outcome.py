"""What `result.json` of an intervention holds, and the check that it does.

Mappings with these keys are what `retrain` returns; pages and commands read them by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Generic, NotRequired, TypedDict, TypeVar

import msgspec

from engine.core.replay import Mode
from engine.errors import DamagedRunError
from engine.intervention.comparison import Verdict

RESULT_FILE = "result.json"

T = TypeVar("T")
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
Number = Annotated[float, msgspec.Meta(ge=-1e150, le=1e150)]
"""Finite, and so that its square is."""
Bound = Number | None
"""None where it is not known, or infinite."""
Orders = Annotated[int, msgspec.Meta(ge=2, lt=2**31)]
"""Replays of an arm; an interval needs two."""


class Arms(TypedDict, Generic[T]):
    """Something of each arm."""

    original: T
    counterfactual: T
    control: T


class Interval(TypedDict):
    """A confidence interval: both bounds or neither."""

    low: Bound
    high: Bound


class Change(Interval):
    """How a target changed, over minibatch orders."""

    mean: Number


class Estimated(Change):
    """A mean and its confidence interval, see `comparison.Estimate`."""

    episodes: Count


class Compared(TypedDict):
    """Three arms and their verdict, see `comparison.compare`."""

    original: Estimated  # not inherited from Arms[Estimated], of which msgspec would not know the type
    counterfactual: Estimated
    control: Estimated
    difference: Estimated
    difference_from_control: Estimated
    verdict: Verdict


class Measured(TypedDict):
    """How the measured target itself changed."""

    name: str
    counterfactual: Change
    control: Change
    about: NotRequired[Any]
    action: NotRequired[Any]
    of_round: NotRequired[Count | None]
    order_values: NotRequired[Arms[list[Number]]]


class Point(TypedDict):
    """A round of a branch's curve."""

    round: Count
    mean_return: Bound


class RecollectedPoint(Interval):
    """A round of several seeds' curves."""

    mean: Bound
    seeds: list[Bound]


class Recollected(TypedDict):
    """What came of data that was collected anew, see `recollect.summarize`."""

    seeds: Count
    rounds: list[Count]
    curves: Arms[list[RecollectedPoint]]
    training: Compared | None
    evaluation: Compared
    seed_means: Arms[list[Bound]]
    verdict: Verdict


class Outcome(Compared):
    """An intervention's result."""

    run: str
    parent: str
    env_id: str
    round: Count
    removed: list[Count]
    records: Count
    mode: Mode
    orders: Orders
    evaluation_seeds: tuple[Count, Count]
    same_machine: bool
    order_means: Arms[list[Number]]
    target: Measured
    curves: NotRequired[Arms[list[Point]]]
    recollected: NotRequired[Recollected]


class RoundOutcome(Compared):
    """One round of a series of interventions, which has no branch."""

    round: Count
    removed_count: Count
    records: Count
    orders: Orders
    same_machine: bool
    order_means: Arms[list[Number]]


class SkippedRound(TypedDict):
    """One that could not be intervened in."""

    round: Count
    skipped: str


def is_round_outcome(values: Any) -> bool:
    """Whether `values` are what is known of a finished round of a series."""
    kind = SkippedRound if isinstance(values, dict) and "skipped" in values else RoundOutcome
    try:
        msgspec.convert(values, kind)
    except msgspec.ValidationError:
        return False
    return kind is SkippedRound or (
        values["removed_count"] < values["records"] and not any(_contradictions(values, values["orders"]))
    )


def check_outcome(values: Any, file: str) -> None:
    """Refuse what is no result of an intervention.

    Raises:
        DamagedRunError: something is missing, of another kind or at odds with the rest; names `file` and what.
    """
    try:
        msgspec.convert(values, Outcome)
        wrong = next(_contradictions(values, values["orders"]), None) or next(_beyond_the_round(values), None)
    except msgspec.ValidationError as error:
        wrong = str(error)
    if wrong is not None:
        raise DamagedRunError(f"{file} is damaged: it is no result of an intervention ({wrong})")


def _contradictions(values: Mapping[str, Any], orders: int) -> Iterator[str]:
    """What of a comparison's parts does not fit together."""
    if half := next(_half_intervals(values), None):
        yield f"`{half}` has one bound of its interval"
    yield from _of_other_length("order_means", values["order_means"], orders)


def _beyond_the_round(values: Mapping[str, Any]) -> Iterator[str]:
    """What of the rest of a whole result does not fit together: what was removed, the target, the rounds after."""
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


def _of_other_length(name: str, arms: Mapping[str, Sequence[Any]], length: int) -> Iterator[str]:
    for arm, each in arms.items():
        if len(each) != length:
            yield f"`{name}` of {arm} has {len(each)} values where {length} belong"


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

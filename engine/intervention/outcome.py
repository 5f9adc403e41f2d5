"""What `result.json` of an intervention holds, and the check that it does.

Mappings with these keys are what `retrain` returns; pages and commands read them by name.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

import msgspec

from engine.errors import DamagedRunError
from engine.intervention.comparison import Verdict
from engine.learning.replay import Mode

RESULT_FILE = "result.json"

Count = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
Number = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
Bound = Number | None
"""A finite number; None where it is not known, or infinite."""


class Estimated(TypedDict):
    """A mean and its confidence interval, see `comparison.Estimate`."""

    mean: Number
    low: Bound
    high: Bound
    episodes: Count


class Change(TypedDict):
    """How a target changed, over minibatch orders."""

    mean: Bound
    low: Bound
    high: Bound


class Compared(TypedDict):
    """Three arms and their verdict, see `comparison.compare`."""

    original: Estimated
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
    order_values: NotRequired[dict[str, list[Number]]]


class Point(TypedDict):
    """A round of a branch's curve."""

    round: Count
    mean_return: Bound


class RecollectedPoint(TypedDict):
    """A round of several seeds' curves."""

    mean: Bound
    low: Bound
    high: Bound
    seeds: list[Bound]


class Recollected(TypedDict):
    """What came of data that was collected anew, see `recollect.summarize`."""

    seeds: Count
    rounds: list[Count]
    curves: dict[str, list[RecollectedPoint]]
    training: Compared | None
    evaluation: Compared
    seed_means: dict[str, list[Bound]]
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
    orders: Count
    evaluation_seeds: tuple[Count, Count]
    same_machine: bool
    order_means: dict[str, list[Number]]
    target: Measured
    curves: NotRequired[dict[str, list[Point]]]
    recollected: NotRequired[Recollected]


class RoundOutcome(Compared):
    """One round of a series of interventions, which has no branch."""

    round: Count
    removed_count: Count
    records: Count
    same_machine: bool
    order_means: dict[str, list[Number]]


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
    return True


def check_outcome(values: Any, file: str) -> None:
    """Refuse what is no result of an intervention.

    Raises:
        DamagedRunError: something is missing or of another kind; names `file` and what.
    """
    try:
        msgspec.convert(values, Outcome)
    except msgspec.ValidationError as error:
        raise DamagedRunError(f"{file} is damaged: it is no result of an intervention ({error})") from None

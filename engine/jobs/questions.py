"""What a calculation in the background is asked about a round: influence, its validation, a diagnosis, a replay, an autopsy.

A target is said in the plain values that name it, `TargetName.plain()`, as files have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from msgspec import Meta

from engine.core.effort import Effort
from engine.core.estimators.registry import DEFAULT_ESTIMATOR
from engine.core.targets.question import Question, TargetName
from engine.intervention.autopsy.kept_returns import EPISODES
from engine.typed import AtLeastOne, Count, Moment, typed

Target = Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/$defs/PlainTarget"})]


@dataclass(frozen=True, kw_only=True)
class Influence:
    """How much each record of a round raised or lowered a target."""

    word: ClassVar[str] = "influence"
    not_identifying: ClassVar[frozenset[str]] = frozenset({"refresh"})
    """Fields that do not tell it from others: questions that differ in nothing else are one job."""
    keeps: ClassVar[str] = ""
    """What is kept of it where it is stopped."""

    round: Count
    target: Target
    estimator: str = DEFAULT_ESTIMATOR
    orders: AtLeastOne = 1
    by_layer: bool = False
    refresh: bool = False
    """Whether to compute anew what is kept."""

    @property
    def asked(self) -> Question:
        """The question itself; errors as `TargetName.from_plain`."""
        target = TargetName.from_plain(self.target)
        return Question(target=target, estimator=self.estimator, orders=self.orders, by_layer=self.by_layer)


@dataclass(frozen=True, kw_only=True)
class Validate:
    """Whether influence predicts what removing records does."""

    word: ClassVar[str] = "validate"
    not_identifying: ClassVar[frozenset[str]] = frozenset({"estimators"})
    """The replays are the same for all estimators."""
    keeps: ClassVar[str] = "finished replays are kept"

    round: Count
    target: Target
    estimators: tuple[str, ...] = ()
    subsets: AtLeastOne = Effort.subsets
    orders: AtLeastOne = Effort.orders
    fraction: float = 0.5
    score_orders: AtLeastOne = 1


@dataclass(frozen=True, kw_only=True)
class Diagnose:
    """What the bottom records have in common, and what the actions of some were worth, by rollouts."""

    word: ClassVar[str] = "diagnose"
    not_identifying: ClassVar[frozenset[str]] = frozenset({"target", "estimator", "records"})
    """Rollouts are kept by round, and one job at a time plays them."""
    keeps: ClassVar[str] = "finished rollouts are kept"

    round: Count
    target: Target
    rollouts: Count = 0
    """Of each mean that a record's A-bar is made of; only control tasks have some."""
    records: tuple[Count, ...] = ()
    """Whose actions; empty for those that `diagnose` chooses."""
    estimator: str = DEFAULT_ESTIMATOR


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Whether the round's update, replayed, leads to the checkpoint that was recorded after it."""

    word: ClassVar[str] = "replay"
    not_identifying: ClassVar[frozenset[str]] = frozenset()
    keeps: ClassVar[str] = ""

    round: Count


@dataclass(frozen=True, kw_only=True)
class Autopsy:
    """Whether a round's update made the policy worse, and what would have prevented it."""

    word: ClassVar[str] = "autopsy"
    not_identifying: ClassVar[frozenset[str]] = frozenset()
    keeps: ClassVar[str] = "what was played is kept"

    round: Count
    episodes: AtLeastOne = EPISODES
    """Of each policy."""


JobQuestion: TypeAlias = Influence | Validate | Diagnose | Replay | Autopsy


@dataclass(frozen=True)
class WrittenQuestion:
    """What `job.json` says."""

    work: Literal["influence", "validate", "diagnose", "replay", "autopsy"]
    question: dict[str, Any]
    created: Moment = 0.0


QUESTIONS: dict[str, type[JobQuestion]] = {kind.word: kind for kind in (Influence, Validate, Diagnose, Replay, Autopsy)}


def to_json(question: JobQuestion) -> dict[str, Any]:
    """The kind of work, and what is asked, in plain values."""
    return {"work": question.word, "question": asdict(question)}


def from_json(values: Mapping[str, Any]) -> JobQuestion:
    """The inverse of `to_json`.

    Raises:
        BadInputError: it is not such an object.
    """
    written = typed(WrittenQuestion, values)
    return typed(QUESTIONS[written.work], written.question)


def identity(question: JobQuestion) -> dict[str, Any]:
    """Plain values that are equal for questions that are one job."""
    asked = {name: value for name, value in asdict(question).items() if name not in question.not_identifying}
    return {"work": question.word, **asked}

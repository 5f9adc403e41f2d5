"""What people, files and URLs call a target, and what is asked of it; `chosen_targets.named_target` makes the target."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import index
from typing import Any, Self

from engine.errors import BadInputError
from engine.store.read import ranges
from engine.typed import AtLeastOne, typed

LONGEST_LIST = 40
"""Characters of a list in a sentence; longer ones are cut."""


@dataclass(frozen=True, kw_only=True)
class TargetName:
    """A target in plain values. Numbers and lists are taken for the tuples that they are kept as; None for an empty one.

    >>> TargetName(target="action", about=7).sentence()
    'action target, record 7'
    >>> TargetName(of_round=20).arguments
    ('--target', 'return', '--of-round', '20')
    """

    target: str = "return"
    """`return` or `action`."""
    of_round: int | None = None
    """Return target: the round whose buffer it is taken over; None: the snapshot's own."""
    about: tuple[int, ...] = ()
    """Action target: the records whose states and actions it is about, sorted; f is the mean over them."""
    observation: tuple[float, ...] = ()
    """Action target: a hand-typed state in the place of records, flat."""
    action: tuple[float, ...] = ()
    """Action target: the action; empty for those that the records took."""
    tokens: tuple[int, ...] = ()
    """Action target of a sequence: its first and its last token, counted from the beginning of the prompt; empty for the
    whole response."""

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "about", tuple(sorted({index(i) for i in _several(self.about)})))
            object.__setattr__(self, "tokens", tuple(index(i) for i in _several(self.tokens)))
        except TypeError:
            raise BadInputError("numbers of records and of tokens must be integers") from None
        if len(self.tokens) not in (0, 2):
            raise BadInputError(f"tokens are {self.tokens}; they must be two numbers, the first and the last of a span")
        for name in ("observation", "action"):
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, tuple(float(x) for x in _several(value)))
            except (TypeError, ValueError):
                raise BadInputError(f"the {name} {value!r} is not made of numbers") from None

    def __repr__(self) -> str:
        said = {
            each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name) != each.default
        }
        values = {"target": self.target, **said}
        return f"TargetName({', '.join(f'{name}={reprlib.repr(value)}' for name, value in values.items())})"

    @classmethod
    def of(cls, target: str, **values: Any) -> TargetName:
        """From loose values: numbers and lists are taken for tuples, None for what is not said."""
        return cls(target=target, **{name: value for name, value in values.items() if value is not None})

    def sentence(self, action_names: Sequence[str] = ()) -> str:
        """The target in words; discrete actions by their names, if they are given."""
        if self.target != "action":
            over = "" if self.of_round is None else f" over round {self.of_round}'s buffer"
            return f"{self.target} target{over}"
        words = f"{self.target} target"
        if len(self.about) == 1:
            words += f", record {self.about[0]}"
        elif self.about:
            words += f", mean of {len(self.about)} records ({_cut(ranges(list(self.about)))})"
        if self.tokens:
            first, last = self.tokens
            words += f", token {first}" if first == last else f", tokens {first} to {last}"
        if self.observation:
            words += f", state {_cut(_numbers(self.observation))}"
        if self.action:
            named = bool(action_names) and len(self.action) == 1
            words += f", action {action_names[int(self.action[0])] if named else _numbers(self.action)}"
        return words

    @property
    def arguments(self) -> tuple[str, ...]:
        """What makes the commands `influence` and `validate` take the same target."""
        words = ["--target", self.target]
        if self.of_round is not None:
            words += ["--of-round", str(self.of_round)]
        for record in self.about:
            words += ["--record", str(record)]
        if self.tokens:
            words += ["--tokens", f"{self.tokens[0]}:{self.tokens[1]}"]
        if self.observation:
            words.append(f"--obs={','.join(map(repr, self.observation))}")
        if self.action:
            words.append(f"--action={','.join(map(repr, self.action))}")
        return tuple(words)

    def plain(self) -> dict[str, Any]:
        """The fields with None for empty ones and one number for a tuple of one; the inverse is `from_plain`."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `plain`, of values that somebody else may have written.

        >>> TargetName.from_plain({"target": "action", "about": 7}).about
        (7,)

        Raises:
            ValueError: they are not such values, or don't go together.
        """
        return cls(**vars(typed(PlainTarget, values)))


@dataclass(frozen=True, kw_only=True)
class PlainTarget:
    """The types of `TargetName.plain`."""

    target: str = "return"
    of_round: int | None = None
    about: int | tuple[int, ...] | None = None
    observation: float | tuple[float, ...] | None = None
    action: float | tuple[float, ...] | None = None
    tokens: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """What influence is asked of a round: on which target, by which estimator, over how many minibatch orders.

    >>> asked = Question(target=TargetName(target="action", about=7), estimator="tracin_adam", orders=8)
    >>> asked.words
    'tracin_adam over 8 orders, action target, record 7'
    >>> asked.arguments
    ('--target', 'action', '--record', '7', '--estimator', 'tracin_adam', '--orders', '8')
    >>> Question.from_json(asked.to_json()) == asked
    True
    >>> import engine
    >>> snapshot = engine.open_run("sample_runs/FrozenLake-v1").snapshot(3)
    >>> engine.influence(snapshot, Question(target=TargetName(of_round=12), estimator="first_order")).estimator
    'first_order'
    """

    target: TargetName
    estimator: str
    orders: int = 1
    """Minibatch orders to average over; 1 is the recorded one."""
    by_layer: bool = False
    """Whether to split the scores by layer of the policy, too."""

    def alone(self, *, beside: bool) -> Self:
        """The question, which leaves nothing to be said beside it.

        Args:
            beside: whether the caller says some of it beside the question.

        Raises:
            BadInputError: it does.
        """
        if beside:
            raise BadInputError("a question says the estimator, the orders and the layers; leave them out beside it")
        return self

    @property
    def words(self) -> str:
        """The question in words."""
        layers = ", by layer" if self.by_layer else ""
        return f"{averaged_name(self.estimator, self.orders)}, {self.target.sentence()}{layers}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """What makes the command `influence` ask it."""
        words = [*self.target.arguments, "--estimator", self.estimator]
        if self.orders > 1:
            words += ["--orders", str(self.orders)]
        return (*words, "--by-layer") if self.by_layer else tuple(words)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "target": self.target.plain(),
            "estimator": self.estimator,
            "orders": self.orders,
            "by_layer": self.by_layer,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            BadInputError: it is not such an object.
        """
        found = typed(_PlainQuestion, values)
        return cls(**{**vars(found), "target": TargetName(**vars(found.target))})


@dataclass(frozen=True, kw_only=True)
class _PlainQuestion:
    """The types of `Question.to_json`."""

    target: PlainTarget
    estimator: str
    orders: AtLeastOne = 1
    by_layer: bool = False


def averaged_name(estimator: str, orders: int) -> str:
    """What files and people call an estimator whose scores are a mean over minibatch orders.

    >>> averaged_name("tracin_adam", 8)
    'tracin_adam over 8 orders'
    >>> averaged_name("tracin_adam", 1)
    'tracin_adam'
    """
    return estimator if orders == 1 else f"{estimator} over {orders} orders"


def _plain(value: Any) -> Any:
    match value:
        case ():
            return None
        case (one,):
            return int(one) if float(one).is_integer() else one
    return value


def _cut(listed: str) -> str:
    return listed if len(listed) <= LONGEST_LIST else f"{listed[:LONGEST_LIST].rpartition(', ')[0]}, …"


def _several(value: Any) -> Iterable[Any]:
    if value is None:
        return ()
    return value if isinstance(value, Iterable) else (value,)


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)

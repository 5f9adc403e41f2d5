"""What people, files and URLs call a target; `targets.named_target` makes the target of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import index
from typing import Any

from engine.store.read import ranges

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "about", tuple(sorted({index(i) for i in _several(self.about)})))
        for name in ("observation", "action"):
            object.__setattr__(self, name, tuple(float(x) for x in _several(getattr(self, name))))

    def sentence(self, action_names: Sequence[str] = ()) -> str:
        """The target in words; discrete actions by their names, if they are given."""
        if self.target == "return":
            return "return target" if self.of_round is None else f"return target over round {self.of_round}'s buffer"
        words = f"{self.target} target"
        if len(self.about) == 1:
            words += f", record {self.about[0]}"
        elif self.about:
            words += f", mean of {len(self.about)} records ({_cut(ranges(list(self.about)))})"
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
        if self.observation:
            words.append(f"--obs={','.join(map(repr, self.observation))}")
        if self.action:
            words.append(f"--action={','.join(map(repr, self.action))}")
        return tuple(words)

    def plain(self) -> dict[str, Any]:
        """The fields with None for empty ones and one number for a tuple of one; the inverse is `TargetName(**plain)`."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


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

"""What a run keeps of an environment outside the catalogue: what Gymnasium's own specification says, in plain values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from engine.typed import Finite, settle

WORD = r"[A-Za-z0-9_+-]{0,40}"
IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]{0,59}"
MODULE = rf"{IDENTIFIER}(?:\.{IDENTIFIER}){{0,9}}"
FACTORY = rf"{MODULE}:{MODULE}"
"""A function as `--make` names it: a module, a colon and the function's name within it."""
ELSEWHERE = "it draws from elsewhere than its own generator (such as np.random), or keeps state over a reset"
"""Why an environment does not repeat."""
MOST_ARGUMENTS, MOST_WRAPPERS = 64, 32

Id = Annotated[
    str,
    Meta(
        pattern=r"^(?:[A-Za-z0-9_-]{1,60}/)?[A-Za-z0-9_.-]{1,100}(?!\n)$",
        extra={"right": "the id of an environment, without a colon"},
    ),
]
Name = Annotated[str, Meta(pattern=rf"^{IDENTIFIER}(?!\n)$", extra={"right": "a name of letters, digits and _"})]
Factory = Annotated[str, Meta(pattern=rf"^(?:{FACTORY})?(?!\n)$", extra={"right": "a function as package:function"})]
if TYPE_CHECKING:
    Keyword = bool | int | float | str
else:
    Keyword = Annotated[
        bool | Annotated[int, Meta(ge=-(2**53), le=2**53)] | Finite | Annotated[str, Meta(pattern=rf"^{WORD}(?!\n)$")],
        Meta(extra={"right": "a number, true or false, or at most 40 letters, digits, _, + and -"}),
    ]


@dataclass(frozen=True)
class EnvironmentSpec:
    """An environment as Gymnasium names it. It is data: nothing in it is ever imported, and no argument is a path.

    >>> EnvironmentSpec("MountainCar-v0", {"goal_velocity": 0.1}).kwargs
    {'goal_velocity': 0.1}

    Raises:
        BadInputError: a value is of another type or form.
    """

    id: Id
    """Gymnasium's id; of an environment that has none, the name of its class."""
    kwargs: Annotated[Mapping[Name, Keyword], Meta(max_length=MOST_ARGUMENTS)] = field(default_factory=dict)
    """Keyword arguments of `gymnasium.make`: numbers, booleans and short texts."""
    wrappers: Annotated[tuple[Name, ...], Meta(max_length=MOST_WRAPPERS)] = ()
    """Classes of the wrappers around it, the outermost first, beside those that Gymnasium always puts there; for people."""
    factory: Factory = ""
    """What made it, as the person at the keyboard named it with `--make`; empty where Gymnasium did. For people."""
    repeats: Literal["always", "fresh", "never"] = "always"
    """Whether its generator's state and the actions since lead to the same states again: `always`; `fresh`, where every
    episode needs an environment that was made anew; `never`, where it draws from elsewhere."""

    def __post_init__(self) -> None:
        settle(self)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `run.json`."""
        return asdict(self) | {"kwargs": dict(self.kwargs), "wrappers": list(self.wrappers)}


def plain_arguments(kwargs: Mapping[str, Any]) -> dict[str, Keyword]:
    """The keyword arguments that a run can keep; others, such as a path or a function, are left out.

    >>> plain_arguments({"goal_velocity": 0.1, "map_name": "4x4", "xml_file": "./a.xml", "desc": ["SG"]})
    {'goal_velocity': 0.1, 'map_name': '4x4'}
    """
    plain = {
        name: value.item() if hasattr(value, "item") and not value.shape else value for name, value in kwargs.items()
    }
    return dict(list(_kept(plain))[:MOST_ARGUMENTS])


def _kept(kwargs: Mapping[str, Any]) -> Iterable[tuple[str, Keyword]]:
    for name, value in kwargs.items():
        is_number = isinstance(value, int | float) and -(2**53) <= value <= 2**53
        is_word = isinstance(value, str) and re.fullmatch(WORD, value)
        if re.fullmatch(IDENTIFIER, name) and (is_number or is_word):
            yield name, value

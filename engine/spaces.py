"""What observations and actions look like, as `run.json` says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from msgspec import Meta

from engine.typed import AtLeastOne, Count, typed

LARGEST_SPACE = 2**24
"""Values of a discrete space, or numbers in a box, at most."""
MOST_PARTS = 256
"""Parts of an observation at most."""
MOST_CHOICES = 2**16
"""Values of a discrete space of an environment at most."""
Shape = Annotated[tuple[AtLeastOne, ...], Meta(max_length=32, extra={"right": "a list of at most 32 sizes"})]
if TYPE_CHECKING:
    Bound = float
else:
    Bound = float | Literal["inf", "-inf"]
    """JSON has no infinity, which an action's bound may be: it is written as a text."""


@dataclass(frozen=True)
class Space:
    """What an observation or an action looks like, and what its components are called.

    `discrete`: an integer in [0, n). `box`: an array of `shape` and `dtype`; an action box also has bounds. `dict`: an
    observation of several named parts, each a space.
    """

    kind: Literal["discrete", "box", "dict"]
    n: Count = 0
    """Number of values (`discrete` only)."""
    shape: Shape = ()
    """Shape of one value; () for `discrete`."""
    dtype: str = "int64"
    """NumPy's name of the element type."""
    low: tuple[Bound, ...] = ()
    """Lower bounds, flattened (action boxes only): what the environment sees is clipped to them."""
    high: tuple[Bound, ...] = ()
    """Upper bounds, flattened (action boxes only)."""
    names: tuple[str, ...] = ()
    """Human names: of the values (`discrete`) or of the components (`box`); may be empty."""
    parts: Mapping[str, Space] = field(default_factory=dict)
    """Name -> space of each part (`dict` only)."""

    @property
    def value_names(self) -> tuple[str, ...]:
        """Names of a discrete space's values; none of a box, whose names are those of its components."""
        return self.names if self.kind == "discrete" else ()

    @property
    def component_names(self) -> tuple[str, ...]:
        """A name for each number of a box, flattened: `names`, or `component 0` and so on where they don't fit."""
        size = math.prod(self.shape)
        return self.names if len(self.names) == size else tuple(f"component {j}" for j in range(size))

    @property
    def size(self) -> int:
        """How many values a discrete space has, or a box numbers."""
        return self.n if self.kind == "discrete" else math.prod(self.shape)

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, tuple(float(bound) for bound in getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `run.json`; `from_json` is the inverse."""
        plain = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "parts"}
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
        if self.parts:
            values["parts"] = {name: part.to_json() for name, part in self.parts.items()}
        bounds = {name: [x if math.isfinite(x) else str(x) for x in values[name]] for name in ("low", "high")}
        return values | bounds

    @property
    def encoder(self) -> Literal["one_hot", "image", "flatten", "parts"]:
        """What makes a network's input of an observation.

        Numbers become one-hot; bytes in two or three axes an image in [0, 1], channels first; other boxes a vector; what has
        parts, an input each.
        """
        if self.kind == "dict":
            return "parts"
        if self.kind == "discrete":
            return "one_hot"
        return "image" if self.dtype == "uint8" and len(self.shape) in (2, 3) else "flatten"

    @property
    def channel_axis(self) -> int | None:
        """Where an image's channels are among its axes: 2, or 0 where that is the shorter axis; None of a grey one.

        >>> [Space("box", shape=shape, dtype="uint8").channel_axis for shape in ((84, 84, 3), (4, 84, 84), (84, 84))]
        [2, 0, None]
        """
        return None if len(self.shape) == 2 else 0 if self.shape[0] < self.shape[2] else 2

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        axis = self.channel_axis
        height, width = (side for i, side in enumerate(self.shape) if i != axis)
        return 1 if axis is None else self.shape[axis], height, width

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            BadInputError: it is no such object.
        """
        return typed(cls, values)

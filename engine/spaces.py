"""What observations and actions look like, as `run.json` says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self


@dataclass(frozen=True)
class Space:
    """What an observation or an action looks like, and what its components are called.

    `discrete`: an integer in [0, n). `box`: an array of `shape` and `dtype`; an action box also has bounds.
    """

    kind: Literal["discrete", "box"]
    n: int = 0
    """Number of values (`discrete` only)."""
    shape: tuple[int, ...] = ()
    """Shape of one value; () for `discrete`."""
    dtype: str = "int64"
    """NumPy's name of the element type."""
    low: tuple[float, ...] = ()
    """Lower bounds, flattened (action boxes only): what the environment sees is clipped to them."""
    high: tuple[float, ...] = ()
    """Upper bounds, flattened (action boxes only)."""
    names: tuple[str, ...] = ()
    """Human names: of the values (`discrete`) or of the components (`box`); may be empty."""

    @property
    def value_names(self) -> tuple[str, ...]:
        """Names of a discrete space's values; none of a box, whose names are those of its components."""
        return self.names if self.kind == "discrete" else ()

    @property
    def component_names(self) -> tuple[str, ...]:
        """A name for each number of a box, flattened: `names`, or `component 0` and so on where they don't fit."""
        size = math.prod(self.shape)
        return self.names if len(self.names) == size else tuple(f"component {j}" for j in range(size))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `run.json`."""
        return {
            "kind": self.kind,
            "n": self.n,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "low": list(self.low),
            "high": list(self.high),
            "names": list(self.names),
        }

    @property
    def encoder(self) -> Literal["one_hot", "image", "flatten"]:
        """What makes a network's input of an observation.

        Numbers become one-hot; bytes (height, width, channels) an image in [0, 1], channels first; other boxes a vector.
        """
        if self.kind == "discrete":
            return "one_hot"
        return "image" if self.dtype == "uint8" and len(self.shape) == 3 else "flatten"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fields)

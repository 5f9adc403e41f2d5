"""The layers of a policy as stretches of its flat parameter vector, and a direction taken apart by them.

An inner product is linear in the direction, so influence is the sum over layers of what each layer's part of the direction
gives: what a record did by moving that layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import nn

from engine.core.gradients.steps import Vector
from engine.core.policy import trained

Layers = Sequence[slice]
"""Stretches of the vector that do not overlap and together are all of it."""
WHOLE: Layers = (slice(None),)
"""Nothing taken apart."""


def layer_of(parameter: str) -> str:
    """`actor.0.weight` -> `actor.0`; `log_std`, which is in no layer -> `log_std`."""
    return parameter.rpartition(".")[0] or parameter


def layers_of(policy: nn.Module) -> dict[str, slice]:
    """Name of each module with trained parameters of its own, such as `actor.0` -> their place in the vector."""
    found: dict[str, slice] = {}
    start = 0
    for name, parameter in trained(policy).items():
        layer, stop = layer_of(name), start + parameter.numel()
        found[layer] = slice(found[layer].start if layer in found else start, stop)
        start = stop
    return found


def parts_of(direction: Vector, layers: Layers) -> Iterator[Vector]:
    """The direction with everything but one layer set to 0, for each layer."""
    for layer in layers:
        if layer == slice(None):
            yield direction
        else:
            part = np.zeros_like(direction)
            part[layer] = direction[layer]
            yield part

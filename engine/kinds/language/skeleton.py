"""A network as its description would build it, with names and shapes but without memory: what is too large is seen in time."""

from __future__ import annotations

from threading import get_ident
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from engine.errors import BadInputError
from engine.kinds.language.dependencies import transformers
from engine.kinds.language.description import first_line

MOST_BUFFER_BYTES = 2**28
"""Of tables that a network keeps beside its parameters, such as the mask of causal attention."""


def skeleton(loader: str, config: Any, tensors: int) -> nn.Module:
    """The network on the device `meta`.

    Args:
        loader: class of `transformers` that builds it.
        config: a checked description, see `description.configuration`.
        tensors: how many there are to fill it with. It may name each of its parameters twice, as tied weights are; one that
            goes on making more, such as a million layers, is stopped there.

    Raises:
        BadInputError: it can't be built, or has more parameters, or larger tables beside them.
    """
    made, builder = 0, get_ident()

    def count(*_: Any) -> None:
        nonlocal made
        made += get_ident() == builder  # the hook is called in every thread
        if made > 2 * tensors + 8:
            raise BadInputError(f"config.json describes more than the {tensors} tensors that there are to fill it with")

    watch = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"):
            model = built(loader, config)
    finally:
        watch.remove()
    beside = sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())
    if beside > MOST_BUFFER_BYTES:
        raise BadInputError(
            f"config.json describes tables of {beside:,} bytes beside the weights; up to {MOST_BUFFER_BYTES:,} are built"
        )
    return model


def built(loader: str, config: Any) -> nn.Module:
    """The network with weights that are still to be loaded. Errors as `skeleton`."""
    options = {"attn_implementation": "eager", "dtype": torch.float32, "trust_remote_code": False}
    try:
        with torch.random.fork_rng(devices=[]):
            return getattr(transformers(), loader).from_config(config, **options)
    except BadInputError:
        raise
    except Exception as error:  # noqa: BLE001  it is somebody else's values in somebody else's code
        raise BadInputError(f"config.json describes no network that can be built ({first_line(error)})") from None

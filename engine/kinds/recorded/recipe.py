"""A policy's recipe: its class and arguments as JSON, so that it is made again without a pickle.

A recipe is data that a stranger may have written. Only classes are made of it that are defined in the modules of `_HOMES` and are
what a policy is made of, and classes of packages that the person at the keyboard allows; sizes are bounded before anything
is built.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from engine.allowed import allowed
from engine.errors import BadInputError, EngineError

_HOMES = re.compile(
    r"torch\.nn\.modules\.\w+|torch\.optim\.\w+"
    r"|stable_baselines3\.common\.(policies|torch_layers|sb2_compat\.rmsprop_tf_like)|stable_baselines3\.\w+\.policies"
    r"|sb3_contrib\.(common\.)?\w+\.policies",
    re.ASCII,
)
"""Modules that hold nothing but classes of layers, optimizers and policies, and functions that are never called from here."""
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
DEEPEST, MOST_PARTS, LONGEST_TEXT, LARGEST_NUMBER = 12, 4096, 200, 2**20
NOBODYS_OWN = sys.stdlib_module_names | {"__main__", "torch", "stable_baselines3", "sb3_contrib", "engine"}
"""Packages of which no reader is told that they can be allowed."""
SLACK = 2**20
"""Numbers that building a policy may take beyond three times those of its checkpoint."""


FUNCTIONS = {
    "torch.relu": torch.relu,
    "torch.sigmoid": torch.sigmoid,
    "torch.tanh": torch.tanh,
    **{
        f"torch.nn.functional.{name}": getattr(functional, name)
        for name in ("elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "tanh")
    },
}
"""Activation functions by the names under which recipes have them; no other function is ever taken."""


class NotDescribedError(EngineError):
    """A policy's arguments hold what no JSON can say."""


def described(value: Any) -> Any:  # noqa: PLR0911 - one line a type
    """An argument as JSON: numbers, texts, lists, dicts, spaces, classes and activation functions by their names.

    >>> described({"net_arch": [64, 64], "activation_fn": nn.Tanh})
    {'net_arch': [64, 64], 'activation_fn': {'class': 'torch.nn.modules.activation:Tanh'}}

    Raises:
        NotDescribedError: it holds something else, such as a function.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float() | np.floating():
            return float(value) if math.isfinite(value) else {"number": str(float(value))}
        case np.integer():
            return int(value)
        case list():
            return [described(one) for one in value]
        case tuple():
            return {"tuple": [described(one) for one in value]}
        case gym.Space():
            return {"space": described_space(value)}
        case Mapping() if all(isinstance(name, str) for name in value):
            said = {name: described(one) for name, one in value.items()}
            return {"dict": said} if len(said) == 1 and next(iter(said)) in _TAGS else said
        case type():
            return {"class": class_name(value)}
        case _ if known := [name for name, function in FUNCTIONS.items() if function is value]:
            return {"function": known[0]}
    raise NotDescribedError(f"it takes {str(value)[:60]!r} ({type(value).__name__}), which a recipe can't say")


def class_name(kind: type) -> str:
    """`module:name`, by which the class is found again.

    Raises:
        NotDescribedError: it is defined within something else.
    """
    name = f"{kind.__module__}:{kind.__qualname__}"
    if not _NAME.fullmatch(name):
        raise NotDescribedError(
            f"its class {kind.__qualname__} is defined within a function or a class; define it in a module"
        )
    return name


def described_space(space: gym.Space[Any]) -> dict[str, Any]:
    """A space as JSON; bounds that are all equal as one number.

    Raises:
        NotDescribedError: it is none of Box, Discrete, MultiDiscrete, MultiBinary and Dict.
    """
    match space:
        case gym.spaces.Box():
            bounds = {"low": _bound(space.low), "high": _bound(space.high)}
            return {"kind": "box", "shape": list(space.shape), "dtype": np.dtype(space.dtype).name, **bounds}
        case gym.spaces.Discrete():
            return {"kind": "discrete", "n": int(space.n), "start": int(space.start)}
        case gym.spaces.MultiDiscrete() if space.nvec.ndim == 1:
            return {"kind": "multi_discrete", "n": [int(n) for n in space.nvec]}
        case gym.spaces.MultiBinary():
            return {"kind": "multi_binary", "n": [int(n) for n in np.atleast_1d(space.n)]}
        case gym.spaces.Dict():
            return {"kind": "dict", "spaces": {str(name): described_space(part) for name, part in space.spaces.items()}}
    raise NotDescribedError(
        f"the space {str(space)[:60]} is none of Box, Discrete, MultiDiscrete, MultiBinary and Dict"
    )


def made_space(said: Any) -> gym.Space[Any]:
    """The inverse of `described_space`.

    Raises:
        BadInputError: it is no such object.
    """
    try:
        match said:
            case {"kind": "box", "shape": list() as shape, "dtype": str() as dtype, "low": low, "high": high}:
                if math.prod(shape) > 2**24 or np.dtype(dtype).kind not in "iufb":
                    raise ValueError("its box is too large, or not of numbers")
                bounds = (
                    np.broadcast_to(_unbound(b), (math.prod(shape),)).reshape(shape).astype(dtype) for b in (low, high)
                )
                low, high = bounds
                return gym.spaces.Box(low, high, tuple(shape), dtype=np.dtype(dtype))
            case {"kind": "discrete", "n": int() as n, "start": int() as start}:
                return gym.spaces.Discrete(n, start=start)
            case {"kind": "multi_discrete", "n": list() as n}:
                return gym.spaces.MultiDiscrete(n)
            case {"kind": "multi_binary", "n": list() as n}:
                return gym.spaces.MultiBinary(n[0] if len(n) == 1 else n)
            case {"kind": "dict", "spaces": dict() as parts} if len(parts) <= 256:
                return gym.spaces.Dict({name: made_space(part) for name, part in parts.items()})
    except (TypeError, ValueError, AssertionError, OverflowError) as error:
        raise BadInputError(f"the recipe's space can't be understood ({error})") from None
    raise BadInputError(f"the recipe's space {str(said)[:60]} can't be understood")


def made(said: Any) -> Any:
    """The inverse of `described`.

    Raises:
        BadInputError: it names a class that is not allowed, or is too large.
    """
    return _made(said, 0, [0])


_TAGS = ("class", "function", "tuple", "dict", "space", "number")


def _made(said: Any, depth: int, count: list[int]) -> Any:  # noqa: PLR0911 - one line a form
    count[0] += 1
    if depth > DEEPEST or count[0] > MOST_PARTS:
        raise BadInputError("the recipe of the policy is too large")
    match said:
        case str() if len(said) > LONGEST_TEXT:
            raise BadInputError("the recipe of the policy has a text that is too long")
        case int() if abs(said) > LARGEST_NUMBER:
            raise BadInputError(
                f"the recipe of the policy has the number {str(said)[:12]}; at most {LARGEST_NUMBER} is built"
            )
        case {"class": str() as name, **rest} if not rest:
            return allowed_class(name)
        case {"function": str() as name, **rest} if not rest:
            if name not in FUNCTIONS:
                raise BadInputError(
                    f"the recipe of the policy names the function {name[:40]!r}; it may be one of {', '.join(FUNCTIONS)}"
                )
            return FUNCTIONS[name]
        case {"tuple": list() as parts, **rest} if not rest:
            return tuple(_made(part, depth + 1, count) for part in parts)
        case {"space": space, **rest} if not rest:
            return made_space(space)
        case {"number": "inf" | "-inf" | "nan" as number, **rest} if not rest:
            return float(number)
        case {"dict": dict() as parts, **rest} if not rest:
            return {name: _made(part, depth + 1, count) for name, part in parts.items()}
        case dict():
            return {name: _made(part, depth + 1, count) for name, part in said.items()}
        case list():
            return [_made(part, depth + 1, count) for part in said]
    return said


def allowed_class(name: str) -> type:
    """The class of that name.

    Raises:
        BadInputError: it is not one that may be made here; says what to pass.
    """
    home, _, qualname = name.partition(":")
    package = home.partition(".")[0]
    own = package in allowed().packages
    if not _NAME.fullmatch(name) or not (own or _HOMES.fullmatch(home)):
        could_be_own = _NAME.fullmatch(name) and package not in NOBODYS_OWN
        hint = f"; it is taken from your own package with --allow {package}" if could_be_own else ""
        raise BadInputError(f"the policy's recipe names {name[:80]!r}, which is not made from a run's word alone{hint}")
    try:
        found = getattr(import_module(home), qualname, None)
    except ImportError as error:
        raise BadInputError(f"the policy's recipe needs {home} ({error}); install {package}") from None
    bases = (nn.Module, torch.optim.Optimizer)
    if not (isinstance(found, type) and issubclass(found, bases) and found.__module__ == home):
        raise BadInputError(
            f"the policy's recipe names {name!r}, which is no class of layers, policies or optimizers there"
        )
    return found


@contextmanager
def bounded(numbers: int) -> Iterator[None]:
    """Refuse to build layers of more numbers than that, before memory is taken.

    Raises:
        BadInputError: a layer is larger.
    """
    with _Budget(3 * numbers + SLACK):
        yield


class _Budget(TorchFunctionMode):
    """Counts what tensors are asked for."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.left = numbers

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _FACTORIES:
            size = (kwargs or {}).get("size", args[0] if args and isinstance(args[0], tuple | list) else args)
            self.left -= math.prod(int(n) for n in size if isinstance(n, int))
            if self.left < 0:
                raise BadInputError("the policy's recipe describes larger networks than its checkpoint has")
        return func(*args, **(kwargs or {}))


_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full}


def _bound(values: Any) -> Any:
    """One number where all are equal; JSON has no infinity."""
    flat = [float(x) for x in np.ravel(values)]
    plain = [x if math.isfinite(x) else str(x) for x in flat]
    return plain[0] if len(set(flat)) == 1 else plain


def _unbound(said: Any) -> Any:
    return np.array([float(x) for x in said] if isinstance(said, list) else float(said))

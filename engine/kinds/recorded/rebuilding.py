"""Policies that only their owner's code can make: a function of a package that the person at the keyboard allows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

from torch import nn

from engine.allowed import allowed
from engine.errors import BadInputError
from engine.kinds.recorded.policy import RecordedPolicy
from engine.kinds.recorded.recipe import NotDescribedError, described
from engine.kinds.recorded.settings import Recipe

F = TypeVar("F", bound=Callable[..., Any])
MARK = "rebuilds_a_recorded_policy"


def rebuilds(function: F) -> F:
    """Mark a function that makes a policy again for a recorded run: it returns the module, and how it evaluates actions.

    Where the recorder is given `terms`, it returns this function after them. No other function is ever called for a run. It
    must be found by its name in its module, which must do nothing but define things when it is imported.

    >>> @rebuilds
    ... def make_agent(hidden=64):
    ...     return nn.Linear(4, hidden), lambda agent, observation, action: ...
    """
    vars(function)[MARK] = True
    return function


def name_of(function: Callable[..., Any]) -> str:
    """`module:function`; a script that is being run goes by its file's name.

    Raises:
        BadInputError: it is not marked, or is no function of a module.
    """
    if not isinstance(function, FunctionType) or not vars(function).get(MARK):
        raise BadInputError("rebuild must be a function marked with @engine.recording.rebuilds")
    if "." in function.__qualname__ or function.__name__ == "<lambda>":
        raise BadInputError(
            f"rebuild is {function.__qualname__}; it must be a function of a module, not of a class or a function"
        )
    module = function.__module__
    if module == "__main__":
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or "unnamed").stem
    return f"{module}:{function.__name__}"


def recipe_by(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Recipe:
    """How a marked function with these arguments makes the policy again.

    Raises:
        BadInputError: it is not marked, or an argument is none of numbers, texts, lists and dicts of these.
    """
    try:
        said = {name: described(value) for name, value in arguments.items()}
    except NotDescribedError as error:
        raise BadInputError(f"the arguments of rebuild can't be kept: {error}") from None
    return Recipe(name=name_of(function), arguments=said, by="function")


def rebuilt(name: str, arguments: dict[str, Any]) -> RecordedPolicy:
    """The policy that a marked function of that name makes.

    Raises:
        BadInputError: the person at the keyboard does not allow its package, or it is no such function.
    """
    home, _, function_name = name.partition(":")
    package = home.partition(".")[0]
    if package not in allowed().packages:
        raise BadInputError(
            f"the policy of this run is made by {name[:80]!r}; allow your own package with --allow {package[:60]}"
        )
    try:
        function = getattr(import_module(home), function_name, None)
    except ImportError as error:
        raise BadInputError(f"{home} can't be imported ({error})") from None
    if not isinstance(function, FunctionType) or not vars(function).get(MARK) or function.__module__ != home:
        raise BadInputError(f"{name} is no function marked with @engine.recording.rebuilds")
    return made_by(function, arguments)


def made_by(function: Callable[..., Any], arguments: Mapping[str, Any]) -> RecordedPolicy:
    """The policy that a marked function makes.

    Raises:
        BadInputError: it returns something else.
    """
    made = function(**arguments)
    is_tuple = isinstance(made, tuple) and len(made) in (2, 3)
    if not (is_tuple and isinstance(made[0], nn.Module) and all(callable(each) for each in made[1:])):
        raise BadInputError(
            f"{function.__module__}:{function.__name__} must return a torch module, a function that evaluates actions, and "
            "perhaps one of terms"
        )
    return RecordedPolicy(*made)

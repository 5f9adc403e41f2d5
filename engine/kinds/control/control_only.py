"""What looks at states, actions and environments is for control tasks; other runs are refused in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from engine.errors import BadInputError
from engine.known_kinds import kind_named
from engine.store.read import Run
from engine.store.snapshot import Snapshot

P = ParamSpec("P")
R = TypeVar("R")


def control_only(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which first refuses runs and rounds of other kinds among its arguments.

    Raises:
        BadInputError: one is of another kind.
    """

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for given in (*args, *kwargs.values()):
            if isinstance(given, Run | Snapshot):
                check_control(given)
        return function(*args, **kwargs)

    return checked


def check_control(given: Run | Snapshot) -> None:
    """Refuse a run or a round of another kind.

    Raises:
        BadInputError: it is one.
    """
    if not kind_named(given.kind).has_states:
        which = given.name if isinstance(given, Run) else f"round {given.round}"
        raise BadInputError(
            f"{which} is of a run of the kind {given.kind}; only control tasks have the states, actions and environments "
            "that this looks at"
        )

"""Streamlit's caches for functions of runs, rounds, targets and scores: these are told apart by what they are of.

Streamlit's own `hash_funcs` go by the exact class; rounds and targets have one class a kind of run, and more to come.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import singledispatch, wraps
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np
import streamlit as st

from engine.analysis.policy_difference import States
from engine.core.scores import Scores
from engine.store.read import Run
from engine.store.snapshot import Snapshot

P = ParamSpec("P")
R = TypeVar("R")


class Cached(Generic[P, R]):
    """A function that answers from a cache shared by all sessions: treat what it returns as read-only."""

    def __init__(
        self, function: Callable[P, R], cache: Callable[[Callable[..., R]], Any], by: Callable[..., Any] | None = None
    ) -> None:
        """`by` says what tells answers apart; without it all parameters do, but for those that begin with an underscore."""
        self._signature, self._by = inspect.signature(function), by

        @wraps(function)
        def answer(key: Any, _bound: inspect.BoundArguments) -> R:
            return function(*_bound.args, **_bound.kwargs)

        answer.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("key", "_bound")]
        )
        self._answers = cache(answer)
        self.__wrapped__, self.__doc__ = function, function.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The answer, computed the first time."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if self._by is None:
            key = [identity(value) for name, value in bound.arguments.items() if not name.startswith("_")]
        else:
            key = [identity(self._by(*args, **kwargs))]
        found: R = self._answers(key, bound)
        return found

    def clear(self) -> None:
        """Forget all answers."""
        self._answers.clear()


def cached(
    *, max_entries: int | None = None, show_spinner: bool | str = False, by: Callable[..., Any] | None = None
) -> Callable[[Callable[P, R]], Cached[P, R]]:
    """Keep a function's answers, the newest `max_entries` of them.

    Args:
        max_entries: None keeps all.
        show_spinner: what is said meanwhile.
        by: of the arguments, what tells answers apart: plain values; by default the identity of each argument.
    """
    cache = st.cache_resource(max_entries=max_entries, show_spinner=show_spinner)
    return lambda function: Cached(function, cache, by)


@singledispatch
def identity(value: Any) -> Any:
    """What tells a value from others: a run's newest commit, a round's commit, a target's description; else the value."""
    is_target = hasattr(value, "describe") and hasattr(value, "value")
    return json.dumps(value.describe(), sort_keys=True) if is_target else value


@identity.register
def _(value: Run) -> Any:
    return value.path, value.head


@identity.register
def _(value: Snapshot) -> Any:
    return value.path, value.round, value.hash


@identity.register
def _(value: Scores) -> Any:
    return value.snapshot_hash, json.dumps(value.target, sort_keys=True), value.estimator, value.orders


@identity.register
def _(value: States) -> Any:
    return value.commit


@identity.register
def _(value: np.ndarray) -> Any:
    return value.dtype.str, value.shape, value.tobytes()

"""The targets that a caller asks about, of a round of any kind: by name, by record, over a buffer."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.core.kind import kind_of
from engine.core.targets.question import Question, TargetName
from engine.errors import BadInputError
from engine.store.snapshot import Snapshot


def named_target(snapshot: Snapshot, name: TargetName | str | None = None) -> Any:
    """The target of that name; a word alone stands for the target of that sort without more, None for the kind's own.

    Raises:
        BadInputError: there is no such target in this kind of run, its parts don't go together, a record is out of range, a
            value does not fit its space, or the other round is not there or has no records any more.
    """
    kind = kind_of(snapshot)
    if not isinstance(name, TargetName):
        name = TargetName(target=kind.default_target if name is None else name)
    return kind.target(snapshot, name)


def chosen_target(snapshot: Snapshot, target: Any | None) -> Any:
    """A target as callers give it: by name, as a `Question` asks, None for the kind's own, or the target itself.

    Raises:
        BadInputError: as `named_target`, it is no target, or one of another kind of run or of other states and actions.
    """
    kind = kind_of(snapshot)
    if isinstance(target, Question):
        target = target.target
    if target is None or isinstance(target, str | TargetName):
        return named_target(snapshot, target)
    check_is_target(target)
    kind.check_target(snapshot, target)
    return target


def check_is_target(target: Any) -> None:
    """Refuse what can't be asked about.

    Raises:
        BadInputError: it has not what a `Target` has.
    """
    members = (
        isinstance(getattr(target, "name", None), str),
        *(callable(getattr(target, method, None)) for method in ("describe", "value")),
    )
    if isinstance(target, type) or not all(members):
        raise BadInputError(
            f"a target is needed, not {type(target).__name__}; give a name such as 'return', an engine.TargetName or "
            "engine.Question, or an object with name, describe() and value(policy)"
        )


def action_target(
    snapshot: Snapshot,
    *,
    record: Any | None = None,
    tokens: Any | None = None,
    observation: Any | None = None,
    action: Any | None = None,
) -> Any:
    """The action target of a record, of the mean over several, or of a hand-typed observation and action.

    >>> import engine
    >>> snapshot = engine.open_run("sample_runs/courtesy").snapshot(0)
    >>> engine.action_target(snapshot, record=7, tokens=(5, 6)).words
    'action target, record 7, tokens 5 to 6'

    Args:
        snapshot: says which observations and actions there are.
        record: take s and a from this record, or from these; `action` then asks for another action in the same states. Of a
            language model one record, whose response the target is about.
        tokens: language models: the first and last token of a span of the response, counted from the beginning of the prompt.
        observation: s as a number (discrete) or a list of numbers.
        action: a.

    Raises:
        BadInputError: neither or both are given, a record is out of range, or a value does not fit its space.
    """
    if record is not None and not np.size(record):
        raise BadInputError("an action target of no records says nothing; choose at least one")
    typed = {"observation": observation, "action": action}
    flat = {name: np.ravel(value) for name, value in typed.items() if value is not None}
    return named_target(snapshot, TargetName.of("action", about=record, tokens=tokens, **flat))


def return_target(snapshot: Snapshot, reference: Any | None = None) -> Any:
    """The return target over a reference buffer, by default the snapshot's own.

    With the buffer of a later round it asks what made the agent good in the situations that came later; observations and
    advantages are then those that the later policy saw and its critic gave.

    >>> import engine
    >>> run = engine.open_run("sample_runs/FrozenLake-v1")
    >>> later = engine.return_target(run.snapshot(3), run.snapshot(12).buffer)
    >>> later.name, len(later.action)
    ('return', 2048)

    Raises:
        BadInputError: the buffer's observations or actions are not of the snapshot's kind.
    """
    return kind_of(snapshot).return_target(snapshot, reference)

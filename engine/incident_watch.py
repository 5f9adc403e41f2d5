"""What watches a run for incidents as it goes on. It stands above the training that asks it, so it makes itself known here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.known_kinds import at_home


class Incident(Protocol):
    """Rounds that are worth a look, as `engine.Incident` says them."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def onset(self) -> int: ...  # noqa: D102
    @property
    def first(self) -> int: ...  # noqa: D102
    @property
    def last(self) -> int: ...  # noqa: D102
    @property
    def onsets(self) -> tuple[int, ...]: ...  # noqa: D102


class IncidentWatch(Protocol):
    """Sees the metrics of one round after another, as `engine.Watch` does."""

    def see(self, round: int, metrics: Mapping[str, Any]) -> Sequence[Incident]:
        """The incidents that are new with this round, or that it changed."""
        ...


_HOMES: list[Any] = []


def register(home: Any) -> None:
    """Make the watch known, in the place of the one before: a class, or the `module:name` that it is found under when needed.

    Args:
        home: called with `discrete`, see `engine.Watch`.
    """
    _HOMES[:] = [home]


def incident_watch(discrete: bool) -> IncidentWatch:
    """The watch that is known, before its first round.

    Args:
        discrete: whether actions are chosen among finitely many.
    """
    watch: IncidentWatch = at_home(_HOMES[0])(discrete=discrete)
    return watch

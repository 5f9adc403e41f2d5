"""Cached reads of the page Autopsy."""

from __future__ import annotations

from app.shell.cached import cached
from engine.analysis.checks.checked import Check
from engine.analysis.checks.round_checks import check_round
from engine.core.replays.replayed_run import kept_replay
from engine.store.read import Run

AT_ONCE_SECONDS = 1.0
"""Updates that took no longer are replayed while the page is drawn; others in the background, with all that is played."""


def are_checked_at_once(run: Run, round: int) -> bool:
    """Whether the checks of a round take no time: its update and the one before are replayed in them."""
    metrics = {info.round: info.metrics for info in run.rounds}
    return all(
        (metrics.get(k, {}).get("update_seconds") or 0.0) <= AT_ONCE_SECONDS or kept_replay(run, k) is not None
        for k in (round - 1, round)
        if run.has_records(k)
    )


def _as_committed(run: Run, round: int) -> tuple[str, int, list[str]]:
    """A round by the commits up to the one after it: a commit names the one before it."""
    commits = [
        info.hash for info in (*run.rounds, *([run.final] if run.final else [])) if info.round in (round, round + 1)
    ]
    return str(run.path), round, commits


@cached(max_entries=64, by=_as_committed, show_spinner="checking the record of the round …")
def load_checks(run: Run, round: int) -> list[Check]:
    """What a round's record says of itself."""
    return check_round(run, round)

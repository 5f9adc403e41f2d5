"""Returns of any policies on common seeds, kept in a run's `derived/` as they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core.replays.replayed_run import update_key
from engine.intervention.autopsy.kept_returns import Kept
from engine.store.read import Run

COMMON_VERSION = 1
"""Part of every key; raise it whenever a policy of the same name is another one."""


class CommonReturns(Kept):
    """Policy -> its returns, all on the same seeds.

    Args:
        run: the run in whose folder they are kept.
        k: a round; other commits of k and k + 1, episodes, software or machines share nothing.
        episodes: of each policy.
        about: what else the policies depend on, in plain values; other ones share nothing either.
        cache: read and write `derived/`.
    """

    def __init__(self, run: Run, k: int, episodes: int, about: Mapping[str, Any], *, cache: bool = True) -> None:
        self.episodes = episodes
        question = {"version": COMMON_VERSION, "common seeds": k, "episodes": episodes, "about": dict(about)}
        super().__init__(run, update_key(run, k, question) if cache else None, lambda policy: episodes)

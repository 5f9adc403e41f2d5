"""Returns of any policies on common seeds, kept in a run's `derived/` as they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.core.replays.replayed_run import update_key
from engine.store.derived import kept_columns, load_table, save_table
from engine.store.read import Run

COMMON_VERSION = 1
"""Part of every key; raise it whenever a policy of the same name is another one."""
_KEPT: dict[str, pa.DataType] = {"policy": pa.string(), "returns": pa.float64()}


class CommonReturns:
    """Policy -> its returns, all on the same seeds.

    A cache that is damaged, or that somebody else filled with something else, is as if there were none.

    Args:
        run: the run in whose folder they are kept.
        k: a round; other commits of k and k + 1, episodes, software or machines share nothing.
        episodes: of each policy.
        about: what else the policies depend on, in plain values; other ones share nothing either.
        cache: read and write `derived/`.
    """

    def __init__(self, run: Run, k: int, episodes: int, about: Mapping[str, Any], *, cache: bool = True) -> None:
        self.run, self.episodes = run, episodes
        question = {"version": COMMON_VERSION, "common seeds": k, "episodes": episodes, "about": dict(about)}
        self._key = update_key(run, k, question) if cache else None
        self._found = {} if self._key is None else self._load(self._key)

    def __contains__(self, policy: str) -> bool:
        return policy in self._found

    def __getitem__(self, policy: str) -> NDArray[np.float64]:
        """(episodes,)."""
        return self._found[policy]

    def keep(self, policy: str, values: NDArray[np.float64]) -> None:
        """Add those of a policy, (episodes,)."""
        self._found[policy] = np.asarray(values, np.float64)
        if self._key is not None:
            names = [name for name in self._found for _ in range(self.episodes)]
            table = pa.table({"policy": names, "returns": np.concatenate([*self._found.values()])})
            save_table(self.run.path, self._key, table)

    def _load(self, key: str) -> dict[str, NDArray[np.float64]]:
        table = load_table(self.run.path, key)
        columns = None if table is None else kept_columns(table, _KEPT)
        if columns is None:
            return {}
        policies, values = columns["policy"], columns["returns"]
        found = {name: values[policies == name] for name in dict.fromkeys(policies.tolist())}
        return found if all(len(each) == self.episodes for each in found.values()) else {}

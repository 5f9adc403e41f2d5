"""What an autopsy finds out about policies, such as their returns on common seeds; kept in the run's `derived/` as it comes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.core.replays.replayed_run import update_key
from engine.store.derived import kept_columns, load_table, save_table
from engine.store.read import Run
from engine.typed import typed

EPISODES = 64
"""Of the two policies of the record."""
RETURNS_VERSION = 1
"""Part of every key; raise it whenever a policy of the same name is another one."""
BEFORE, AFTER = "before the update", "after the update"
"""The two policies of the record; all others are arms'."""
LEFT_OUT = "left_out"
MORE_SEEDS = ", on more seeds"
_KEPT: dict[str, pa.DataType] = {"policy": pa.string(), "value": pa.float64()}


def on_more_seeds(policy: str) -> str:
    """What the returns of a policy on more seeds are kept as.

    >>> on_first_seeds(on_more_seeds(BEFORE)) == on_first_seeds(BEFORE) == BEFORE
    True
    """
    return f"{policy}{MORE_SEEDS}"


def on_first_seeds(policy: str) -> str:
    """The policy, on whichever seeds its returns are."""
    return policy.removesuffix(MORE_SEEDS)


class Kept:
    """Policy -> numbers about it; and which arms turned out to have no policies.

    A cache that is damaged, or that somebody else filled with something else, is as if there were none.

    Args:
        run: the run.
        key: name in its `derived/`; None keeps nothing.
        length_of: how many numbers there are of a policy.
    """

    def __init__(self, run: Run, key: str | None, length_of: Callable[[str], int]) -> None:
        self.run, self._key, self._length_of = run, key, length_of
        self._found: dict[str, NDArray[np.float64]] = {}
        self.left_out: dict[str, str] = {}
        """Arm -> why it has no policies."""
        if key is not None:
            self._load(key)

    def __contains__(self, policy: str) -> bool:
        return policy in self._found

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, policy: str) -> NDArray[np.float64]:
        """(m,) as many as `length_of` says."""
        return self._found[policy]

    def keep(self, policy: str, values: NDArray[np.float64]) -> None:
        """Add those of a policy."""
        self._found[policy] = np.asarray(values, np.float64)
        self._save()

    def leave_out(self, arm: str, why: str) -> None:
        """Remember why an arm has no policies."""
        self.left_out[arm] = why
        self._save()

    def _save(self) -> None:
        if self._key is None:
            return
        names = [name for name, values in self._found.items() for _ in values]
        table = pa.table({"policy": names, "value": np.concatenate([np.zeros(0), *self._found.values()])})
        save_table(self.run.path, self._key, table, {LEFT_OUT: json.dumps(self.left_out)})

    def _load(self, key: str) -> None:
        table = load_table(self.run.path, key)
        columns = None if table is None else kept_columns(table, _KEPT)
        if table is None or columns is None:
            return
        policies, values = columns["policy"], columns["value"]
        found = {name: values[policies == name] for name in dict.fromkeys(policies.tolist())}
        if all(len(each) == self._length_of(policy) for policy, each in found.items()):
            self._found, self.left_out = found, _reasons((table.schema.metadata or {}).get(LEFT_OUT.encode(), b"{}"))


class Returns(Kept):
    """Policy -> its returns, all on the same seeds, those of arms on the first half; some also on as many more seeds.

    Args:
        run: the run.
        k: round whose update is examined; other commits of k and k + 1, episodes, software or machines share nothing.
        episodes: of the two policies of the record.
        cache: read and write `derived/`.
    """

    def __init__(self, run: Run, k: int, episodes: int, *, cache: bool = True) -> None:
        self.episodes = episodes
        self.of_arms = min(episodes, max(2, math.ceil(episodes / 2)))
        """Episodes of a policy of an arm: there are several of each, and they differ by more than by episodes."""
        super().__init__(run, _key(run, k, episodes) if cache else None, self.episodes_of)

    def block_of(self, policy: str) -> int:
        """Which episodes: the seeds of different blocks are others."""
        return int(policy.endswith(MORE_SEEDS))

    def episodes_of(self, policy: str) -> int:
        """How many it plays."""
        if policy.endswith(MORE_SEEDS):
            return self.episodes
        return self.episodes if policy in (BEFORE, AFTER) else self.of_arms


def _key(run: Run, k: int, episodes: int) -> str | None:
    return update_key(run, k, {"version": RETURNS_VERSION, "autopsy": k, "episodes": episodes})


def _reasons(said: bytes) -> dict[str, str]:
    """Arm -> why it is left out; none where that is not what was kept."""
    try:
        return typed(dict[str, str], json.loads(said))
    except (ValueError, RecursionError):  # a BadInputError is a ValueError, too
        return {}

"""Maps of the grids that come with Gymnasium and show the cell where the agent is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym

from engine.envs.layout import DOWN, LEFT, RIGHT, UP, Layout, counted_by_row, lettered_tiles


def lake(columns: int) -> Layout:
    """The map of FrozenLake."""
    return Layout(
        place=counted_by_row(columns),
        tiles=lettered_tiles({"S": "start", "H": "hole", "G": "goal"}),
        moves={0: LEFT, 1: DOWN, 2: RIGHT, 3: UP},
    )


def cliffs(columns: int) -> Layout:
    """The map of CliffWalking."""
    return Layout(place=counted_by_row(columns), tiles=_cliff_tiles, moves={0: UP, 1: RIGHT, 2: DOWN, 3: LEFT})


def layout_of(env: gym.Env[Any, Any]) -> Layout | None:
    """The map of an environment that Gymnasium brings along; None of every other, and of one whose map is drawn by lot.

    Taxi has none: its states are more than cells, and its walls stand between them.
    """
    inner = env
    while isinstance(inner, gym.Wrapper):
        if isinstance(inner, gym.ObservationWrapper | gym.ActionWrapper):
            return None
        inner = inner.env
    kind = f"{type(inner).__module__}.{type(inner).__qualname__}"
    return _LAYOUTS[kind](inner) if kind in _LAYOUTS else None


def _lake_of(env: Any) -> Layout | None:
    is_named = env.spec is not None and env.spec.kwargs.get("map_name") and env.spec.kwargs.get("desc") is None
    return lake(int(env.ncol)) if is_named else None


def _cliffs_of(env: Any) -> Layout:
    return cliffs(int(env.shape[1]))


_LAYOUTS: Mapping[str, Callable[[Any], Layout | None]] = {
    "gymnasium.envs.toy_text.frozen_lake.FrozenLakeEnv": _lake_of,
    "gymnasium.envs.toy_text.cliffwalking.CliffWalkingEnv": _cliffs_of,
}
"""By class, since an environment of another package may have the same id."""


def _cliff_tiles(env: gym.Env[Any, Any]) -> tuple[tuple[str, ...], ...]:
    world: Any = env.unwrapped
    tiles = [["cliff" if is_cliff else "" for is_cliff in row] for row in world._cliff.tolist()]
    tiles[-1][0], tiles[-1][-1] = "start", "goal"
    return tuple(map(tuple, tiles))

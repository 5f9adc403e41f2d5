"""What a world of cells looks like from above: where an observation or a state lies in it, and what its cells are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

RIGHT, DOWN, LEFT, UP = range(4)
"""Headings, clockwise; row 0 is the uppermost."""
STEPS = {RIGHT: (0, 1), DOWN: (1, 0), LEFT: (0, -1), UP: (-1, 0)}
"""Heading -> (rows, columns) of one step."""


class Place(NamedTuple):
    """Where the agent is in a world of cells."""

    row: int
    column: int
    heading: int | None = None
    """Which way it looks; None where agents look nowhere."""


@dataclass(frozen=True)
class Layout:
    """A map of cells that is the same in every episode, drawn without knowing which environment it is."""

    place: Callable[[Any], Place]
    """Of an observation, or of the state that `StateAccess.read` took; see `of_state`."""
    tiles: Callable[[gym.Env[Any, Any]], tuple[tuple[str, ...], ...]]
    """Rows of what the cells are called, from an environment that was reset: `hole`, `goal`, `wall`, ``""`` for nothing."""
    of_state: bool = False
    """Whether the observation does not tell the place: then records must be restored to know it."""
    moves: Mapping[int, int] = field(default_factory=dict)
    """Action -> the heading in which it goes; empty where the agent has a heading of its own, and actions go by that."""
    picture: Callable[[gym.Env[Any, Any]], NDArray[np.uint8]] | None = None
    """The environment's own drawing of the map without the agent, every cell a square of equal size; None: there is none."""

    @property
    def has_headings(self) -> bool:
        """Whether the agent looks somewhere, so that a cell has four states."""
        return not self.moves


def counted_by_row(columns: int) -> Callable[[Any], Place]:
    """The place of a discrete observation that counts cells row by row, as Gymnasium's toy-text grids do."""
    return lambda observation: Place(int(observation) // columns, int(observation) % columns)


def lettered_tiles(names: Mapping[str, str]) -> Callable[[gym.Env[Any, Any]], tuple[tuple[str, ...], ...]]:
    """The tiles of an environment whose attribute `desc` has a letter a cell.

    Args:
        names: letter -> what such a cell is called.
    """

    def tiles(env: gym.Env[Any, Any]) -> tuple[tuple[str, ...], ...]:
        letters = env.unwrapped.desc.astype(str)  # type: ignore[attr-defined]
        return tuple(tuple(names.get(letter, "") for letter in row) for row in letters.tolist())

    return tiles

"""Records gathered by where they were made and what was done there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.analysis.restoring import points
from engine.envs import Layout, Place
from engine.kinds.control.control_only import control_only
from engine.kinds.control.recorded_environment import environment_of
from engine.kinds.control.snapshot import ControlSnapshot


class Group(NamedTuple):
    """The records of one place with one action."""

    place: Place
    action: int
    records: NDArray[np.int64]
    """(m,) record numbers, at least one."""

    def mean(self, values: NDArray[np.float64]) -> float:
        """Mean of an (n,) column over them, NaN left out; NaN where nothing is known."""
        known = values[self.records]
        known = known[~np.isnan(known)]
        return float(known.mean()) if len(known) else float("nan")


@dataclass(frozen=True, eq=False)
class WorldMap:
    """The cells of a world as its layout describes them."""

    layout: Layout
    tiles: tuple[tuple[str, ...], ...]
    """Rows of names; see `Layout`."""
    picture: NDArray[np.uint8] | None
    """(height, width, 3), all cells of equal size; None where tiles must do."""


@control_only
def world_map(snapshot: ControlSnapshot) -> WorldMap | None:
    """The map of what a round was played in; None where its states do not lie on one.

    Raises:
        BadInputError: the environment is not installed, or what is here does something else than was recorded.
    """
    space = snapshot.observation_space
    if snapshot.environment is not None and space.kind != "discrete":
        return None  # at once: none of the grids that are known outside the catalogue shows anything else
    environment = environment_of(snapshot)
    if environment.spec is None and environment.layout is None:
        return None
    env = environment.make()
    try:
        layout = environment.layout_in(env)
        if layout is None:
            return None
        env.reset(seed=0)
        tiles = layout.tiles(env)
        if not (layout.of_state or space.n == len(tiles) * len(tiles[0])):
            return None
        return WorldMap(layout, tiles, None if layout.picture is None else layout.picture(env))
    finally:
        env.close()


@control_only
def places(snapshot: ControlSnapshot, layout: Layout) -> list[Place | None]:
    """Where every record of a round was made; None where only its state tells and can't be restored.

    Args:
        snapshot: the round.
        layout: of the map on which its states lie.

    Raises:
        CannotRestoreError: only states tell, and none can be restored on this machine.
    """
    if not layout.of_state:
        return [layout.place(observation) for observation in snapshot.shown[1]]
    found = points(snapshot)
    return [None if point is None or point.state is None else layout.place(point.state) for point in found]


def group_records(where: Sequence[Place | None], action: ArrayLike, records: ArrayLike) -> list[Group]:
    """The chosen records by place and action, sorted by these; records without a place are in none.

    Args:
        where: (n,) places of all records.
        action: (n,) discrete actions.
        records: which of them to gather.
    """
    actions, gathered = np.asarray(action), dict[tuple[Place, int], list[int]]()
    for record in np.asarray(records, np.int64).tolist():
        place = where[record]
        if place is not None:
            gathered.setdefault((place, int(actions[record])), []).append(record)
    return [Group(*key, np.array(gathered[key])) for key in sorted(gathered, key=_order)]


def group_by_place(groups: Sequence[Group]) -> list[Group]:
    """Groups that differ only in their action made one, whose action is -1."""
    together: dict[Place, list[NDArray[np.int64]]] = {}
    for group in groups:
        together.setdefault(group.place, []).append(group.records)
    return [Group(place, -1, np.sort(np.concatenate(parts))) for place, parts in together.items()]


def _order(key: tuple[Place, int]) -> tuple[int, ...]:
    (row, column, heading), action = key
    return row, column, -1 if heading is None else heading, action

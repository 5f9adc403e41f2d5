"""Records on the map of a world of cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from app.charts.colours import between, ink
from app.charts.theme import MARK, PALE, Theme, influence_limit, plain, style, theme
from engine.analysis.places import Group, WorldMap
from engine.envs.layout import DOWN, LEFT, RIGHT, STEPS, UP

ARROWS = {RIGHT: "triangle-right", DOWN: "triangle-down", LEFT: "triangle-left", UP: "triangle-up"}
OFFSET = 0.29
"""Of an arrow from the middle of its cell, in cells."""
TILES = {
    "wall": "rgba(128, 128, 128, 0.55)",
    "hole": "rgba(70, 70, 90, 0.45)",
    "cliff": "rgba(70, 70, 90, 0.45)",
    "goal": "rgba(60, 170, 90, 0.35)",
    "start": "rgba(128, 128, 128, 0.15)",
}
OTHER_TILE = "rgba(170, 140, 60, 0.3)"


def cells(
    world: WorldMap,
    groups: Sequence[Group],
    values: Sequence[float],
    label: str,
    actions: Sequence[str],
    dark: bool,
    *,
    height: int = 480,
    pale: bool = False,
) -> go.Figure:
    """An arrow a group: it points where the action goes, or where the agent looks; `customdata` is its position.

    Its size says how many records it stands for, its colour and the sign in it which way their mean value goes.

    Args:
        world: the map.
        groups: records by place and action; action -1 stands for all.
        values: of each group; NaN where it is not known.
        label: what the values are called.
        actions: names.
        dark: theme.
        height: pixels.
        pale: whether the values must not look sure.
    """
    colours = theme(dark)
    ways = [_way(world, group) for group in groups]
    steps = [(0, 0) if way is None else STEPS[way] for way in ways]
    counts = np.array([len(group.records) for group in groups])
    known = np.array(values, np.float64)
    limit = influence_limit(known[~np.isnan(known)].astype(np.float32))
    strength = np.sign(known) * (0.35 + 0.65 * np.clip(np.abs(known) / limit, 0, 1))
    rows, columns = len(world.tiles), len(world.tiles[0])
    sizes = (15 + 19 * np.sqrt(counts / counts.max(initial=1))) * min(1.0, 5 / rows, 8 / columns)
    figure = go.Figure(
        go.Scatter(
            x=[group.place.column + OFFSET * step[1] for group, step in zip(groups, steps, strict=True)],
            y=[group.place.row + OFFSET * step[0] for group, step in zip(groups, steps, strict=True)],
            mode="markers+text",
            customdata=list(range(len(groups))),
            marker={
                "symbol": ["circle" if way is None else ARROWS[way] for way in ways],
                "size": sizes,
                "color": np.nan_to_num(strength),
                "colorscale": [(at, _on_page(colour, colours, pale)) for at, colour in colours.diverging],
                "cmin": -1,
                "cmax": 1,
                "line": {"width": 1, "color": "white" if dark else "#333333"},
                "opacity": 1,  # else Plotly draws marks of several sizes half transparent
            },
            text=[_sign(value) for value in known],
            textfont={
                "size": np.clip(0.6 * sizes, 8, 14),
                "color": [ink(_on_page(colours.at(float(np.nan_to_num(s))), colours, pale)) for s in strength],
            },
            textposition="middle center",
            hovertext=[_words(world, group, value, label, actions) for group, value in zip(groups, known, strict=True)],
            hovertemplate="%{hovertext}<extra></extra>",
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 0.35}},
        )
    )
    _draw_map(figure, world)
    axis = {"showgrid": False, "zeroline": False, "showticklabels": False}
    figure.update_xaxes(range=[-0.5, columns - 0.5], constrain="domain", **axis)
    figure.update_yaxes(range=[rows - 0.5, -0.5], scaleanchor="x", constrain="domain", **axis)
    figure.update_layout(dragmode=False, showlegend=False)
    return style(figure, height)


def _on_page(full: str, colours: Theme, pale: bool) -> str:
    """A colour as one sees it: a pale one as it is on the page, also on a map that is darker or brighter."""
    return between(colours.page, full, PALE) if pale else full


def _way(world: WorldMap, group: Group) -> int | None:
    return group.place.heading if world.layout.has_headings else world.layout.moves.get(group.action)


def _sign(value: float) -> str:
    return "" if math.isnan(value) or value == 0 else "<b>+</b>" if value > 0 else "<b>−</b>"


def _words(world: WorldMap, group: Group, value: float, label: str, actions: Sequence[str]) -> str:
    row, column, heading = group.place
    tile = world.tiles[row][column]
    looking = "" if heading is None else f", looking {('right', 'down', 'left', 'up')[heading]}"
    done = "all actions" if group.action < 0 else f"action {actions[group.action].removeprefix('action ')}"
    mean = "not known" if math.isnan(value) else f"{value:+.3g}"
    m = len(group.records)
    return "<br>".join(
        plain(line)
        for line in (
            f"row {row}, column {column}{f' ({tile})' if tile else ''}{looking}",
            done,
            f"{m} record{'s' * (m > 1)}, mean {label} {mean}",
        )
    )


def _draw_map(figure: go.Figure, world: WorldMap) -> None:
    """The environment's own picture, or a square a cell with its name in the corner."""
    rows, columns = len(world.tiles), len(world.tiles[0])
    if world.picture is not None:
        place = {"xref": "x", "yref": "y", "x": -0.5, "y": -0.5, "sizex": columns, "sizey": rows, "sizing": "stretch"}
        figure.add_layout_image(source=Image.fromarray(world.picture), layer="below", **place)
        return
    tiles, words = [], []
    for row, names in enumerate(world.tiles):
        for column, name in enumerate(names):
            ends = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
            fill = TILES.get(name, OTHER_TILE) if name else "rgba(0,0,0,0)"
            tiles.append(
                {"type": "rect", "layer": "below", "line": {"color": MARK, "width": 1}, "fillcolor": fill} | ends
            )
            if name:
                corner = {"x": column - 0.47, "y": row - 0.47, "xanchor": "left", "yanchor": "top", "borderpad": 0}
                words.append({"text": plain(name), "showarrow": False, "font": {"size": 11}} | corner)
    # At once: each that is added is compared with all others.
    figure.layout.shapes, figure.layout.annotations = tiles, words

"""A response as a strip of tokens, coloured by what each of them contributed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.colours import between, ink
from app.charts.theme import Theme, plain, style, theme

CHARACTERS = 104
"""Width of a line."""
LINE_PIXELS = 38
LEAST_PIXELS = 164
"""Room for what is shown under the pointer."""
FAINT = 0.12
"""Of the scale's end: weaker tokens get no triangle."""
LONGEST = 40
"""Characters of a token's text that are shown."""
SIGNS = str.maketrans({"\n": "⏎", "\r": "␍", "\t": "⇥"})
"""Of blanks that would be drawn as others are, or not at all."""
FONT = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


@dataclass(frozen=True)
class Colouring:
    """A number of each token that the strip can be coloured by."""

    name: str
    signed: bool
    """Whether its sign matters; else 0 is the palest."""
    above: str = ""
    """What a positive one means."""
    below: str = ""

    @property
    def title(self) -> str:
        """Beside the scale."""
        return f"{self.name}: ▲ {self.above}, ▼ {self.below}" if self.signed else self.name


COLOURINGS = {
    one.name: one
    for one in (
        Colouring("influence", True, "raised", "lowered"),
        Colouring("advantage", True, "better", "worse"),
        Colouring("KL", True, "likelier", "less likely"),
        Colouring("entropy", False),
    )
}


def token_limit(values: NDArray[np.float32]) -> float:
    """End of the colour scale: the 98th percentile of the tokens' |values|, as for records."""
    size = np.abs(values[np.isfinite(values)])
    limit = float(np.percentile(size, 98)) if len(size) else 0.0
    return limit or float(size.max(initial=0)) or 1.0


def token_strip(
    pieces: Sequence[str],
    places: Sequence[int],
    numbers: Mapping[str, NDArray[Any]],
    by: str,
    limit: float,
    dark: bool,
    marked: tuple[int, int] | None = None,
) -> go.Figure:
    """The tokens in lines like text, each with all its numbers under the pointer; `customdata` is its place.

    Args:
        pieces: (T,) texts of the response's tokens.
        places: (T,) their positions in the record, whose first tokens are the prompt's.
        numbers: name -> (T,) values; `by` among them.
        by: name of the colouring, see `COLOURINGS`.
        limit: end of the colour scale.
        dark: theme.
        marked: first and last place of a stretch that gets a frame.
    """
    colours, colouring = theme(dark), COLOURINGS[by]
    left, width, line = _places(pieces)
    strength = np.clip(np.nan_to_num(numbers[by]) / limit, -1 if colouring.signed else 0, 1)
    ends = _ends(colouring, colours)
    fill = [_between(ends, float(s)) for s in strength]
    figure = go.Figure(
        go.Bar(
            base=left,
            x=width,
            y=line,
            orientation="h",
            width=0.7,
            customdata=list(places),
            text=[plain(_shown(piece)) for piece in pieces],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            constraintext="none",
            textfont={"family": FONT, "size": 13, "color": [ink(colour) for colour in fill]},
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 0.45}},
            marker={"color": fill, "line": {"width": _frames(places, marked), "color": colours.text}},
            hovertext=[
                _said(i, place, piece, numbers) for i, (place, piece) in enumerate(zip(places, pieces, strict=True))
            ],
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,
        )
    )
    if colouring.signed:
        strong = np.flatnonzero(np.abs(strength) >= FAINT)
        figure.add_scatter(
            x=(left + width / 2)[strong],
            y=line[strong] - 0.47,
            mode="markers",
            marker={
                "symbol": np.where(strength[strong] > 0, "triangle-up", "triangle-down"),
                "size": 5 + 3 * np.abs(strength[strong]),
                "color": [ends[2] if s > 0 else ends[0] for s in strength[strong]],
            },
            hoverinfo="skip",
            showlegend=False,
        )
    lines = int(line.max(initial=0)) + 1
    figure.add_scatter(x=[None], y=[None], mode="markers", marker=_scale(colouring, ends, limit), showlegend=False)
    figure.update_layout(
        xaxis={"range": [-0.5, CHARACTERS + 0.5], "visible": False, "fixedrange": True},
        yaxis={
            "range": [max(lines, (LEAST_PIXELS - 78) / LINE_PIXELS) - 0.5, -0.75],
            "visible": False,
            "fixedrange": True,
        },
        bargap=0,
        dragmode=False,
        hovermode="closest",
    )
    style(figure, max(78 + LINE_PIXELS * lines, LEAST_PIXELS))
    figure.update_layout(margin={"t": 52, "b": 0, "l": 0, "r": 0})
    return figure


def _places(pieces: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Left edge, width and line of each token: a space before it is a gap, a line break in it ends the line."""
    places, at, line = [], 0.0, 0
    for piece in pieces:
        gap = 0.9 if piece[:1].isspace() and at else 0.12
        width = min(max(len(_shown(piece)) + 0.9, 1.9), CHARACTERS)
        if at and at + gap + width > CHARACTERS:
            at, gap, line = 0.0, 0.0, line + 1
        places.append((at + gap if at else 0.0, width, line))
        at = places[-1][0] + width
        if "\n" in piece:
            at, line = 0.0, line + 1
    table = np.array(places, float).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2].astype(np.int64)


def _shown(piece: str) -> str:
    """A token's text in one line: signs for its blanks but those within, a dot for a part of a character.

    One blank before a word has no sign: it is the gap to the token before it.
    """
    if not piece:
        return "·"
    text = piece[1:] if re.match(r" \S", piece) else piece
    text = re.sub(r"^ +| +$", lambda blanks: "␣" * len(blanks[0]), text).translate(SIGNS)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _said(position: int, place: int, piece: str, numbers: Mapping[str, NDArray[Any]]) -> str:
    """What is shown under the pointer; two numbers a line, because a strip is not high."""
    said = []
    for name, values in numbers.items():
        value = values[position]
        said.append(f"{plain(name)} {int(value)}" if values.dtype.kind in "iu" else f"{plain(name)} {value:+.4g}")
    pairs = (", ".join(said[i : i + 2]) for i in range(0, len(said), 2))
    return "<br>".join((f"token {place}: <b>{plain(_shown(piece))}</b>", *pairs))


def _frames(places: Sequence[int], marked: tuple[int, int] | None) -> list[float]:
    return [2 if marked is not None and marked[0] <= place <= marked[1] else 0 for place in places]


def _ends(colouring: Colouring, colours: Theme) -> tuple[str, str, str]:
    """Colours of the lowest value, of 0 and of the highest; only what helps or hurts is blue and orange."""
    if colouring.name in ("influence", "advantage"):
        return colours.hurts, colours.neutral, colours.helps
    if colouring.signed:
        return colours.series[5], colours.neutral, colours.selected
    return colours.neutral, colours.neutral, colours.series[2]


def _between(ends: tuple[str, str, str], share: float) -> str:
    """The colour at `share` in [-1, 1] between the ends."""
    return between(ends[1], ends[2] if share >= 0 else ends[0], abs(share))


def _scale(colouring: Colouring, ends: tuple[str, str, str], limit: float) -> dict[str, Any]:
    """The marker that carries the colour scale, a bar above the text."""
    low = -limit if colouring.signed else 0.0
    colours = [(0.0, ends[0]), (0.5, ends[1]), (1.0, ends[2])] if colouring.signed else [(0.0, ends[1]), (1.0, ends[2])]
    return {
        "color": [low, limit],
        "cmin": low,
        "cmax": limit,
        "colorscale": colours,
        "colorbar": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yanchor": "bottom",
            "len": 0.34,
            "thickness": 8,
            "outlinewidth": 0,
            "nticks": 5,
            "ticks": "",
            "title": {"text": colouring.title, "side": "top", "font": {"size": 12}},
            "exponentformat": "power",
        },
    }

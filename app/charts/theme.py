"""Colours and layout that all charts share: blue helps, orange hurts, in light and in dark."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.colours import between, channels


@dataclass(frozen=True)
class Theme:
    """The colours of one theme."""

    helps: str
    hurts: str
    neutral: str
    """Influence 0."""
    text: str
    """Lines that must stand out."""
    page: str
    """What is behind the charts."""
    selected: str
    """What the reader selected."""
    series: tuple[str, ...]
    """Categories, safe for colour-blind readers (Okabe and Ito), none of them blue against orange alone."""

    @property
    def diverging(self) -> list[tuple[float, str]]:
        """Orange through neutral to blue."""
        return [(0.0, self.hurts), (0.5, self.neutral), (1.0, self.helps)]

    def at(self, share: float) -> str:
        """The colour of the diverging scale at a share in [-1, 1] of its end: -1 hurts, 0 is neutral, 1 helps.

        >>> DARK.at(-1.0) == DARK.hurts, DARK.at(0.0) == DARK.neutral
        (True, True)
        """
        return between(self.neutral, self.helps if share > 0 else self.hurts, abs(share))


GRID = "rgba(128, 128, 128, 0.25)"
MARK = "rgba(128, 128, 128, 0.9)"
"""Lines that are read on light and on dark, also when the reader changes the theme of an open page."""
PALE = 0.55
"""Opacity of marks whose influence nobody has measured to be right."""

LIGHT = Theme(
    helps="#1f64b4",
    hurts="#d35400",
    neutral="#d5d8dc",
    text="#1c2028",
    page="#ffffff",
    selected="#6a3d9a",
    series=("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8a6d00", "#595959"),
)
DARK = Theme(
    helps="#62b0ff",
    hurts="#ff9a4d",
    neutral="#4b525e",
    text="#f2f4f8",
    page="#12151b",
    selected="#d9b3ff",
    series=("#56b4e9", "#e69f00", "#2fd6a3", "#e89ac7", "#9ccdf5", "#f0e442", "#b8b8b8"),
)


def theme(dark: bool) -> Theme:
    """The colours of the light or the dark theme."""
    return DARK if dark else LIGHT


def influence_limit(influence: NDArray[np.float32]) -> float:
    """The symmetric end of the colour scale: the 98th percentile of |I|, so that a few outliers don't bleach it.

    What is no number has no say in it.
    """
    size = np.abs(influence[np.isfinite(influence)])
    limit = float(np.percentile(size, 98)) if len(size) else 0.0
    return limit or float(size.max(initial=0)) or 1.0


NUMBERS = 74
"""Pixels of a vertical axis of numbers with its title."""


def label_pixels(names: Iterable[str]) -> int:
    """Pixels of a vertical axis of words, which may have lines in them."""
    return 22 + 6 * max((len(html.unescape(line)) for name in names for line in name.split("<br>")), default=0)


def style(figure: go.Figure, height: int, left: int | None = None) -> go.Figure:
    """Margins, fonts and grids of this house.

    Args:
        figure: the chart, finished but for them: its axes have their titles.
        height: pixels.
        left: pixels of the vertical axis, `NUMBERS` or `label_pixels(...)`: for charts that are drawn anew at every click. None:
            Plotly measures both axes, for which it draws the chart more than once.
    """
    measured = left is None
    below = 48 if any(axis.title.text for axis in figure.select_xaxes()) else 26
    layout = figure.layout  # assigned, not updated: several times faster
    layout.height = height
    layout.margin = {"l": 8, "r": 8, "t": 24, "b": 8} if measured else {"l": left, "r": 8, "t": 24, "b": below}
    layout.font = {"size": 13}
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)"
    layout.legend = {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0}
    layout.hoverlabel = {"align": "left"}
    layout.modebar = {"bgcolor": "rgba(0,0,0,0)", "color": MARK, "activecolor": MARK}
    axes = {"gridcolor": GRID, "zerolinecolor": GRID, "automargin": measured}
    if not measured:
        axes["title.standoff"] = 12
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        for name, value in axes.items():
            axis[name] = value
        axis.exponentformat = "none" if axis.type == "log" else "power"  # Plotly enlarges powers at a logarithmic axis
    return figure


def faint(colour: str) -> str:
    """`#rrggbb`, thin enough for the band around a line of that colour."""
    red, green, blue = channels(colour)
    return f"rgba({red}, {green}, {blue}, 0.16)"


def plain(text: object) -> str:
    """A text as Plotly shows it letter by letter, in labels, titles, hover texts and their templates.

    Plotly reads tags, some named entities (`&quot;` is none of them), `$...$` as a formula and `%{...}` as a field.
    """
    return html.escape(str(text), quote=False).replace("$", "&#36;").replace("{", "&#123;").replace("\n", "<br>")

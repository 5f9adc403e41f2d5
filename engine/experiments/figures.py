"""Figures of a campaign as inline SVG that follows the page's text colour, so that it is readable in light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engine.experiments.plans import STANDARD
from engine.experiments.results import Results

INK = "#010203"
"""Stands for the text colour of the page."""
LOOKS: Mapping[str, tuple[str, Any]] = {
    STANDARD: (INK, "-"),
    "iif 0.0625": ("#5a8f7b", (0, (2, 1))),
    "iif 0.125": ("#1b9e9e", ":"),
    "iif 0.25": ("#2f8fe0", "-."),
    "iif 0.5": ("#4f74e8", "-"),
    "iif 1": ("#a566d6", "--"),
    "iif 0.5 mask": ("#4fa3c9", (0, (5, 1, 1, 1, 1, 1))),
    "iif 1 mask": ("#c77be0", (0, (1, 1))),
    "iif 0.5 tracin_adam": ("#3d9970", (0, (3, 1))),
    "guarded 0.5": ("#c08a14", "--"),
    "guarded 1": ("#dd6b1f", "-"),
    "guarded 0.5 tracin_adam": ("#d9534f", (0, (5, 1, 1, 1))),
    "random": ("#8a8f98", "-"),
    "advantage": ("#6f9a2c", "--"),
    "td_error": ("#c25b8a", ":"),
    "reestimate 0.125": ("#0d8a5f", ":"),
    "reestimate 0.5": ("#b5533c", "-"),
    "reestimate_random 0.125": ("#7d7f3a", ":"),
    "reestimate_random 0.5": ("#8d7a9e", "-"),
    "reestimate 0.5 tracin_adam": ("#c9701f", (0, (3, 1))),
    "reestimate 0.5 monte_carlo": ("#3f8fbf", (0, (1, 1))),
    "reestimate 0.5 half_weight": ("#a3799a", (0, (5, 1, 1, 1))),
    "reestimate_guarded 0.5": ("#5c8a2e", "--"),
}
"""Arm -> colour (at least 3:1 on white and on near-black) and dashes, the second cue."""
OTHER = ("#8a8f98", "-")
WIDTH = 12
"""Inches, which is about the width of the page."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "snapshot-influence",
    "font.family": "sans-serif",
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def curves(results: Results, panels: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Learning curves: mean over the seeds, with a band of one standard error of the mean on either side.

    Args:
        results: one experiment.
        panels: title and arms of each panel; arms without a finished task are left out.
    """
    with mpl.rc_context(STYLE):
        across = min(len(panels), 3) if len(panels) != 4 else 2
        down = -(-len(panels) // across)
        figure = Figure(figsize=(WIDTH / max(2, across) * across, 3.1 * down), layout="constrained")
        axes = figure.subplots(down, across, sharey=True, squeeze=False)
        for (title, arms), ax in zip(panels, axes.flat, strict=True):
            for arm in arms:
                if results.finished[arm]:
                    _curve(ax, arm, results.curves(arm))
            ax.set_title(title)
            ax.set_xlabel("rounds of training")
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, handlelength=2.6)
        for ax in axes[:, 0]:
            ax.set_ylabel("test return")
        return svg(figure)


def _curve(ax: Axes, arm: str, values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    rounds = np.flatnonzero(~np.isnan(values[0]))
    values = values[:, rounds]
    mean, (color, dashes) = values.mean(0), LOOKS.get(arm, OTHER)
    ax.plot(rounds + 1, mean, linestyle=dashes, color=color, label=arm, marker="o" if len(rounds) == 1 else None)
    if len(values) > 1:
        error = values.std(0, ddof=1) / np.sqrt(len(values))
        ax.fill_between(rounds + 1, mean - error, mean + error, color=color, alpha=0.15, linewidth=0)


def differences(rows: Sequence[Mapping[str, Any]], panels: Sequence[tuple[str, str, float]]) -> str:
    """Estimates with their intervals, one row an arm: a full dot where the interval excludes the reference, else a hollow one.

    One seed has no interval.

    Args:
        rows: rows of `summary.SCHEMA`.
        panels: column, title and reference (where there is no difference to PPO) of each panel.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.75 + 0.26 * len(rows)), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for (column, title, reference), ax in zip(panels, axes, strict=True):
            ax.axvline(reference, color=INK, linewidth=0.8, alpha=0.6)
            for place, row in enumerate(rows):
                low, high = row[f"{column}_low"], row[f"{column}_high"]
                color, _ = LOOKS.get(row["arm"], OTHER)
                clear = low is not None and (low > reference or high < reference)
                if low is not None:
                    ax.plot([low, high], [place, place], color=color)
                ax.plot([row[column]], [place], "o", color=color, fillstyle="full" if clear else "none", markersize=6)
            ax.set_title(title)
            ax.spines["left"].set_visible(False)
            ax.tick_params(axis="y", length=0)
        axes[0].set_yticks(range(len(rows)), [row["arm"] for row in rows])
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        return svg(figure)


def svg(figure: Figure) -> str:
    """The figure as an element of an HTML page: no prolog, no metadata, as wide as there is room."""
    sink = io.StringIO()
    figure.savefig(sink, format="svg", transparent=True, metadata={"Date": None})
    text = sink.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'^(<svg[^>]*?) width="([\d.]+)pt" height="[^"]*"', r'\1 style="width:\2pt;max-width:100%"', text)
    return text.replace(INK, "currentColor")

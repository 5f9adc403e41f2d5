"""Figures of the demonstration's results as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from engine.demos.courtesy.experiment.findings import COSTS
from engine.demos.courtesy.experiment.plan import CONDITIONS, RUDE
from engine.demos.courtesy.experiment.results import CourtesyResults
from engine.experiments.figures import INK, OTHER, STYLE, WIDTH, svg
from engine.experiments.plans import STANDARD

LOOKS: Mapping[str, tuple[str, Any]] = {
    STANDARD: (INK, "-"),
    "iif": ("#4f74e8", "-"),
    "random": ("#8a8f98", "--"),
    "reward_threshold": ("#c08a14", "-."),
}
"""Arm -> colour and dashes, the second cue."""


def curves(results: CourtesyResults) -> str:
    """The judged rude rate over rounds, generated sequences and seconds: a row of panels a condition."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.0 * len(CONDITIONS)), layout="constrained")
        axes = figure.subplots(len(CONDITIONS), len(COSTS), sharey=True, squeeze=False)
        for condition, row in zip(CONDITIONS, axes, strict=True):
            for (cost, title), ax in zip(COSTS.items(), row, strict=True):
                for arm in results.plan.arms:
                    if results.finished[condition, arm]:
                        _curve(
                            ax, arm, cost_axis(results, condition, arm, cost), results.column((condition, arm), "rude")
                        )
                ax.axhline(RUDE, color=INK, linewidth=0.8, linestyle=":", alpha=0.7)
                ax.set_xlabel(title)
                ax.set_ylim(bottom=0)
            row[0].set_title(f"{condition} rewards")
            row[0].set_ylabel("rude rate")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels) or 1, handlelength=2.6)
        return svg(figure)


def detection(results: CourtesyResults) -> str:
    """AUC of the planted flips in each round of IIF, by influence and by the reward."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / 2, 2.8), layout="constrained")
        ax = figure.subplots()
        for name, title, (color, dashes) in (
            ("influence", "influence", LOOKS["iif"]),
            ("reward", "reward as training saw it", LOOKS["reward_threshold"]),
        ):
            values = results.column(("flipped", "iif"), f"auc_{name}")[:, 1:]
            rounds = np.arange(1, values.shape[1] + 1)
            ax.plot(rounds, values.mean(0), color=color, linestyle=dashes, label=title)
            ax.fill_between(rounds, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0)
        ax.axhline(0.5, color=INK, linewidth=0.8, linestyle=":", alpha=0.7)
        ax.set_xlabel("round")
        ax.set_ylabel("AUC")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)
        return svg(figure)


def text(results: CourtesyResults) -> str:
    """Fluency, variety and KL after each round: a row of panels a condition."""
    measures = {"fluency": "fluency", "variety": "variety", "kl": "KL to the first policy"}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.6 * len(CONDITIONS)), layout="constrained")
        axes = figure.subplots(len(CONDITIONS), len(measures), sharey="col", squeeze=False)
        for condition, row in zip(CONDITIONS, axes, strict=True):
            for (name, title), ax in zip(measures.items(), row, strict=True):
                for arm in results.plan.arms:
                    if results.finished[condition, arm]:
                        rounds = cost_axis(results, condition, arm, "rounds")
                        _curve(ax, arm, rounds, results.column((condition, arm), name))
                ax.set_title(f"{title}, {condition} rewards")
                ax.set_xlabel("rounds")
                if name != "kl":
                    ax.set_ylim(0, 1.02)
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels) or 1, handlelength=2.6)
        return svg(figure)


def cost_axis(results: CourtesyResults, condition: str, arm: str, cost: str) -> NDArray[np.float64]:
    """(rounds + 1,) what an arm has cost after each round, in one of `COSTS`; mean over seeds."""
    if cost == "rounds":
        return np.arange(results.plan.rounds + 1, dtype=np.float64)
    return np.asarray(results.column((condition, arm), cost).cumsum(1).mean(0))


def _curve(ax: Axes, arm: str, x: NDArray[np.float64], values: NDArray[np.float64]) -> None:
    """Mean over the seeds; the band goes from the lowest to the highest."""
    color, dashes = LOOKS.get(arm, OTHER)
    ax.plot(x, values.mean(0), color=color, linestyle=dashes, label=arm)
    if len(values) > 1:
        ax.fill_between(x, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0)

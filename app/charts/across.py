"""The same intervention at every round: boxes of the change in return, and one box over the rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.charts.theme import MARK, faint, plain, style, theme
from engine.intervention.comparison import verdict_name
from engine.intervention.series_summary import changes

CHOSEN, RANDOM = "without the bottom records", "without as many random ones"
SYMBOLS = {"helps": "triangle-up", "hurts": "triangle-down", "within noise": "circle"}
ASIDE = 0.2
"""How far left and right of its round's place a box stands."""
MOST_LABELS = 24


def changes_in_return(rounds: Sequence[Mapping[str, Any]], dark: bool, returned: str = "return") -> go.Figure:
    """Per round two boxes over the minibatch orders, without the bottom records and without random ones; right, all rounds.

    The marks are means over the orders: ▲ blue where the verdict is helps, ▼ orange where it is hurts, else grey; a click
    on one gives its round. Rounds stand side by side whatever their numbers; a cross is a round that was skipped.

    Args:
        rounds: what a series knows of each.
        dark: theme.
        returned: what it is that changes.
    """
    colours = theme(dark)
    colour = {"helps": colours.helps, "hurts": colours.hurts, "within noise": colours.series[-1]}
    size = 10 if len(rounds) <= 40 else 7
    figure = make_subplots(cols=2, column_widths=[0.84, 0.16], shared_yaxes=True, horizontal_spacing=0.02)
    figure.add_hline(y=0, line={"color": MARK, "width": 1})
    places = {found["round"]: place for place, found in enumerate(rounds)}
    carried_out = [found for found in rounds if "skipped" not in found]
    kinds: list[tuple[str, str | None, str, float, str, str]] = [
        (f"{CHOSEN}: {name}", name, "difference", -ASIDE, SYMBOLS[name], colour[name]) for name in SYMBOLS
    ]
    kinds.append((RANDOM, None, "control", ASIDE, "square-open", MARK))
    means: dict[str, list[tuple[int, float]]] = {"difference": [], "control": []}
    for title, verdict, change, aside, symbol, drawn in kinds:
        shown = [found for found in carried_out if verdict in (None, found["verdict"])]
        values = [changes(found)[change] for found in shown]
        means[change] += [(found["round"], float(each.mean())) for found, each in zip(shown, values, strict=True)]
        at = [places[found["round"]] + aside for found in shown]
        figure.add_box(
            x=[place for place, each in zip(at, values, strict=True) for _ in each],
            y=np.concatenate(values) if values else [],
            width=1.6 * ASIDE,
            line={"color": drawn, "width": 1},
            fillcolor=faint(drawn) if verdict else "rgba(0, 0, 0, 0)",
            boxpoints=False,
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=at,
            y=[float(each.mean()) for each in values],
            mode="markers",
            marker={"symbol": symbol, "size": size, "color": drawn, "line": {"width": 1, "color": drawn}},
            name=title,
            customdata=[found["round"] for found in shown],
            text=[_hover(found) for found in shown],
            hovertemplate="%{text}<extra></extra>",
            showlegend=bool(shown),
        )
    skipped = [found for found in rounds if "skipped" in found]
    if skipped:
        figure.add_scatter(
            x=[places[found["round"]] for found in skipped],
            y=[0.0] * len(skipped),
            mode="markers",
            marker={"symbol": "x-thin-open", "size": size, "color": MARK},
            name="skipped",
            customdata=[found["round"] for found in skipped],
            text=[plain(f"round {found['round']}: {found['skipped']}") for found in skipped],
            hovertemplate="%{text}<extra></extra>",
        )
    for change, title, drawn in (("difference", "bottom", colours.series[0]), ("control", "random", MARK)):
        figure.add_box(
            x=[title] * len(means[change]),
            y=[mean for _, mean in means[change]],
            line={"color": drawn, "width": 1.5},
            fillcolor="rgba(0, 0, 0, 0)",
            marker={"size": 5, "color": drawn},
            boxpoints="all",
            jitter=0.6,
            pointpos=0,
            customdata=[round for round, _ in means[change]],
            text=[f"round {round}: {mean:+.3g}" for round, mean in means[change]],
            hovertemplate="%{text}<extra></extra>",
            hoveron="points",
            showlegend=False,
            row=1,
            col=2,
        )
    numbers = [found["round"] for found in rounds]
    step = -(-len(numbers) // MOST_LABELS)
    figure.update_xaxes(
        title="round",
        tickvals=list(range(0, len(numbers), step)),
        ticktext=numbers[::step],
        range=[-0.8, len(numbers) - 0.2],
        showgrid=False,
        col=1,
    )
    figure.update_xaxes(title="all rounds", showgrid=False, col=2)
    figure.update_yaxes(title=f"change of the mean {returned}", col=1)
    return style(figure, 420)


def _hover(found: Mapping[str, Any]) -> str:
    """What a round's marks say."""
    change, from_control = found["difference"], found["difference_from_control"]
    return "<br>".join(
        (
            plain(f"round {found['round']}: {verdict_name(found['verdict'])}"),
            plain(f"{found['removed_count']} of {found['records']} records removed"),
            f"change {_estimate(change)}",
            f"of a random removal {float(changes(found)['control'].mean()):+.3g}",
            f"between the two {_estimate(from_control)}",
        )
    )


def _estimate(change: Mapping[str, Any]) -> str:
    """Mean (low to high), or the mean alone where it has no interval."""
    interval = "" if change["low"] is None else f" ({change['low']:+.3g} to {change['high']:+.3g})"
    return f"{change['mean']:+.3g}{interval}"

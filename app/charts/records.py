"""The records of one round: scatter coloured by influence, episode strip, action probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from app.charts.theme import MARK, NUMBERS, PALE, Theme, influence_limit, label_pixels, plain, style, theme

HEIGHT = 420
"""Pixels of the scatter: with the answer and the controls above it, it fits a small screen."""
MOST_MARKS = 8_000
"""Of a larger round not every record is drawn."""
MOST_SHAPES = 3_000
"""Fewer marks are drawn sooner as shapes than by WebGL, which has to be set up anew for every drawing."""


def drawn(influence: NDArray[np.float32]) -> NDArray[np.int64]:
    """(m,) places of the records that `scatter` draws: all, or of a large round the strongest and every so many of the rest."""
    if len(influence) <= MOST_MARKS:
        return np.arange(len(influence))
    order = np.argsort(-np.abs(influence), kind="stable")
    half = MOST_MARKS // 2
    rest = np.sort(order[half:])
    spread = rest[np.linspace(0, len(rest) - 1, MOST_MARKS - half).round().astype(np.int64)]
    return np.sort(np.concatenate([order[:half], spread]))


MOST_FRAMED = 100
"""Records of the basket that are framed; frames of more would hide what is in them."""


def scatter(
    fields: Mapping[str, NDArray[Any]],
    x: str,
    y: str,
    dark: bool,
    drag: str = "lasso",
    ringed: tuple[int, NDArray[np.int64]] | None = None,
    selected: Sequence[int] | NDArray[np.int64] = (),
    *,
    word: str = "",
    action_names: Sequence[str] = (),
) -> go.Figure:
    """The records as triangles, up and blue if they raised the target, down and orange if they lowered it.

    Those that `drawn` leaves out of a large round are counted in the chart.

    Args:
        fields: `record`, `influence`, and the columns x and y, (n,) each; where there are `action`, `reward` and `episode`, a
            mark's hover text says them, too.
        x: name of the horizontal field.
        y: name of the vertical field.
        dark: theme.
        drag: what dragging does: `lasso`, `select` or `pan`.
        ringed: the inspected record, which gets a ring, and those of the basket, which get a frame each.
        selected: records; where there are any, the others are pale.
        word: why the influence must not look sure, such as `not measured`: then all is pale, and the word is in the chart.
        action_names: of discrete actions.
    """
    colours = theme(dark)
    limit = influence_limit(fields["influence"])
    places = drawn(fields["influence"])
    influence = fields["influence"][places]
    kind = "scatter" if len(places) <= MOST_SHAPES else "scattergl"
    strength = np.nan_to_num(np.clip(np.abs(influence) / limit, 0, 1))
    # A dict is checked once where a trace object is checked twice, which for thousands of symbols takes longest of all.
    records: dict[str, Any] = {
        "type": kind,
        "x": _numbers(fields[x][places]),
        "y": _numbers(fields[y][places]),
        "mode": "markers",
        "customdata": fields["record"][places],
        "hovertext": _hover(fields, places, action_names),
        "marker": {
            "color": influence,
            "colorscale": colours.diverging,
            "cmin": -limit,
            "cmax": limit,
            "size": 5 + 6 * strength,
            "opacity": PALE if word else 0.85,
            "symbol": np.where(influence >= 0, "triangle-up", "triangle-down"),
            "line": {"width": 0},
            "colorbar": _colour_bar(limit, fields["influence"]),
        },
        "hovertemplate": "<br>".join(
            (
                "record %{customdata}%{hovertext}",
                "influence %{marker.color:+.3g}",
                f"{plain(x)} %{{x{_digits(fields[x])}}}",
                f"{plain(y)} %{{y{_digits(fields[y])}}}<extra></extra>",
            )
        ),
        "unselected": {"marker": {"opacity": 0.12}},
    }
    if len(selected):
        records["selectedpoints"] = np.flatnonzero(np.isin(places, selected)).tolist()
    figure = go.Figure([records, *_rings(fields, x, y, ringed, places, kind, colours)])
    figure.update_layout(dragmode=drag, xaxis_title=plain(x), yaxis_title=plain(y), showlegend=False)
    notes = [f"pale: {word}"] if word else []
    if len(places) < len(fields["influence"]):
        notes.append(
            f"{len(places):,} of {len(fields['influence']):,} records drawn: the strongest {MOST_MARKS // 2:,} and an even "
            "share of the rest"
        )
    if notes:
        figure.add_annotation(
            text=plain("; ".join(notes)),
            showarrow=False,
            xref="paper",
            yref="paper",
            x=0,
            y=1.0,
            xanchor="left",
            yanchor="bottom",
            font={"size": 12},
        )
    return style(figure, HEIGHT, NUMBERS)


def _hover(fields: Mapping[str, NDArray[Any]], places: NDArray[np.int64], action_names: Sequence[str]) -> list[str]:
    """What a mark's hover text says of its record, beside its influence and its place in the chart."""
    if not {"action", "reward", "episode"} <= fields.keys():
        return [""] * len(places)
    action, reward, episode = (fields[name][places].tolist() for name in ("action", "reward", "episode"))
    taken = [plain(action_names[int(i)]) if action_names else f"{i:.3g}" for i in action]
    return [f", episode {e}<br>action {a}<br>reward {r:.4g}" for e, a, r in zip(episode, taken, reward, strict=True)]


def _colour_bar(limit: float, influence: NDArray[np.float32]) -> dict[str, Any]:
    """The scale beside the chart; where it ends before the influence does, its ends say so."""
    is_clipped = bool(np.abs(influence[np.isfinite(influence)]).max(initial=0) > limit)
    low, high = ("≤ ", "≥ ") if is_clipped else ("", "")
    return {
        "title": {"text": "influence: ▲ raised, ▼ lowered", "side": "right"},
        "thickness": 10,
        "outlinewidth": 0,
        "tickvals": [-limit, -limit / 2, 0, limit / 2, limit],
        "ticktext": [f"{low}{-limit:.2g}", f"{-limit / 2:.2g}", "0", f"{limit / 2:+.2g}", f"{high}{limit:+.2g}"],
    }


def _rings(
    fields: Mapping[str, NDArray[Any]],
    x: str,
    y: str,
    ringed: tuple[int, NDArray[np.int64]] | None,
    places: NDArray[np.int64],
    basket_kind: str,
    colours: Theme,
) -> list[dict[str, Any]]:
    """Marks around the basket's records and the inspected one, which are never hit by the mouse."""
    if ringed is None:
        return []
    inspected, basket = ringed
    framed = np.intersect1d(basket, places).astype(int)
    return [
        {
            "type": kind,
            "x": _numbers(fields[x][list(records)]),
            "y": _numbers(fields[y][list(records)]),
            "mode": "markers",
            "hoverinfo": "skip",
            "marker": {"symbol": symbol, "size": size, "color": colour, "line": {"width": width}},
            "unselected": {"marker": {"opacity": 1}},
        }
        for kind, records, symbol, size, width, colour in (
            (basket_kind, framed if len(basket) <= MOST_FRAMED else (), "square-open", 12, 1, colours.selected),
            ("scatter", (inspected,), "circle-open", 18, 2, colours.text),
        )
        if len(records)
    ]


def _digits(values: NDArray[Any]) -> str:
    """How Plotly is to write values of a field: numbers in full, floats with four digits."""
    return ":.4g" if values.dtype.kind == "f" else ""


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.int8) if values.dtype == np.bool_ else values


def probabilities(
    names: Sequence[str], policies: Mapping[str, NDArray[np.float32]], taken: int, dark: bool, why: str = "taken"
) -> go.Figure:
    """pi(.|s) as bars; the action that was taken is filled, the others are outlined. Another policy is a mark on each bar.

    The percentages stand beside the bars, where no mark covers them.

    Args:
        names: of the actions.
        policies: what each policy is called -> (actions,) probabilities; the first one has the bars.
        taken: the action.
        dark: theme.
        why: the action is marked: `taken`, or `asked about`.
    """
    colours = theme(dark)
    (first, values), *others = policies.items()
    percent = [" → ".join(f"{100 * each[i]:.0f}" for each in policies.values()) + " %" for i in range(len(values))]
    filled = [colours.series[0] if i == taken else "rgba(0,0,0,0)" for i in range(len(values))]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=[plain(name) + (f" ({why})" if i == taken else "") for i, name in enumerate(names)],
            orientation="h",
            marker={"color": filled, "line": {"color": colours.series[0], "width": 1.5}},
            text=percent,
            textposition="none",
            hovertemplate=f"%{{y}}, {plain(first)}: %{{x:.4f}}<extra></extra>",
        )
    )
    for name, after in others:
        figure.add_scatter(
            x=after,
            y=figure.data[0].y,
            mode="markers",
            marker={"symbol": "line-ns", "size": 14, "line": {"width": 3, "color": colours.text}},
            hovertemplate=f"%{{y}}, {plain(name)}: %{{x:.4f}}<extra></extra>",
        )
    figure.update_layout(xaxis={"range": [0, 1]}, yaxis={"autorange": "reversed"}, showlegend=False)
    if others:
        figure.update_xaxes(title={"text": "before → after the update", "font": {"size": 12}})
    style(figure, 60 + 22 * bool(others) + 30 * len(values), label_pixels(figure.data[0].y))
    beside = {"xref": "paper", "x": 1, "xanchor": "left", "showarrow": False, "font": {"size": 12}}
    figure.layout.annotations = [{"y": i, "text": text, **beside} for i, text in enumerate(percent)]
    figure.layout.margin.r = 8 + 6 * max(map(len, percent))
    return figure


def influence_strip(
    steps: NDArray[np.int64], influence: NDArray[np.float32], here: int, limit: float, dark: bool, word: str = ""
) -> go.Figure:
    """The influence of an episode's records over its steps, for below its film; arguments as `episode`."""
    figure = go.Figure(_influence_bars(steps, influence, limit, dark, word))
    figure.add_vline(x=here, line={"color": MARK, "width": 1, "dash": "dash"})
    figure.update_xaxes(title="step in episode")
    figure.update_yaxes(title="influence", nticks=4)
    figure.update_layout(bargap=0)
    return style(figure, 170, NUMBERS)


def _influence_bars(
    steps: NDArray[np.int64], influence: NDArray[np.float32], limit: float, dark: bool, word: str
) -> go.Bar:
    return go.Bar(
        x=steps,
        y=influence,
        name="influence",
        opacity=PALE if word else 1.0,
        marker={
            "color": influence,
            "colorscale": theme(dark).diverging,
            "cmin": -limit,
            "cmax": limit,
            "line": {"width": 0},
        },
        showlegend=False,
        hovertemplate="step %{x}: influence %{y:+.3g}<extra></extra>",
    )


def episode(
    steps: NDArray[np.int64],
    influence: NDArray[np.float32],
    value: NDArray[np.float32],
    reward: NDArray[np.float32],
    here: int,
    limit: float,
    dark: bool,
    word: str = "",
) -> go.Figure:
    """The record's episode over time: influence as bars, value and reward as lines, the record marked.

    Args:
        steps: (m,) step in the episode.
        influence: (m,)
        value: (m,) V(s).
        reward: (m,)
        here: the record's step.
        limit: end of the colour scale.
        dark: theme.
        word: why the influence must not look sure; it is pale then.
    """
    colours = theme(dark)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.5, 0.5])
    figure.add_trace(_influence_bars(steps, influence, limit, dark, word), row=1, col=1)
    for name, values, colour, dash in (
        ("value", value, colours.series[2], "solid"),
        ("reward", reward, colours.series[3], "dot"),
    ):
        figure.add_scatter(
            x=steps, y=values, name=name, line={"color": colour, "width": 1.5, "dash": dash}, row=2, col=1
        )
    figure.add_vline(x=here, line={"color": MARK, "width": 1, "dash": "dash"})
    figure.update_xaxes(title="step in episode", row=2)
    figure.update_yaxes(title="influence", row=1)
    figure.update_layout(bargap=0)
    return style(figure, 300, NUMBERS)

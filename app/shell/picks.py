"""What a reader has picked in a chart."""

from __future__ import annotations

from typing import Any

from app.shell import state


def records(key: str) -> list[int]:
    """Record numbers that are picked in the chart `key`."""
    chart = state.get(key)
    points = chart["selection"]["points"] if chart else []
    return [int(point["customdata"]) for point in points if "customdata" in point]


def outlines(key: str) -> list[tuple[list[float], list[float]]]:
    """What was drawn around in the chart `key`: the corners of every lasso and box, across and up."""
    chart = state.get(key)
    drawn = chart["selection"] if chart else {}
    found = [(list(one["x"]), list(one["y"])) for one in drawn.get("lasso", [])]
    for one in drawn.get("box", []):
        (left, right), (low, high) = one["x"], one["y"]
        found.append(([left, right, right, left], [low, low, high, high]))
    return found


def point(key: str) -> Any | None:
    """The custom data of the point that was clicked in the chart `key`."""
    chart = state.get(key)
    points = chart["selection"]["points"] if chart else []
    return points[0].get("customdata") if points else None

"""URL and session state: nobody else touches `st.query_params` or `st.session_state`.

The URL is the view. A key that belongs to it is prepared with `choose` before its widget is drawn with
`bind="query-params"`; from then on the two follow each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st


def choose(key: str, options: Sequence[Any], default: Any, explicit: bool = True) -> None:
    """Give the bound widget `key` a value that is one of `options`: the session's, else the URL's, else `default`.

    A value in the URL that is not an option is named in a warning. `explicit` puts the default into the URL too: for
    defaults that depend on the data, so that a link keeps its meaning. Without it the widget's own default must be
    `default`, and the URL stays short.
    """
    asked = st.query_params.get(key)
    if key in st.session_state:
        if st.session_state[key] not in options:
            st.session_state[key] = default
        return
    if asked is not None and asked not in {str(option) for option in options}:
        shown = ", ".join(str(option) for option in options[:8]) + (", …" if len(options) > 8 else "")
        st.warning(f"{key} {asked!r} is not here; showing {default}. There is {shown}.")
        asked = None
    if asked is None and explicit:
        st.query_params[key] = str(default)
        st.session_state[key] = default


def get(key: str, default: Any = None) -> Any:
    """The value of a widget or of a session key."""
    return st.session_state.get(key, default)


def put(key: str, value: Any) -> None:
    """Set a widget's value; only in a callback, or before the widget is drawn."""
    st.session_state[key] = value


def step(key: str, options: Sequence[Any], by: int) -> None:
    """Move the bound widget `key` to a neighbouring option (a callback)."""
    here = options.index(st.session_state[key])
    st.session_state[key] = options[min(max(here + by, 0), len(options) - 1)]


def asked(key: str) -> str | None:
    """What the URL says of a key that no widget is bound to."""
    return st.query_params.get(key)


def selected_records(key: str) -> list[int]:
    """Record numbers selected in the chart `key`."""
    chart = st.session_state.get(key)
    points = chart["selection"]["points"] if chart else []
    return [int(point["customdata"]) for point in points if "customdata" in point]


def selected_point(key: str) -> Any | None:
    """The custom data of the point that was clicked in the chart `key`."""
    chart = st.session_state.get(key)
    points = chart["selection"]["points"] if chart else []
    return points[0].get("customdata") if points else None


def selected_rows(key: str) -> list[int]:
    """Positions of the rows selected in the table `key`."""
    table = st.session_state.get(key)
    return list(table["selection"]["rows"]) if table else []


def forget_rows(keys: Sequence[str], view: str) -> None:
    """Clear the row selections of tables when `view`, which says what the tables show, is not what it was.

    Streamlit keeps selected positions when the rows beneath them change.
    """
    for key in keys:
        seen = f"view of {key}"
        if st.session_state.get(seen) != view:
            if key in st.session_state:
                st.session_state[key] = {"selection": {"rows": [], "columns": [], "cells": []}}
            st.session_state[seen] = view


def generation(key: str) -> str:
    """A widget key that changes with `next_generation`: the way to clear a selection."""
    return f"{key}_{st.session_state.get(f'generation_{key}', 0)}"


def next_generation(key: str) -> None:
    """Forget the selection made in the widget that `generation(key)` names."""
    st.session_state[f"generation_{key}"] = st.session_state.get(f"generation_{key}", 0) + 1


def is_dark() -> bool:
    """Whether the reader's theme is dark."""
    return st.context.theme.type == "dark"

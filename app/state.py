"""URL and session state: nobody else touches `st.query_params` or `st.session_state`.

The URL is the view. A page calls `choose` for each of its keys before it draws the widget of that key, and the entry
file calls `publish` at the end. A value comes, in this order, from a URL that changed (a link, the Back button), from
the widget, from what was chosen on another page, from the default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app.text import escape, spans

_SEEN = "what the URL said"
_KEPT = "what was chosen"
_SCOPES = "what a choice was about"
_SHOWN = "what the URL is to say"
_PAGE = "page"


def enter(page: str) -> None:
    """Begin a run of the page `page`."""
    st.session_state[_SHOWN] = {}
    seen = st.session_state.setdefault(_SEEN, {})
    if seen.get(_PAGE) != page:
        st.session_state[_SEEN] = {_PAGE: page}


def choose(key: str, options: Sequence[Any], default: Any, *, always: bool = False, scope: str = "") -> Any:
    """Decide the value of the widget `key`, which is drawn next; returns it.

    Args:
        key: of the widget, and in the URL.
        options: what it may be. A value in the URL that is none of them is named in a warning.
        default: what it is if nobody chose.
        always: put it into the URL also if it is the default: for defaults that depend on what runs there are.
        scope: what the choice is about; a choice made about something else is forgotten.
    """
    said, seen = st.query_params.get(key), st.session_state[_SEEN]
    kept = st.session_state.setdefault(_KEPT, {})
    scopes = st.session_state.setdefault(_SCOPES, {})
    value = st.session_state.get(key, kept.get(key))
    if scopes.setdefault(key, scope) != scope:
        scopes[key], value = scope, None
    if said is not None and said != seen.get(key):
        value = next((option for option in options if str(option) == said), None)
        if value is None:
            st.warning(escape(f"{key} {said!r} is not here; showing {default}. There is {spans(options)}."))
    elif said is None and key in seen:
        value = default
    if value is None or value not in options:
        value = default
    st.session_state[key] = kept[key] = value
    if always or value != default:
        st.session_state[_SHOWN][key] = str(value)
    return value


def choose_text(key: str, default: str) -> None:
    """`choose` for a text input, which may say anything and is always in the URL."""
    said, seen = st.query_params.get(key), st.session_state[_SEEN]
    value = said if said is not None and said != seen.get(key) else st.session_state.get(key, default)
    st.session_state[key] = value
    st.session_state[_SHOWN][key] = value


def publish() -> None:
    """Write the chosen values into the URL, at once and only if they changed."""
    shown, seen = st.session_state[_SHOWN], st.session_state[_SEEN]
    for key in seen.keys() - shown.keys() - {_PAGE}:
        if key in st.query_params:
            del st.query_params[key]
    changed = {key: value for key, value in shown.items() if st.query_params.get_all(key) != [value]}
    if changed:
        st.query_params.update(changed)
    st.session_state[_SEEN] = {_PAGE: seen[_PAGE], **shown}


def get(key: str, default: Any = None) -> Any:
    """The value of a widget or of a session key."""
    return st.session_state.get(key, default)


def put(values: Mapping[str, Any]) -> None:
    """Set widgets' values; only in a callback, or before the widgets are drawn."""
    for key, value in values.items():
        st.session_state[key] = value


def step(key: str, options: Sequence[Any], by: int) -> None:
    """Move the widget `key` to a neighbouring option (a callback)."""
    here = options.index(st.session_state[key])
    st.session_state[key] = options[min(max(here + by, 0), len(options) - 1)]


def asked(key: str) -> str | None:
    """What the URL says of a key."""
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

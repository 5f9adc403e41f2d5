"""URL and session state: nobody else touches `st.query_params` or `st.session_state`.

The URL is the view. A page calls `choose` for each of its keys before it draws the widget of that key, and the entry
file calls `publish` at the end. A value comes, in this order, from a URL that changed (a link, the Back button), from
the widget, from what was chosen on another page, from the default.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from app.shell.text import escape, spans

LAG_SECONDS = 1.0
"""Within this time after the URL was told something new, the old URL is news of nothing."""

_LAST = "the last published view"
_RUN = "this run of a page"
_KEPT = "what was chosen, and what it was about"
_ROWS = "the rows of "


@dataclass
class _View:
    """What the URL said, and what it is to say, in one run of a page."""

    page: str
    asked: dict[str, str] = field(default_factory=dict)
    """The URL as the run found it."""
    chosen: set[str] = field(default_factory=set)
    """Keys that the page has."""
    shown: dict[str, str] = field(default_factory=dict)
    """What the URL is to say."""
    published: float = 0.0
    """When the URL was told, if it was."""

    def is_fresh(self) -> bool:
        """Whether the browser may not have heard of the view yet."""
        return time.monotonic() - self.published < LAG_SECONDS


def enter(page: str) -> None:
    """Begin a run of the page `page`."""
    view = _View(page, {key: st.query_params.get_all(key)[-1] for key in st.query_params})
    last: _View | None = st.session_state.get(_LAST)
    if last is not None and last.page == page and view.asked == last.asked and (_touched(last) or last.is_fresh()):
        # The browser asked for this run before it heard of the view that was published last: that the URL still says
        # what it said before that view does not mean that somebody went back.
        view.asked = {key: value for key, value in view.asked.items() if key not in last.chosen} | last.shown
    st.session_state[_RUN] = view


def _touched(last: _View) -> bool:
    """Whether a widget has changed since the view was published."""
    kept = st.session_state.get(_KEPT, {})
    return any(
        key in st.session_state and (key not in kept or st.session_state[key] != kept[key][0]) for key in last.chosen
    )


def choose(key: str, options: Sequence[Any], default: Any, *, always: bool = False, scope: str = "") -> Any:
    """Decide the value of the widget `key`, which is drawn next; returns it.

    Args:
        key: of the widget, and in the URL.
        options: what it may be. A value in the URL that is none of them is named in a warning.
        default: what it is if nobody chose.
        always: put it into the URL also if it is the default: for defaults that depend on what runs there are.
        scope: what the choice is about; a choice made about something else is forgotten.
    """
    said, value = _news(key, scope)
    if said is not None:
        value = next((option for option in options if str(option) == said), None)
        if value is None:
            st.warning(escape(f"{key} {said[:80]!r} is not here; showing {default}. There is {spans(options)}."))
    if value is None or value not in options:
        value = default
    _decide(key, value, scope, always or value != default)
    return value


def choose_many(key: str, options: Sequence[str], default: Sequence[str], *, scope: str = "") -> list[str]:
    """`choose` for a widget with several values, which the URL names as `listed` does."""
    said, value = _news(key, scope)
    if said is not None:
        words = [_one_of(options, word) for word in said.split(",") if word]
        unknown = [word for word in words if word not in options]
        if unknown:
            st.warning(escape(f"{key} {unknown[0][:80]!r} is not here. There is {spans(options)}."))
        value = [word for word in words if word in options]
    value = [one for one in default if one in options] if value is None else [one for one in value if one in options]
    _decide(key, value, scope, value != list(default), listed(value))
    return value


def listed(values: Iterable[str]) -> str:
    """Several values as the URL names them: with commas between them, those within them written as %2C.

    >>> listed(["lr=1,seed=0", "50%"])
    'lr=1%2Cseed=0,50%25'
    """
    return ",".join(value.replace("%", "%25").replace(",", "%2C") for value in values)


def _one_of(options: Sequence[str], word: str) -> str:
    """The value that a word of `listed` means; an older link has it as it is."""
    value = word.replace("%2C", ",").replace("%25", "%")
    return value if value in options else word


def choose_text(key: str, default: str, *, scope: str = "") -> str:
    """`choose` for a text input, which may say anything; in the URL unless it is empty."""
    said, value = _news(key, scope)
    value = default if said is None and value is None else said if said is not None else str(value)
    _decide(key, value, scope, bool(value))
    return value


def _news(key: str, scope: str) -> tuple[str | None, Any]:
    """What a changed URL says of the key (a link, Back), and else what was chosen before."""
    view, last = st.session_state[_RUN], st.session_state.get(_LAST)
    kept, kept_scope = st.session_state.setdefault(_KEPT, {}).get(key, (None, scope))
    said = view.asked.get(key)
    published = last.shown.get(key) if last is not None and last.page == view.page and key in last.chosen else None
    if said is not None and said != published:
        return said, None
    if said is None and published is not None:  # Back to a view that did not name it
        return None, None
    return None, st.session_state.get(key, kept) if kept_scope == scope else None


def _decide(key: str, value: Any, scope: str, shown: bool, text: str | None = None) -> None:
    view = st.session_state[_RUN]
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value
    st.session_state[_KEPT][key] = value, scope
    view.chosen.add(key)
    view.shown.pop(key, None)
    if shown:
        view.shown[key] = str(value) if text is None else text


@contextmanager
def fragment() -> Iterator[None]:
    """A part of a page that may be drawn again by itself (a fragment): its choices reach the URL, too."""
    last: _View = st.session_state[_RUN]
    if last is not st.session_state.get(_LAST):  # the whole page is being drawn
        yield
        return
    others = {key: values[-1] for key, values in _in_url().items() if key not in last.chosen}
    shown = dict(last.shown)
    st.session_state[_RUN] = _View(last.page, {**others, **shown}, set(last.chosen), shown)
    try:
        yield
    finally:
        publish()


def publish() -> None:
    """Write the chosen values into the URL, all at once and only if they changed."""
    view = st.session_state[_RUN]
    now = _in_url()
    others = {key: values for key, values in now.items() if key not in view.chosen}
    wanted = {key: [value] for key, value in view.shown.items()} | others
    if wanted != now:
        st.query_params.from_dict(wanted)
        view.published = time.monotonic()
    st.session_state[_LAST] = view


def _in_url() -> dict[str, list[str]]:
    return {key: st.query_params.get_all(key) for key in st.query_params}


def get(key: str, default: Any = None) -> Any:
    """The value of a widget, also of one that another page draws."""
    kept = st.session_state.get(_KEPT, {}).get(key)
    return st.session_state.get(key, default if kept is None else kept[0])


def put(values: Mapping[str, Any]) -> None:
    """Set widgets' values; only in a callback, or before the widgets are drawn.

    Such a choice is about what is shown, whatever the one before it was about.
    """
    kept = st.session_state.get(_KEPT, {})
    for key, value in values.items():
        st.session_state[key] = value
        kept.pop(key, None)


def step(key: str, options: Sequence[Any], by: int) -> None:
    """Move the widget `key` to a neighbouring option (a callback)."""
    here = options.index(st.session_state[key])
    st.session_state[key] = options[min(max(here + by, 0), len(options) - 1)]


def asked(key: str) -> str | None:
    """What the URL says of a key."""
    return st.query_params.get(key)


def expected(key: str) -> Any:
    """What `choose` is going to find for a key, for what is drawn before the page's controls are."""
    last, said = st.session_state.get(_LAST), asked(key)
    is_news = said is not None and (last is None or said != last.shown.get(key))
    return said if is_news else get(key, said)


def selected_records(key: str) -> list[int]:
    """Record numbers selected in the chart `key`."""
    chart = st.session_state.get(key)
    points = chart["selection"]["points"] if chart else []
    return [int(point["customdata"]) for point in points if "customdata" in point]


def selected_outlines(key: str) -> list[tuple[list[float], list[float]]]:
    """What was drawn around in the chart `key`: the corners of every lasso and box, across and up."""
    chart = st.session_state.get(key)
    drawn = chart["selection"] if chart else {}
    outlines = [(list(one["x"]), list(one["y"])) for one in drawn.get("lasso", [])]
    for one in drawn.get("box", []):
        (left, right), (low, high) = one["x"], one["y"]
        outlines.append(([left, right, right, left], [low, low, high, high]))
    return outlines


def selected_point(key: str) -> Any | None:
    """The custom data of the point that was clicked in the chart `key`."""
    chart = st.session_state.get(key)
    points = chart["selection"]["points"] if chart else []
    return points[0].get("customdata") if points else None


def follow_rows(key: str, rows: Sequence[Hashable], wanted: Collection[Hashable] | None = None) -> None:
    """Say what the rows of the table `key`, which is drawn next, are: ticks stay with what they were set on.

    Streamlit keeps the positions of ticks when the rows beneath them change.

    Args:
        key: of a table with `on_select`.
        rows: what each row is, unlike any other row that the table may ever show: a record with its round, say.
        wanted: what is to have a tick; by default what had one, as far as it is here.
    """
    wanted = ticked(key) if wanted is None else wanted
    st.session_state[_ROWS + key] = list(rows)
    positions = [position for position, row in enumerate(rows) if row in wanted]
    if _positions(key) != positions:
        st.session_state[key] = {"selection": {"rows": positions, "columns": [], "cells": []}}


def ticked(key: str) -> list[Any]:
    """What has a tick in the table `key`, in the words of `follow_rows`; in a callback as it is since the click."""
    rows = st.session_state.get(_ROWS + key, [])
    return [rows[position] for position in _positions(key) if position < len(rows)]


def _positions(key: str) -> list[int]:
    table = st.session_state.get(key)
    return sorted(table["selection"]["rows"]) if table else []


def is_dark() -> bool:
    """Whether the reader's theme is dark."""
    return st.context.theme.type == "dark"

"""URL and session state: nobody else touches `st.query_params` or `st.session_state`.

The URL is the view. A page calls `choose` for each of its keys before it draws the widget of that key, and the entry
file draws it within `run_of`, which tells the URL at the end. A value comes, in this order, from an address that
somebody opened (a link, the Back button), from the widget, from what was chosen on another page, from the default.

Pages are drawn anew by clicks, timers and jobs, often before they are finished. What an unfinished run has sent may never
reach the browser, and the browser asks with what it knew at the time: an older address, or widgets as they were before they
were set here. So an address counts when it is opened, and for each key until that key was chosen; and a widget that was
set is set again, and what it was before is no news, until the browser has heard of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import streamlit as st
from streamlit.runtime.scriptrunner import RerunException, StopException, get_script_run_ctx

from app.shell.text import escape, spans

LAG_SECONDS = 3.0
"""So long after a page was drawn a browser may still say what a widget was before it was set."""
ADDRESS_SECONDS = 60.0
"""So long after the URL was told something new a browser that has not asked with it yet may still ask with the one before."""

_SESSION = "what is known of this session"
_ROWS = "the rows of "
_ANYTHING = "whatever it is about"
"""The scope of what a button chose."""

Address = frozenset[tuple[str, str]]


@dataclass
class _View:
    """What the URL is to say of a run of a page."""

    page: str
    chosen: set[str] = field(default_factory=set)
    """Keys that the page has."""
    shown: dict[str, str] = field(default_factory=dict)
    """Those that the URL is to name."""


@dataclass
class _Set:
    """A widget that was set here, maybe several times before the browser heard of it."""

    values: list[Any]
    """What it was, and last what it is."""
    until: float = math.inf
    """When a browser no longer says what it was; known once a page was drawn with it."""


@dataclass
class _Session:
    """What is remembered from run to run."""

    page: str | None = None
    """The one that is open."""
    told: dict[Address, float] = field(default_factory=dict)
    """Addresses that the browser had on this page, and until when it may ask with them."""
    unheard: dict[str, str | None] = field(default_factory=dict)
    """What the address that was opened says, of keys that were not chosen since; None: nothing, and so the default."""
    bar_differs: bool = False
    """Whether the address bar may show another address than the browser asked with, as after a link from a page to itself."""
    kept: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """What was chosen, and what it was about."""
    pages: dict[str, set[str]] = field(default_factory=dict)
    """Pages that have a key, as far as it was chosen there."""
    set: dict[str, _Set] = field(default_factory=dict)
    view: _View = field(default_factory=lambda: _View(""))
    """Of the run that goes on, or of the last one."""
    published: _View | None = None
    """The one that the URL was told last."""

    def has(self, address: Address) -> None:
        """Remember that the browser has this address now."""
        now = time.monotonic()
        before = {known: min(until, now + ADDRESS_SECONDS) for known, until in self.told.items() if until > now}
        self.told = {**before, address: math.inf}


@contextmanager
def run_of(page: str) -> Iterator[None]:
    """A run of the page `page`."""
    enter(page)
    with _told():
        yield


@contextmanager
def _told() -> Iterator[None]:
    """The URL is told what was shown, unless the run was broken off or is begun anew."""
    try:
        yield
    except (RerunException, StopException):
        raise
    except BaseException:
        publish(to_the_end=False)
        raise
    publish()


def enter(page: str) -> None:
    """Begin a run of the page `page`."""
    mine, address = _mine(), _address()
    goes_back, elsewhere = _goes_back(), page != mine.page
    if elsewhere:
        mine.page, mine.told = page, {}
    if elsewhere or _is_opened(address):
        # an address of the past brings back defaults, too
        mine.unheard = {**(dict.fromkeys(mine.kept) if goes_back else {}), **dict(address)}
        mine.bar_differs = goes_back or not elsewhere
        mine.set.clear()
        mine.has(address)
    _hear()
    mine.view = _View(page)


def _address() -> Address:
    return frozenset((key, st.query_params.get_all(key)[-1]) for key in st.query_params)


def _is_opened(address: Address) -> bool:
    """Whether somebody opened this address, other than that a browser still asks with it."""
    return _goes_back() or _mine().told.get(address, 0.0) <= time.monotonic()


def _goes_back() -> bool:
    """Whether somebody went back, or forward, in the browser's history."""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and context.is_history_navigation


def _hear() -> None:
    """Take what the browser asks with for heard: what was set and drawn, and the address that was told last."""
    context, mine, address = get_script_run_ctx(suppress_warning=True), _mine(), _address()
    if mine.told.get(address) == math.inf:
        mine.told = {address: math.inf}
    asked = [widget.id for widget in context.session_state.get_widget_states()] if context else []
    for key, one in list(mine.set.items()):
        is_drawn, is_said = one.until < math.inf, any(id.endswith(f"-{key}") for id in asked)
        if is_drawn and is_said and st.session_state.get(key) == one.values[-1]:
            del mine.set[key]


def _mine() -> _Session:
    """What is remembered of the session that asks."""
    found: _Session = st.session_state.setdefault(_SESSION, _Session())
    return found


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
    value = default if value is None or value not in options else value
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
    """What an address that was opened says of the key, and else what was chosen before."""
    mine = _mine()
    if key in mine.unheard:
        return mine.unheard.pop(key), None
    about = mine.kept.get(key, (None, scope))[1]
    return None, get(key) if about in (scope, _ANYTHING) else None


def _decide(key: str, value: Any, scope: str, shown: bool, text: str | None = None) -> None:
    mine = _mine()
    _set(key, value)
    mine.kept[key] = value, scope
    keep(key)
    mine.view.chosen.add(key)
    mine.view.shown.pop(key, None)
    if shown:
        mine.view.shown[key] = str(value) if text is None else text


def _set(key: str, value: Any, before: Any = None) -> None:
    """Set a widget, unless the browser is known to show that value.

    Args:
        key: of the widget.
        value: what it is to be.
        before: what the browser shows where nothing is known of the widget.
    """
    mine = _mine()
    now = st.session_state.get(key, before)
    if now != value or key not in st.session_state:
        get(key)  # forgets what is over
        is_unheard = key in mine.set and time.monotonic() < mine.set[key].until
        known = mine.set[key].values if is_unheard else [now]
        mine.set[key] = _Set([*known, value])
    elif key not in mine.set and mine.published is not None and mine.published.page == mine.view.page:
        return  # another page's widget of that key does not hand its value on
    st.session_state[key] = value


@contextmanager
def fragment() -> Iterator[None]:
    """A part of a page that may be drawn again by itself (a fragment): its choices reach the URL, too."""
    mine = _mine()
    if mine.view is not mine.published:  # the whole page is being drawn
        yield
        return
    _hear()
    mine.view = _View(mine.view.page, set(mine.view.chosen), dict(mine.view.shown))
    with _told():
        yield


def publish(*, to_the_end: bool = True) -> None:
    """Write the chosen values into the URL, all at once and only if they changed.

    A page that was drawn `to_the_end` takes out what only others have: going back, a browser may ask with what they wrote late.
    """
    mine = _mine()
    now = {key: st.query_params.get_all(key) for key in st.query_params}
    strays = {key for key, pages in mine.pages.items() if to_the_end and mine.view.page not in pages}
    others = {key: values for key, values in now.items() if key not in mine.view.chosen | strays}
    wanted = {key: [value] for key, value in mine.view.shown.items()} | others
    if wanted != now or mine.bar_differs:
        st.query_params.from_dict(wanted)
        mine.has(frozenset((key, values[-1]) for key, values in wanted.items()))
        mine.bar_differs = False
    for one in mine.set.values():
        one.until = min(one.until, time.monotonic() + LAG_SECONDS)
    mine.published = mine.view


def stop() -> NoReturn:
    """End the run of a page here. After `st.stop` a run can't tell the URL anything: so it is told before."""
    publish(to_the_end=False)
    st.stop()


def get(key: str, default: Any = None) -> Any:
    """The value of a widget, also of one that another page draws."""
    mine = _mine()
    kept = mine.kept[key][0] if key in mine.kept else default
    value = st.session_state.get(key, kept)
    if key not in mine.set or value == mine.set[key].values[-1]:
        return value
    if value in mine.set[key].values and time.monotonic() < mine.set[key].until:
        return mine.set[key].values[-1]
    del mine.set[key]
    return value


def put(values: Mapping[str, Any]) -> None:
    """Set widgets' values; only in a callback, or before the widgets are drawn.

    Such a choice is about what is shown, whatever the one before it was about.
    """
    mine = _mine()
    for key, value in values.items():
        _set(key, value)
        mine.unheard.pop(key, None)
        if key in mine.kept:
            mine.kept[key] = value, _ANYTHING


def step(key: str, options: Sequence[Any], by: int) -> None:
    """Move the widget `key` to a neighbouring option (a callback).

    Args:
        key: of the widget.
        options: what it may be, in order.
        by: how many options further; it stays among them.
    """
    unheard = _mine().set.get(key)
    shown = st.session_state.get(key)
    # a browser that is busy hears late: a press means what was set last, however long ago that was
    here = options.index(unheard.values[-1] if unheard is not None and shown in unheard.values else get(key))
    put({key: options[min(max(here + by, 0), len(options) - 1)]})


def asked(key: str) -> str | None:
    """What the URL says of a key."""
    return st.query_params.get(key)


def keep(key: str) -> None:
    """Say that a key belongs to this page though no widget shows it: the URL goes on saying what it says of it."""
    _mine().pages.setdefault(key, set()).add(_mine().view.page)


def wanted(key: str) -> Any | None:
    """What `choose` would take next, whether or not it is there; None where nobody chose."""
    unheard = _mine().unheard
    return unheard[key] if key in unheard else get(key)


def expected(key: str) -> Any | None:
    """What the page that is about to be drawn will find for a key, for what is drawn before it is known which page that is."""
    said = asked(key)
    return said if said is not None and _is_opened(_address()) else get(key, said)


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
    _set(key, _with_ticks([position for position, row in enumerate(rows) if row in wanted]), _with_ticks([]))


def ticked(key: str) -> list[Any]:
    """What has a tick in the table `key`, in the words of `follow_rows`; in a callback as it is since the click."""
    rows, table = st.session_state.get(_ROWS + key, []), get(key)
    return [rows[position] for position in sorted(table["selection"]["rows"] if table else []) if position < len(rows)]


def _with_ticks(positions: list[int]) -> dict[str, Any]:
    """A table's state."""
    return {"selection": {"rows": positions, "columns": [], "cells": []}}


def is_dark() -> bool:
    """Whether the reader's theme is dark."""
    return st.context.theme.type == "dark"

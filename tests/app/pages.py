"""How tests look at the dashboard's pages without a browser, and do what a person does there."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from reading import as_read
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]
Open = Callable[..., AppTest]
FIRST = "tracin_adam"
"""The estimator that pages begin with where it takes no time."""
SEEN = {"run": "cartpole", "round": "2"}
"""Where a test stands that changes its own copy of a run."""

_CLOCK = itertools.count(1)
"""Every press is later than all before it."""


def pick(app: AppTest, key: str, *marks: int) -> AppTest:
    """Select the marks with this `customdata` in the Plotly chart `key`, as the browser would report it."""
    picked = {"points": [{"customdata": mark} for mark in marks], "point_indices": [], "box": [], "lasso": []}
    return _selected(app, app.get("plotly_chart"), key, picked)


def tick(app: AppTest, key: str, *rows: int) -> AppTest:
    """Select these rows, and no others, in the table `key`, as the browser would report it."""
    return _selected(app, app.dataframe, key, {"rows": rows, "columns": [], "cells": []})


def press(app: AppTest, *keys: str) -> AppTest:
    """Press these buttons of which every press counts, one after another, as the browser would report it all at once."""
    pressed, states = [(next(_CLOCK), key) for key in keys], app._tree.get_widget_states()
    for key in dict.fromkeys(keys):
        said = {"presses": [time for time, one in pressed if one == key]}
        states.widgets.add(id=_to_press(app, key).id, json_value=json.dumps(said))
    return app._run(states)


def help_of(app: AppTest, key: str) -> str:
    """What the browser is told to say on hover of a button of which every press counts."""
    told = _to_press(app, key)
    return str(json.loads(told.mixed.json or told.json)["help"])


def _to_press(app: AppTest, key: str) -> Any:
    return next(one.proto for one in app.get("bidi_component") if one.proto.id.endswith(f"-{key}"))


def _selected(app: AppTest, elements: Iterable[Any], key: str, selection: object) -> AppTest:
    element = next(element for element in elements if element.proto.id.endswith(f"-{key}"))
    states = app._tree.get_widget_states()
    states.widgets.add(id=element.proto.id, string_value=json.dumps({"selection": selection}))
    return app._run(states)


def errors(app: AppTest) -> list[str]:
    assert not app.exception, app.exception[0].value
    return [as_read(error.value) for error in app.error]


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.warning)
    return " ".join(as_read(element.value) for kind in kinds for element in kind)


def explains_its_commit(app: AppTest) -> bool:
    """Whether the line that says where the numbers come from says on hover what a commit and a seed are."""
    [line] = [caption for caption in app.caption if "· commit " in as_read(caption.value)]
    return all(f"**{word}**" in line.help for word in ("seed", "commit"))


def figure(app: AppTest, key: str) -> Any:
    """The drawn chart of that key."""
    chart = next(chart for chart in app.get("plotly_chart") if f"-{key}" in chart.proto.id)
    return json.loads(chart.proto.spec)


def listed(app: AppTest) -> Any:
    """The list of sequences."""
    return next(frame.value for frame in app.dataframe if frame.key == "sequences_table")


def numbers(values: Any) -> list[float]:
    """A column of a chart, which is sent as bytes where it was an array."""
    if not isinstance(values, dict):
        return list(values)
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()


def button(app: AppTest, key: str) -> str:
    """What the button of that key says."""
    return str(next(button.label for button in app.button if button.key == key))

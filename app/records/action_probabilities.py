"""What the policy would do in a state, before and after the round's update, beside what was done."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.charts import records as charts
from app.shell import loaders, page, state
from app.shell.chart import draw_chart
from app.shell.text import escape
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

BEFORE, AFTER = "before the update", "after it"
MOST_COMPONENTS = 3
"""Components of a continuous action that are named in a line."""


def draw(
    run: Run,
    snapshot: ControlSnapshot,
    where: int | NDArray[Any],
    taken: Any,
    key: str,
    *,
    mode_bar: bool = True,
) -> None:
    """Bars of pi(.|s), or a table of a Gaussian's components.

    Args:
        run: the run.
        snapshot: its round.
        where: a record's number, or (1, ...) a typed observation.
        taken: the action that was taken there, or is asked about.
        key: begins the keys of what is drawn.
        mode_bar: whether the chart has Plotly's buttons.
    """
    found = loaders.policies_in(run, snapshot, where)
    space = run.manifest.action_space
    of, why = (f"the state of record {where}", "taken") if isinstance(where, int) else ("the typed state", "asked")
    if isinstance(found, str):
        st.info(escape(found), icon=":material/info:")
        return
    if space.kind == "discrete":
        names = page.action_names(run)
        draw_chart(
            charts.probabilities(
                names, dict(zip((BEFORE, AFTER), found, strict=False)), int(taken), state.is_dark(), why
            ),
            key=f"{key}_probabilities",
            config={} if mode_bar else {"displayModeBar": False},
            alt=f"Action probabilities in {of}, before and after the update; {names[int(taken)]} is marked",
        )
        return
    half = len(found[0]) // 2
    after = {"mean after": found[1][:half], "std after": found[1][half:]} if len(found) > 1 else {}
    st.dataframe(
        pd.DataFrame(
            {"mean": found[0][:half], "std": found[0][half:], **after, why: np.ravel(taken)},
            index=list(space.component_names),
        ),
        key=f"{key}_distribution",
        alt=f"Mean and standard deviation of each component of the action in {of}, and the action itself",
    )


def in_words(run: Run, snapshot: ControlSnapshot, where: int | NDArray[Any], taken: Any) -> str:
    """The action by its name and how likely the policy was to take it: `left engine (62 %)`. Arguments as `draw`."""
    if run.manifest.action_space.kind != "discrete":
        names, values = run.manifest.action_space.component_names, np.ravel(taken).tolist()
        parts = [f"{name} {value:+.2f}" for name, value in zip(names, values, strict=True)]
        return ", ".join(parts[:MOST_COMPONENTS]) + (", …" if len(parts) > MOST_COMPONENTS else "")
    name, found = page.action_names(run)[int(taken)], loaders.policies_in(run, snapshot, where)
    return name if isinstance(found, str) else f"{name} ({100 * float(found[0][int(taken)]):.0f} %)"

"""What the policy of the round would do in a record's state, beside what was done."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.charts import records as charts
from app.shell import loaders, page, state
from app.shell.text import escape
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run


def draw(run: Run, snapshot: ControlSnapshot, record: int, key: str, *, mode_bar: bool = True) -> None:
    """Bars of pi(.|s), or a table of a Gaussian's components.

    Args:
        run: the run.
        snapshot: its round.
        record: its number.
        key: begins the keys of what is drawn.
        mode_bar: whether the chart has Plotly's buttons.
    """
    values, taken = loaders.action_distribution(snapshot, record), snapshot.buffer.action[record]
    space = run.manifest.action_space
    if isinstance(values, str):
        st.info(escape(values), icon=":material/info:")
        return
    if space.kind == "discrete":
        names = page.action_names(run)
        st.plotly_chart(
            charts.probabilities(names, [float(value) for value in values], int(taken), state.is_dark()),
            key=f"{key}_probabilities",
            config={} if mode_bar else {"displayModeBar": False},
            alt=f"Action probabilities in the state of record {record}; {names[int(taken)]} was taken",
        )
        return
    half = len(values) // 2
    st.dataframe(
        pd.DataFrame({"mean": values[:half], "std": values[half:], "taken": taken}, index=list(space.component_names)),
        key=f"{key}_distribution",
        alt="Mean and standard deviation of each component of the action, and what was taken",
    )

"""A table of the top or of the bottom records; its ticks are the selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.scores import target_controls
from app.shell import selection, state
from app.shell.glossary import meaning
from app.shell.text import signed_format
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

COLUMNS = ("record", "influence", "action", "advantage", "reward", "value", "episode", "step in episode")
SHORT = 4
"""Numbers of an observation up to which the table has them."""


def table(
    records: NDArray[Any], fields: Mapping[str, NDArray[Any]], action_names: Sequence[str], states: Sequence[str] = ()
) -> pd.DataFrame:
    """What is shown of records; discrete actions by their names, and the states in words where they have some."""
    shown = pd.DataFrame({name: fields[name][records] for name in COLUMNS})
    if action_names:
        shown["action"] = [action_names[int(i)] for i in shown["action"]]
    if states:
        shown.insert(2, "state", list(states))
    return shown


def states_in_words(snapshot: ControlSnapshot, records: NDArray[Any]) -> list[str]:
    """The states of records as short texts: a discrete one's name or number, or a few numbers; none where they are long."""
    space, observation = snapshot.shown
    if space.encoder in ("image", "parts"):
        return []
    if space.kind == "discrete":
        named = len(space.names) == space.n
        return [f"{i}: {space.names[i]}" if named else str(i) for i in observation[records].tolist()]
    if space.size > SHORT:
        return []
    return [", ".join(f"{x:.2g}" for x in row) for row in observation[records].reshape(len(records), -1).tolist()]


def draw(
    key: str,
    did: str,
    records: NDArray[Any],
    run: Run,
    snapshot: ControlSnapshot,
    fields: dict[str, NDArray[Any]],
    action_names: list[str],
    word: str,
) -> None:
    """The table, with the selected records ticked; pale and with the word where the influence must not look sure."""
    shown = table(records, fields, action_names, states_in_words(snapshot, records))
    several = any(name.startswith("action: ") for name in fields)
    if len(shown) == 0:
        st.info(f"No record of this round {did.removesuffix(' most')}.", icon=":material/info:")
        return
    state.follow_rows(key, records.tolist(), set(selection.current(run, snapshot).tolist()))
    with st.container(key=f"{'pale' if word else 'sure'}_{key}"):
        st.dataframe(
            shown,
            key=key,
            hide_index=True,
            height=38 * 9,
            on_select=lambda: _tick(run, snapshot, records, state.ticked(key)),
            selection_mode="multi-row",
            column_config={
                "record": st.column_config.NumberColumn(width=56),
                "influence": st.column_config.NumberColumn(
                    format=signed_format(fields["influence"]), width=74, help=meaning("influence")
                ),
                "state": st.column_config.TextColumn(width=130),
                "action": st.column_config.Column("|action|" if several else None, width=80),
                "advantage": st.column_config.NumberColumn(format="%.3f", width=76, help=meaning("advantage")),
                "reward": st.column_config.NumberColumn(format="%.3f", width=64),
                "value": st.column_config.NumberColumn(format="%.2f", width=56, help=meaning("value")),
                "episode": st.column_config.NumberColumn(width=62),
                "step in episode": st.column_config.NumberColumn("step", help="step in the episode", width=46),
            },
            alt=f"Table of the records that {did}" + (f", {word}" if word else ""),
        )


def _tick(run: Run, snapshot: ControlSnapshot, records: NDArray[Any], ticked: list[int]) -> None:
    """Let the ticks of a table's records say which of them are selected; a record just ticked is inspected (a callback)."""
    before = set(selection.current(run, snapshot).tolist())
    selection.choose(run, snapshot, (before - set(records.tolist())) | set(ticked))
    new = [record for record in ticked if record not in before]
    if new:
        state.put({"inspect": new[-1]})
        target_controls.follow(new)

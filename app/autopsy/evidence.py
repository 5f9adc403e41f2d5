"""What an autopsy's verdict rests on: the change on common seeds, the arms, and what was left out."""

from __future__ import annotations

from contextlib import nullcontext

import pandas as pd
import streamlit as st

from app.charts import autopsy as charts
from app.shell import downloads, state
from app.shell.chart import draw_chart
from app.shell.glossary import explained
from app.shell.text import escape
from engine.intervention.autopsy.autopsy_result import Autopsy
from engine.intervention.autopsy.wording import (
    ABOUT_RECORDS,
    ARMS,
    CAUSES,
    ON_RECORDS,
    how_compared,
    rows_of_arms,
    rows_on_records,
    training_change,
    was_it_real,
    why_no_arms,
)
from engine.store.words import counted


def draw_change(found: Autopsy) -> None:
    """Whether it was real: the return of training beside the change on common seeds."""
    st.subheader("Was it real?", anchor=False, help=explained("common seeds", "not real"))
    real = found.real
    if real is None:
        st.markdown(escape(found.not_measured if found.failed else "The return is not measured here."))
        _draw_on_records(found)
        for name, why in found.left_out.items():
            st.caption(f"Left out: {escape(name)}, because {escape(why)}.")
        return
    st.markdown(escape(was_it_real(real, found.round)))
    trained = training_change(real)
    rows = {} if trained is None else {f"training, round {found.round} to {found.round + 1}": trained}
    rows[f"{real.episodes} common seeds"] = real.change
    draw_chart(
        charts.changes(rows, state.is_dark()),
        key="autopsy_change",
        config=downloads.chart(f"{found.run}-round-{found.round}-change"),
        alt="Change of the return with its interval, of training and on common seeds",
    )
    st.caption(
        "Training: two standard errors of the difference of the two rounds' means. Common seeds: 95 % t interval of the paired "
        "differences."
    )


def _draw_on_records(found: Autopsy) -> None:
    """What replays say of later records, where nothing can be played."""
    if not found.on_records:
        return
    with st.container(key="autopsy_on_records", gap="small"):
        st.dataframe(
            table_on_records(found),
            hide_index=True,
            height="content",
            alt="What the update changed on the records of later rounds, as recorded and replayed otherwise",
        )
        st.caption(escape(ABOUT_RECORDS))


def draw_arms(found: Autopsy) -> None:
    """What would have prevented it: the arms, and those that can't be had."""
    with st.container(key="autopsy_arms", gap="small"):
        st.subheader(
            "What would have prevented it?", anchor=False, help=explained("arm", *CAUSES.values(), "unexplained")
        )
        if found.arms:
            draw_chart(
                charts.arms(found.arms, CAUSES, found.recorded, state.is_dark()),
                key="autopsy_arms_chart",
                config=downloads.chart(f"{found.run}-round-{found.round}-arms"),
                alt="Mean return of each arm with its interval, beside the policies before and after the update",
            )
            st.caption(
                f"Mean and 95 % t interval over the times; {found.recorded[0].episodes} episodes each, on the same seeds as the "
                "two policies. The arms in bold decide on their causes."
            )
            with st.expander("The arms in numbers", icon=":material/table:"):
                st.dataframe(table(found), hide_index=True, height="content", alt="The arms in numbers")
                st.caption(escape(how_compared(found)))
        else:
            st.markdown(escape(why_no_arms(found)))
        with st.expander(f"Left out: {counted(len(found.left_out), 'arm')}") if found.left_out else nullcontext():
            for name, why in found.left_out.items():
                st.caption(f"{escape(name)}: {escape(why)}.")


def draw_next(found: Autopsy) -> None:
    """One thing to try."""
    if found.next:
        st.subheader("Try next", anchor=False)
        st.code(found.next, language="bash", wrap_lines=True)


def table_on_records(found: Autopsy) -> pd.DataFrame:
    """One row an update and a later round."""
    return pd.DataFrame(rows_on_records(found), columns=list(ON_RECORDS))


def table(found: Autopsy) -> pd.DataFrame:
    """One row an arm, by the cause that it asks for."""
    return pd.DataFrame(rows_of_arms(found), columns=list(ARMS))

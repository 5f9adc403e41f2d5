"""The answer of an autopsy, and the checks of the record."""

from __future__ import annotations

from contextlib import nullcontext

import pandas as pd
import streamlit as st

from app.shell import kinds, page, selection, state
from app.shell.glossary import explained
from app.shell.text import escape
from engine.analysis.checks.checked import Check
from engine.intervention.autopsy.autopsy_result import NOT_YET, Autopsy
from engine.intervention.autopsy.wording import ANSWERS, CAUSES, how_played, whose_doing
from engine.store.read import Run
from engine.store.snapshot import Snapshot
from engine.store.words import counted

TO_RECORDS = "views/{view}.py"


def draw(found: Autopsy, run: Run, snapshot: Snapshot) -> None:
    """The verdict in words, and where its numbers come from."""
    with st.container(key="autopsy_verdict", gap="small"):
        is_bad = bool(found.failed) or (found.real is not None and found.verdict != "not real")
        icon = ":material/report:" if is_bad else ":material/info:" if found.real is None else ":material/check_circle:"
        box = st.warning if is_bad else st.info if found.real is None else st.success
        box(f"**{escape(_label(found))}.** {escape(found.sentence)}", icon=icon)
        made = page.provenance(run, snapshot, *filter(None, [how_played(found)]))
        st.caption(f"{escape(whose_doing(found.round))} {escape(made)}", help=explained("seed", "commit"))


def _label(found: Autopsy) -> str:
    """The verdict in a word or two."""
    if found.real is None and not found.failed:
        return "Not played yet" if found.unplayed == NOT_YET else "Nothing played"
    if found.waits and found.verdict == "unexplained":
        return "A real fall"
    if found.verdict == "not real":  # of a change that may well be one for the better
        return "No real fall"
    label = found.verdict if found.failed else CAUSES.get(found.verdict, found.verdict)
    return f"{label[:1].upper()}{label[1:]}"


def draw_failed(found: Autopsy, run: Run, snapshot: Snapshot) -> None:
    """The checks that found a fault, with a way to the records that are at fault; the verdict has the first one's words."""
    for check in found.failed:
        with st.container(key=f"failed_{check.name.replace(' ', '_')}", gap="small"):
            if check is not found.failed[0]:
                st.markdown(f":material/error: **{escape(check.name)}**: {escape(check.sentence)}")
            _to_records(check, run, snapshot)


def _to_records(check: Check, run: Run, snapshot: Snapshot) -> None:
    pages = kinds.shown(run).pages
    if not pages or not check.records:
        return
    pressed = st.button(
        f"Select {counted(len(check.records), 'record')} on {pages[0].title}",
        key=f"to_{check.name.replace(' ', '_')}",
        icon=pages[0].icon,
        on_click=page.careful(selection.choose),
        args=(run, snapshot, check.records),
    )
    if pressed:
        st.switch_page(
            TO_RECORDS.format(view=pages[0].view),
            query_params={"run": str(state.get("run")), "round": str(snapshot.round)},
        )


def draw_checks(found: Autopsy) -> None:
    """How many of the checks passed, and all of them in a table."""
    passed, unknown = (sum(check.ok is answer for check in found.checks) for answer in (True, None))
    can_not = f", {unknown} can't be told" if unknown else ""
    st.subheader("Is the round what it claims to be?", anchor=False)
    st.caption(f"{passed} of {len(found.checks)} checks of its record passed{can_not}. Nothing is played for them.")
    with nullcontext() if found.waits else st.expander("All checks", icon=":material/checklist:", key="autopsy_checks"):
        st.dataframe(
            table(found),
            hide_index=True,
            height="content",
            column_config={"why": st.column_config.TextColumn(width="large")},
            alt="What was asked of the record, the answer, and why",
        )


def table(found: Autopsy) -> pd.DataFrame:
    """One row a check."""
    return pd.DataFrame(
        [{"asked": check.name, "answer": ANSWERS[check.ok], "why": check.what} for check in found.checks]
    )

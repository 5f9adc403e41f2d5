"""Runs: what this is, four doors, and what is here."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from app.runs import doors, edit_notes, runs_table
from app.runs.folder_watch import watch
from app.runs.listed import Listed, fingerprint, listed
from app.shell import kinds, loaders, page, state
from app.shell.text import escape
from engine.store.words import counted

NAME = "Snapshot Influence"
SENTENCE = "Which experiences made your agent behave as it does, and what would have happened without them?"
HOW_TO = "Tick a row to open the run, two or more to compare them; click a column heading to sort."
ALL = "all"
READ_SECONDS = 0.4  # of reading runs, before the first picture
INTERVENTIONS = kinds.Page("interventions", "what was removed, and what came of it")
TABLE = "runs_table"
_STYLE = "<style>.st-key-ticked_runs {min-height: 2.6rem}</style>"  # as high with ticks as without


def filters(runs: Sequence[Listed]) -> tuple[list[Listed], str]:
    """The controls above the table; the runs that they leave, and how many that are."""
    environments = [ALL, *sorted({run.row.env_id for run in runs if run.row})]
    tags = [ALL, *tags_of(runs)]
    with st.container(horizontal=True, vertical_alignment="bottom", key="runs_filters"):
        state.choose_text("search", "")
        words = st.text_input("Search", key="search", placeholder="part of a run's name", width=260)
        state.choose("environment", environments, ALL)
        environment = st.selectbox("Environment", environments, key="environment", width=220)
        state.choose("tag", tags, ALL)
        tag = st.selectbox("Tag", tags, key="tag", width=160) if len(tags) > 1 else ALL
        state.choose("branches", [False, True], False)
        branches = st.toggle("Show branches", key="branches")
        state.choose("archived", [False, True], False)
        archived = any(run.notes.archived for run in runs) and st.toggle("Show archived", key="archived")
    hidden: dict[str, list[Listed]] = {"filters": [], "branch": [], "archived": []}
    shown = []
    for run in runs:
        if not _fits(run, words or "", environment, tag):
            hidden["filters"].append(run)
        elif run.is_branch and not branches:
            hidden["branch"].append(run)
        elif run.notes.archived and not archived:
            hidden["archived"].append(run)
        else:
            shown.append(run)
    return shown, how_many(len(shown), *(len(hidden[why]) for why in ("branch", "archived", "filters")))


def how_many(shown: int, branches: int, archived: int, filtered: int) -> str:
    """What the table shows, what it does not, and what a tick does."""
    hidden = [
        f"{number:,} {what}"
        for number, what in (
            (branches, "branch" if branches == 1 else "branches"),
            (archived, "archived"),
            (filtered, "filtered out"),
        )
        if number
    ]
    without = f" (hidden: {', '.join(hidden)})" if hidden else ""
    return f"{counted(shown, 'run')}{without}. {HOW_TO}"


def _fits(run: Listed, words: str, environment: str, tag: str) -> bool:
    named = any(words.casefold() in name.casefold() for name in (run.name, run.notes.name))
    at_home = environment == ALL or (run.row is not None and run.row.env_id == environment)
    return named and at_home and (tag == ALL or tag in run.notes.tags)


def tags_of(runs: Sequence[Listed]) -> list[str]:
    """The tags that runs have, sorted."""
    return sorted({tag for run in runs for tag in run.notes.tags})


def ticked() -> list[str]:
    """Ids of the runs whose rows are ticked."""
    return list(map(str, state.ticked(TABLE)))


def open_row() -> None:
    """Make the ticked run the one that every page shows; several are there to be compared."""
    if len(ticked()) == 1:
        state.put({"run": ticked()[0]})


def opened(names: Sequence[str]) -> str:
    """Id of the run that was opened, here or on another page; empty if there is none."""
    asked = state.get("run") or state.asked("run")
    if not asked:
        return ""
    if asked not in names:
        st.warning(escape(f"The run {asked[:80]!r} is not here."), icon=":material/info:")
        return ""
    return str(state.choose("run", ["", *names], ""))


def draw_table(runs: Sequence[Listed]) -> None:
    """The rows; a tick opens a run."""
    state.follow_rows(TABLE, [run.name for run in runs])
    st.dataframe(
        runs_table.table(runs),
        key=TABLE,
        height=runs_table.HEIGHT if len(runs) * 35 + 38 > runs_table.HEIGHT else "content",
        hide_index=True,
        on_select=open_row,
        selection_mode="multi-row",
        column_config=runs_table.columns(),
        placeholder="",  # of what is not known
        alt="Table of the recorded runs",
    )


def draw_ticked(runs: Sequence[Listed], tags: Sequence[str], said: str) -> None:
    """How many runs there are, and what can be done with the ticked ones."""
    if len(runs) == 1:
        st.page_link(
            f"views/{kinds.TIMELINE.view}.py",
            label=f"Open {kinds.TIMELINE.title}",
            icon=kinds.TIMELINE.icon,
            query_params={"run": runs[0].name},
        )
    if len(runs) > 1:
        st.page_link(
            "views/compare_runs.py",
            label=f"Compare these {len(runs)} runs",
            icon=":material/compare_arrows:",
            query_params={"runs": state.listed([run.name for run in runs])},
        )
    if runs:
        edit_notes.draw(runs, tags)
    st.caption(said, width="stretch")  # last: the table's own buttons may lie over the end of the line


def draw_opened(run: Listed) -> None:
    """Links to the pages about the run that is open."""
    about = kinds.KINDS.get(run.row.kind, kinds.Shown()).pages if run.row else ()
    st.markdown(f"**{escape(run.title)}** is open:")
    with st.container(horizontal=True):
        for one in (kinds.TIMELINE, *about, INTERVENTIONS):
            st.page_link(f"views/{one.view}.py", label=f"{one.title}: {one.why}", query_params={"run": run.name})


def draw_problems(runs: Sequence[Listed]) -> None:
    """A line for each run, and for each run's notes, that can't be read."""
    for run in runs:
        if run.problem:
            st.error(escape(f"{run.name}: {run.problem}"), icon=":material/error:")
        if run.damaged_notes:
            said = f"{run.name}: {run.damaged_notes}. It is shown without name and tags; what you write next takes its place."
            st.warning(escape(said), icon=":material/info:")


def draw_runs(runs: Sequence[Listed], run: str) -> None:
    """The table with what belongs to it."""
    readable = [each for each in runs if not each.problem]
    shown, said = filters(readable)
    st.html(_STYLE)
    line = st.container(horizontal=True, vertical_alignment="center", key="ticked_runs")
    draw_table(shown)
    with line:
        chosen = {*ticked()}
        draw_ticked([each for each in shown if each.name in chosen], tags_of(readable), said)
    if not shown:
        st.info("No run matches these filters; clear the search or choose another environment.", icon=":material/info:")
    draw_problems(runs)
    for each in readable:
        if each.name == run:
            draw_opened(each)


def main() -> None:
    """The page."""
    begun = time.perf_counter()
    here = loaders.runs_by_folder()
    drawn = fingerprint(here)
    look_seconds = time.perf_counter() - begun
    found, left = listed(here, READ_SECONDS)
    st.subheader(NAME, anchor=False)
    st.markdown(SENTENCE)
    run = opened([each.name for each in found])
    doors.draw(doors.doors([each for each in found if not each.notes.archived], run, loaders.ROOT / "sample_runs"))
    if found:
        draw_runs(found, run)
    else:
        page.how_to_record()
    watch(drawn, look_seconds, left, len(found))


main()

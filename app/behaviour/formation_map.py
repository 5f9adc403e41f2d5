"""Formation on the Timeline: which actions' records pushed the return. It is filled in while the page is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from app.charts import formation_map as charts
from app.shell import downloads, page, state, timed
from app.shell.cached import cached
from app.shell.chart import draw_chart
from app.shell.filling import Filling
from app.shell.text import escape
from engine.analysis.behaviour import influence_by_action, unread
from engine.analysis.round_by_round import RoundByRound, coarse_to_fine
from engine.core.estimators.registry import DEFAULT_ESTIMATOR
from engine.store.read import Run

SLICE_SECONDS = 0.5
"""Of work, between which the page says how far it is."""
REDRAWN = 1.6
"""The map is drawn anew when so many times more rounds are known."""
EVERY = "every_round_formed"


@cached(max_entries=16)
def formed(run: Run) -> Filling[RoundByRound[tuple[float, ...]]]:
    """What is known of a run's rounds, in memory or in the run's cache."""
    return Filling(influence_by_action(run, DEFAULT_ESTIMATOR))


def order_of(columns: Sequence[Sequence[int]], important: Sequence[int]) -> list[int]:
    """A round of every column, in the order in which they are looked at: those that are important, then coarse to fine.

    >>> order_of([[0, 1], [2, 3], [4, 5]], important=[2])
    [2, 5, 1]
    """
    here = {number: i for i, column in enumerate(columns) for number in column}
    first: dict[int, int] = {}
    for number in important:
        if number in here:
            first.setdefault(here[number], number)
    newest = coarse_to_fine([column[-1] for column in reversed(columns)])
    return [*first.values(), *(number for number in newest if here[number] not in first)]


def draw(run: Run, important: Sequence[int], chosen: int, open_round: Callable[[str], None]) -> None:
    """The map, as far as it is known, and what fills it in.

    Args:
        run: with records, of a Discrete space.
        important: rounds that are looked at before the others, the first one first.
        chosen: the round whose column is marked.
        open_round: what a click on the chart of that key does (a callback).
    """
    found = formed(run)
    columns = charts.stretches(run.stored_rounds)
    state.choose(EVERY, [False, True], False)
    wanted = run.stored_rounds if state.get(EVERY) else order_of(columns, important)
    if not found.rounds.found:
        found.advance(SLICE_SECONDS, wanted)
    for line in unread(found.rounds.failed):
        st.warning(escape(line), icon=":material/info:")
    if found.rounds.found:
        draw_chart(
            charts.formation_map(columns, dict(found.rounds.found), page.action_names(run), chosen, state.is_dark()),
            key="formation",
            config=downloads.chart(f"{run.name}-formation"),
            on_select=lambda: open_round("formation"),
            selection_mode="points",
            alt="Heatmap of summed influence by action and round",
        )
    if len(columns) < len(run.stored_rounds):
        _every(found, len(columns))
    if waiting(found, wanted):
        _progress(found, wanted, len(found.rounds.found))


def _every(found: Filling[RoundByRound[tuple[float, ...]]], columns: int) -> None:
    """What a column is, and a way to ask all of its rounds."""
    done, total = found.rounds.progress
    left = found.seconds_left
    takes = "" if left is None or not found.rounds.missing else f", about {left:.0f} s"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"A column is a stretch of some {total // columns} rounds, and the mean of those that were asked: "
            f"{done:,} of {total:,}."
        )
        st.toggle(f"Ask every round{takes}", key=EVERY, help="What was found is kept.")


def waiting(found: Filling[RoundByRound[tuple[float, ...]]], wanted: Sequence[int]) -> int:
    """How many of these rounds are still to be looked at."""
    return len({*wanted} & {*found.rounds.missing})


@timed.every(SLICE_SECONDS + 0.1)
def _progress(found: Filling[RoundByRound[tuple[float, ...]]], wanted: Sequence[int], drawn: int) -> None:
    """Look at more rounds; the page is drawn anew when there is much more to be seen than was `drawn`, and at the end."""
    found.advance(SLICE_SECONDS, wanted)
    left = waiting(found, wanted)
    if not left or len(found.rounds.found) > REDRAWN * drawn:
        st.rerun()
    st.progress(1 - left / len(wanted), f"computing influence: {len(wanted) - left:,} of {len(wanted):,} rounds")

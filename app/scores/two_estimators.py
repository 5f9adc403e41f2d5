"""Two estimators on the same records: where they agree, and where the choice between them matters."""

from __future__ import annotations

import math
from collections.abc import Callable

import streamlit as st

from app.charts import estimators as charts
from app.scores import background
from app.shell import picks, state
from app.shell.chart import draw_chart
from app.shell.text import escape
from engine.core.estimators.registry import ESTIMATORS
from engine.core.faithfulness.compared import Overlap, compare_rankings
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.store.read import Run
from engine.store.snapshot import Snapshot

LARGEST_K = 500


def draw(run: Run, snapshot: Snapshot, target: Target, scores: Scores, on_pick: Callable[[int], None]) -> None:
    """The panel, folded.

    Args:
        run: the run.
        snapshot: its round.
        target: what the scores are about.
        scores: of the estimator that the page shows.
        on_pick: told which record was clicked (in a callback).
    """
    others = [name for name in ESTIMATORS.of(snapshot) if name != scores.estimator]
    if not others:
        return
    panel = st.expander("Two estimators' rankings", key="compare_estimators", on_change="rerun")
    if panel.open:
        with panel:
            _panel(run, snapshot, target, scores, others, on_pick)


def _panel(
    run: Run, snapshot: Snapshot, target: Target, scores: Scores, others: list[str], on_pick: Callable[[int], None]
) -> None:
    n = len(snapshot.buffer)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.choose("other_estimator", others, others[-2] if len(others) > 2 else others[-1])
        name = str(st.selectbox("With", others, key="other_estimator", width=180))
        largest = max(1, min(LARGEST_K, n // 2))
        state.choose("overlap_k", range(1, largest + 1), min(100, largest))
        k = int(st.slider("Top and bottom k", 1, largest, key="overlap_k", width=320)) if largest > 1 else 1
    other = background.scores(run, snapshot, target, name, scores.orders, key="other")
    if other is None:
        return
    found = compare_rankings(scores.influence, other.influence, k)
    draw_chart(
        charts.rank_scatter(scores.influence, other.influence, (scores.estimator, name), k, state.is_dark()),
        key="rank_scatter",
        on_select=lambda: _pick(on_pick),
        selection_mode="points",
        config={"displaylogo": False},
        alt=f"Scatter of {n} records: rank by {name} against rank by {scores.estimator}; on the diagonal they agree",
    )
    if math.isnan(found.spearman):
        st.markdown("One of them gives all records the same influence, so there is no rank correlation.")
    else:
        st.markdown(f"**Rank correlation {found.spearman:+.2f}** (Spearman): {_meaning(found.spearman)}.")
    st.markdown(
        f"Top {k}: {_shared(found.top)}.  \nBottom {k}: {_shared(found.bottom)}.  \n"
        f"They agree on the sign of **{found.same_sign:.0%}** of the records."
    )
    st.caption(
        f"{escape(scores.estimator)} and {escape(name)}, {background.averaged(scores.orders)}. Rank 1, at the top "
        "right, raised the target most. In the framed corners: records among the top (blue) and the bottom (orange) of both. "
        "Click a mark to look at its record. That two agree does not make them right: *Can these scores be trusted?* "
        "measures that."
    )


def _pick(on_pick: Callable[[int], None]) -> None:
    if records := picks.records("rank_scatter"):
        on_pick(records[-1])


def _shared(overlap: Overlap) -> str:
    if not overlap.of:
        return "one of them has no such record"
    return f"**{overlap.shared} of {overlap.of}** records are the same; by chance it would be about {overlap.by_chance:.0f}"


def _meaning(correlation: float) -> str:
    if correlation >= 0.9:
        return "they put the records into nearly the same order"
    if correlation >= 0.5:
        return "they agree on the whole"
    if correlation > 0.1:
        return "they agree little"
    return "they are unrelated" if correlation >= -0.1 else "they contradict each other"

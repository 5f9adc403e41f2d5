"""What do the bottom records have in common? The list in plain words, and what influence goes with."""

from __future__ import annotations

import streamlit as st

from app.charts import diagnosis as charts
from app.diagnosis.marks import OnPick, picker
from app.shell import state
from app.shell.chart import draw_chart
from app.shell.text import escape
from engine.analysis.diagnosis import FRACTION, Diagnosis, Trait

FRACTIONS = (0.01, 0.05, FRACTION, 0.25, 0.5)
FEW = 5
"""Traits that are shown at least, certain or not."""


def chosen_fraction() -> float:
    """Draw the control that says which share of the records is the bottom."""
    state.choose("fraction", FRACTIONS, FRACTION)
    return float(
        st.selectbox(
            "Bottom", FRACTIONS, key="fraction", width=110, format_func="{:.0%}".format,
            help="The share of the records that are the bottom: those that lowered the target most.",
        ) or FRACTION
    )  # fmt: skip


def draw(found: Diagnosis, source: str, on_pick: OnPick) -> None:
    """The tab.

    Args:
        found: the comparison.
        source: where the numbers come from.
        on_pick: told what was clicked.
    """
    n, m = found.ranked, len(found.bottom)
    if m == 0:
        st.info("No record of this round lowered the target, so there are no bottom records.", icon=":material/info:")
        return
    certain = found.in_common
    traits = shown(found)
    list_, correlations = st.columns([3, 2], gap="medium")
    with list_:
        if certain:
            st.markdown(f"**The {m} bottom records, compared with the other {n - m}**")
        else:
            st.markdown(
                f"**Nothing tells the {m} bottom records from the other {n - m} with certainty.** The largest differences:"
            )
        draw_chart(
            charts.effect_sizes(traits, state.is_dark()),
            key="in_common",
            on_select=picker("in_common", lambda mark: _bearing(found, mark), on_pick),
            selection_mode="points",
            config={"displayModeBar": False},
            alt="What the bottom records have in common, largest effect first: "
            + "; ".join(trait.sentence for trait in traits),
        )
    with correlations:
        st.markdown("**Influence goes with:**")
        draw_chart(
            charts.rank_correlations(found.correlations, state.is_dark()),
            key="correlations",
            config={"displayModeBar": False},
            alt="Rank correlation of influence with every field: "
            + "; ".join(f"{name} {each.value:+.2f}" for name, each in found.correlations.items()),
        )
    for note in found.notes:
        st.markdown(f":material/info: {escape(note[:1].upper() + note[1:])}.")
    st.caption(
        "Effect size: Cliff's delta, 1 where every bottom record has more of it than every other, −1 where less; for a share, "
        f"the difference of the shares. Its interval counts {found.cluster}s, not records, and holds at 95 % for all "
        f"{len(found.traits)} fields at once; {len(found.traits) - len(certain)} of them do not tell the bottom records from "
        "the rest. An outlined bar may be chance. Click a bar for the bottom records on its side. Correlations: Spearman, "
        f"95 % intervals by resampling {found.cluster}s; filled marks leave no doubt "
        f"about the sign. {escape(source)}"
    )


def shown(found: Diagnosis) -> tuple[Trait, ...]:
    """The traits that are certain, and where those are few the largest others."""
    others = [trait for trait in found.traits if not trait.certain]
    return (*found.in_common, *others[: max(0, FEW - len(found.in_common))])


def _bearing(found: Diagnosis, mark: int) -> list[int]:
    """The bottom records that bear the clicked trait out, the worst one last."""
    traits = shown(found)
    return found.bearing(traits[mark])[::-1].tolist() if mark < len(traits) else []

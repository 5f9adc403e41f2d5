"""What influence is made of: the terms of the records' objective, and the layers of the policy that they moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from app.scores import background
from app.shell.text import escape, signed_format
from engine.core.estimators.sums import sum_of
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.store.read import Run
from engine.store.snapshot import Float32s, Snapshot


def by_term(scores: Scores, records: Sequence[int]) -> str:
    """`actor +0.1 · critic +0 · entropy -0.02`: sums over records; Markdown."""
    return " · ".join(f"{escape(term)} {sum_of(part, records):+.3g}" for term, part in scores.terms.items())


def draw(run: Run, snapshot: Snapshot, target: Target, scores: Scores, records: Sequence[int]) -> None:
    """The panel, folded.

    Args:
        run: the run.
        snapshot: its round.
        target: what the scores are about.
        scores: influence of its records.
        records: that are selected.
    """
    panel = st.expander("By term and layer", key="parts_panel", on_change="rerun")
    if not panel.open:
        return
    with panel:
        st.caption(
            "Influence is the sum of what a record did through the terms of its objective; it is also the sum of what it "
            "did by moving each layer of the policy."
        )
        left, right = st.columns(2, gap="large")
        with left:
            _table("term", {str(term): part for term, part in scores.terms.items()}, records)
        with right:
            split = background.scores(run, snapshot, target, scores.estimator, scores.orders, "layers", by_layer=True)
            if split is not None:
                _table("layer", split.layers, records)


def _table(what: str, parts: Mapping[str, Float32s], records: Sequence[int]) -> None:
    shown = table(what, parts, records)
    sums = shown.columns.intersection(["selection", "all records"])
    st.dataframe(
        shown,
        key=f"parts_by_{what}",
        hide_index=True,
        height="content",
        column_config={name: st.column_config.NumberColumn(format=signed_format(shown[sums])) for name in sums},
        alt=f"Summed influence of the selected and of all records by {what}",
    )


def table(what: str, parts: Mapping[str, Float32s], records: Sequence[int]) -> pd.DataFrame:
    """Sums of each part over the selected records, if there are any, and over all; and its share of all |influence|."""
    sizes = {name: float(np.abs(part).sum(dtype=np.float64)) for name, part in parts.items()}
    whole = sum(sizes.values()) or 1.0
    return pd.DataFrame(
        [
            {
                what: name,
                **({"selection": sum_of(part, records)} if records else {}),
                "all records": float(part.sum(dtype=np.float64)),
                "share of |influence|": f"{sizes[name] / whole:.0%}",
            }
            for name, part in parts.items()
        ]
    )

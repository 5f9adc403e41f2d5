"""Diagnose: which records helped and hurt this round."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.diagnosis import report_downloads, section
from app.records import basket, inspector, ranking, scatter, selected_records
from app.removal import dialog
from app.scores import background, replayed, target_controls, trust_badge, two_estimators
from app.scores.check import Check
from app.shell import follow_run, loaders, page, selection, state
from app.shell.text import escape
from engine.core.gradients.attribution import top_and_bottom
from engine.core.scores import Scores
from engine.core.targets.question import TargetName
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

TABLE_ROWS = 20
AXES = ("step in round", "advantage")


def chart_controls(fields: Sequence[str]) -> tuple[str, str, str]:
    """The fields across and up, and what dragging does."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        x, y = axis("x", "Across", AXES[0], fields), axis("y", "Up", AXES[1], fields)
        state.choose("tool", list(scatter.DRAG), "lasso")
        tool = st.segmented_control(
            "Select with", list(scatter.DRAG), key="tool", required=True,
            help="lasso and box: drag around records. click: click single records; dragging moves the picture.",
        )  # fmt: skip
    return x, y, tool or "lasso"


def axis(key: str, label: str, default: str, fields: Sequence[str]) -> str:
    """Choose the field of one axis."""
    options = [default, *(name for name in fields if name not in ("record", default))]
    state.choose(key, options, default)
    return str(st.selectbox(label, options, key=key, width=150))


@page.fragment
def workplace(
    run: Run, snapshot: ControlSnapshot, scores: Scores, target: TargetName, axes: tuple[str, str], tool: str
) -> None:
    """What shows the selection and sets it: drawn anew by itself, without the rest of the page."""
    fields = {**loaders.load_fields(snapshot), "influence": scores.influence}
    top, bottom = top_and_bottom(scores.influence, TABLE_ROWS)
    inspected = inspector.choose(snapshot, int(bottom[0] if len(bottom) else 0))
    basket_records = basket.records(run, snapshot)
    names = page.action_names(run) if run.manifest.action_space.kind == "discrete" else []
    chart, side = st.columns([3, 2], gap="medium")
    with chart:
        scatter.draw(run, snapshot, scores, fields, axes, tool, inspected, basket_records)
    with side:
        inspector.draw(run, snapshot, scores, fields)
    selected_records.draw(run, snapshot, loaders.load_target(snapshot, target), scores, fields, names)
    left, right = st.columns(2, gap="medium")
    with left:
        ranking.draw("top_records", "Top records", "raised the target most", top, run, snapshot, fields, names)
    with right:
        ranking.draw(
            "bottom_records", "Bottom records", "lowered the target most", bottom, run, snapshot, fields, names
        )
    basket.draw(
        run,
        snapshot,
        scores.influence,
        lambda records: dialog.retrain_dialog(run, snapshot, scores, records, target),
    )


def pick(run: Run, snapshot: ControlSnapshot, records: list[int]) -> None:
    """Select records that were picked in a chart, and inspect the last one (a callback)."""
    selection.choose(run, snapshot, records)
    state.put({"inspect": records[-1]})
    target_controls.follow(records)


def diagnose() -> None:
    """The page."""
    run_name, run = page.current_run()
    page.only_about(run, "diagnose")
    follow_run.draw(run)
    snapshot = loaders.load_snapshot(run, page.current_round(run))
    controls = st.container(horizontal=True, vertical_alignment="bottom")
    with controls:
        name = target_controls.target_controls(run, snapshot)
        estimator, orders = background.controls(run, snapshot, name)
    asked = loaders.load_target(snapshot, name)
    page.without_minibatches(snapshot)
    scores = background.scores(run, snapshot, asked, estimator, orders)
    if scores is None:
        state.stop()
    what = name.sentence(run.manifest.action_space.value_names)
    source = page.provenance(run, snapshot, f"{estimator}, {what}", background.provenance(snapshot, orders))
    place = trust_badge.draw(Check.of(run, snapshot, asked, orders), estimator, escape(source))
    two_estimators.draw(run, snapshot, asked, scores, lambda record: state.put({"inspect": record}))
    x, y, tool = chart_controls(list(loaders.load_fields(snapshot)))
    with controls:
        report_downloads.draw(run, snapshot, asked, what, scores, (x, y), TABLE_ROWS, source)
        page.to_autopsy(run_name, snapshot.round)
    workplace(run, snapshot, scores, name, (x, y), tool)
    section.draw(run, snapshot, asked, scores, source, lambda records: pick(run, snapshot, records))
    replayed.draw(place, run, snapshot)


diagnose()

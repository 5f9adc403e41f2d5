"""Diagnose: which records helped and hurt this round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.autopsy import play
from app.diagnosis import main_map, report_downloads, section
from app.diagnosis.loaders import load_concentration
from app.records import asked_state, basket, inspector, ranking, scatter, selected_records
from app.removal import dialog
from app.scores import answer, background, replayed, target_controls, trust_badge, two_estimators
from app.scores.check import Check
from app.shell import follow_run, loaders, page, selection, state
from app.shell.text import escape
from engine.core.gradients.attribution import top_and_bottom
from engine.core.scores import Scores
from engine.core.targets.question import Question, TargetName
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

TABLE_ROWS = 20
AXES = ("step in round", "advantage")
MAP, SCATTER = "map", "scatter"


@dataclass(frozen=True)
class Picture:
    """What the main picture is."""

    kind: str
    """`MAP` or `SCATTER`."""
    axes: tuple[str, str]
    """Names of the fields across and up."""
    tool: str
    """What dragging does in the scatter."""


def picture_controls(snapshot: ControlSnapshot, more: DeltaGenerator) -> Picture:
    """Draw the controls of the main picture; what is rarely changed goes into `more`."""
    kind, tool = SCATTER, "lasso"
    if main_map.of_round(snapshot) is not None:
        state.choose("picture", [MAP, SCATTER], MAP)
        kind = str(st.segmented_control("Picture", [MAP, SCATTER], key="picture", required=True))
    if kind == SCATTER:
        state.choose("tool", list(scatter.DRAG), "lasso")
        tool = more.segmented_control(
            "Select with", list(scatter.DRAG), key="tool", required=True,
            help="lasso and box: drag around records. click: click single records; dragging moves the picture.",
        ) or tool  # fmt: skip
    fields = list(loaders.load_fields(snapshot))
    place = more.container(horizontal=True, vertical_alignment="bottom")
    across, up = axis("x", "Across", AXES[0], fields, place), axis("y", "Up", AXES[1], fields, place)
    return Picture(kind, (across, up), tool)


def axis(key: str, label: str, default: str, fields: Sequence[str], place: DeltaGenerator) -> str:
    """Choose the field of one axis; what is wrong with the address is said outside of `place`, which may be closed."""
    options = [default, *(name for name in fields if name not in ("record", default))]
    state.choose(key, options, default)
    return str(place.selectbox(label, options, key=key, width=150))


@page.fragment
def workplace(
    run: Run, snapshot: ControlSnapshot, scores: Scores, target: TargetName, picture: Picture, word: str
) -> None:
    """What shows the selection and sets it: drawn anew by itself, without the rest of the page."""
    fields = {**loaders.load_fields(snapshot), "influence": scores.influence}
    top, bottom = top_and_bottom(scores.influence, TABLE_ROWS)
    inspected = inspector.choose(snapshot, int(bottom[0] if len(bottom) else 0))
    asked, names = loaders.load_target(snapshot, target), action_names(run)
    chart, side = st.columns([3, 2], gap="medium")
    with chart:
        world = main_map.of_round(snapshot) if picture.kind == MAP else None
        if world is not None:
            main_map.draw(run, snapshot, world, scores, word, lambda records: pick(run, snapshot, records))
        else:
            kept = basket.records(run, snapshot)
            scatter.draw(run, snapshot, scores, fields, picture.axes, picture.tool, inspected, kept, word, names)
        lowered, raised = st.tabs([f"{side} records{f' ({word})' if word else ''}" for side in ("Bottom", "Top")])
        with lowered:
            ranking.draw("bottom_records", "lowered the target most", bottom, run, snapshot, fields, names, word)
        with raised:
            ranking.draw("top_records", "raised the target most", top, run, snapshot, fields, names, word)
    with side:
        if target.observation:
            asked_state.draw(run, snapshot, asked)
        rest = inspector.draw(run, snapshot, scores, fields, word)
    selected_records.draw(run, snapshot, asked, scores, fields, names, word)
    basket.draw(
        run,
        snapshot,
        scores.influence,
        lambda records: dialog.retrain_dialog(run, snapshot, scores, records, target),
        Question(target=target, estimator=scores.estimator, orders=scores.orders),
    )
    rest()


def action_names(run: Run) -> list[str]:
    """Of discrete actions; none of others."""
    return page.action_names(run) if run.manifest.action_space.kind == "discrete" else []


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
    place = st.container(key="answer", gap="small")
    with st.container(key="controls", horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        often = st.container(key="often", horizontal=True, vertical_alignment="bottom")
        more = st.popover("More", key="more", icon=":material/tune:", help="Ways to select, axes, orders, downloads.")
    with often:
        name, problem = target_controls.asked(run, snapshot, more)
        estimator = background.estimator_control(snapshot)
        picture = picture_controls(snapshot, more)
    beside = more.container(horizontal=True, vertical_alignment="bottom")
    orders = background.orders_and_again(run, snapshot, name, estimator, beside)
    if problem:
        st.error(escape(f"{problem}. Until that can be read, the page is about the return."), icon=":material/error:")
    asked = loaders.load_target(snapshot, name)
    page.without_minibatches(snapshot)
    scores = background.scores(run, snapshot, asked, estimator, orders)
    if scores is None:
        state.stop()
    what = target_controls.in_words(name, run.manifest.action_space.value_names)
    line = page.provenance(run, snapshot, f"{estimator}, {what}", background.provenance(snapshot, orders))
    check = Check.of(run, snapshot, asked, orders)
    trust = trust_badge.trust_of(check, estimator, scores.expected)
    answer.draw(
        place,
        load_concentration(snapshot, scores),
        check,
        estimator,
        trust,
        lambda: page.to_autopsy(run_name, snapshot.round, play.label(snapshot)),
    )
    with more:
        described = name.sentence(run.manifest.action_space.value_names)
        report_downloads.draw(run, snapshot, asked, what, described, scores, picture.axes, TABLE_ROWS, line)
    workplace(run, snapshot, scores, name, picture, trust.word)
    replay = trust_badge.source(escape(line))
    trust_badge.panel(check, estimator, trust)
    two_estimators.draw(run, snapshot, asked, scores, lambda record: state.put({"inspect": record}))
    section.draw(run, snapshot, asked, scores, line, lambda records: pick(run, snapshot, records))
    replayed.draw(replay, run, snapshot)


diagnose()

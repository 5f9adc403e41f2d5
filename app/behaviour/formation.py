"""Parts of the Behaviour page: the phases, the curves over rounds, groups of records, the records of a round."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.charts import behaviour as curve_charts
from app.charts import formation as charts
from app.scores import trust_badge
from app.scores.check import Check
from app.shell import loaders, page, picks, state
from app.shell.chart import draw_chart
from app.shell.glossary import explained, meaning
from app.shell.text import escape, signed_format
from engine.analysis.behaviour import Behaviour
from engine.analysis.formation import SHOWN, TOP
from engine.analysis.phases import PHASES, RULE, SHORTEST, SMOOTHED, Stretch
from engine.analysis.relations import Grouping, Relations, groupings
from engine.analysis.roughness import MOST_VERTICES, NEIGHBOURS
from engine.core.gradients.attribution import top_and_bottom
from engine.core.targets.of_records import ActionTarget
from engine.core.targets.question import TargetName
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run
from engine.store.snapshot import Float32s

EVERY = "all records"


def draw_phases(found: Behaviour) -> None:
    """When the three phases are seen, and by which rule."""
    with st.container(key="phases"):
        for place, phase in zip(st.columns(len(PHASES), border=True), PHASES, strict=True):
            finding = found.phases.findings[phase]
            place.markdown(f"**{charts.SIGNS[phase]} {phase}**  \n{escape(finding)}")
        for remark in found.phases.remarks:
            st.caption(escape(remark))
        with st.expander("How the phases are found"):
            rules = "\n".join(f"* {charts.SIGNS[phase]} **{phase}**: {escape(rule)}." for phase, rule in RULE.items())
            st.markdown(
                f"{rules}\n\nAsked of the mean over a recorded round and its two neighbours on either side. A later phase wins; "
                f"a phase takes {SHORTEST} rounds in a row, and gaps in the record end it. Where the curves don't fulfil the "
                "rule, the phase is *not clear*. The thresholds are this tool's; the paper shows the phases and gives none."
            )


def draw_curves(run: Run, found: Behaviour, stretches: tuple[Stretch, ...]) -> None:
    """Make-up of the top records, roughness, size of influence, and the records themselves, over rounds."""
    discrete = run.manifest.action_space.kind == "discrete"
    st.subheader(
        "Make-up of the records behind it", anchor=False,
        help=explained("top records", "bottom records", "influence", "roughness"),
    )  # fmt: skip
    what = (
        "took the action"
        if discrete
        else "took an action within one standard deviation of the policy (root mean square over its components)"
    )
    st.caption(
        f"Of the {TOP} records of each round that raised log π(a | s) most (top) and the {TOP} that lowered it most (bottom): "
        f"the share that {what}, was in a similar state (the tenth of the round's records with the most similar embedding), "
        "had an advantage above 0. All records: what a random draw would show. Estimator first_order, recorded minibatch "
        f"order, seed {run.config.seed}. Click a round to see its records."
        + (
            f" Lines are running means over {SMOOTHED} recorded rounds, faint marks single rounds."
            if len(found.formation) > charts.CROWDED
            else ""
        )
    )
    _clickable(
        charts.make_up(
            found.formation, stretches, "same action" if discrete else "similar action", state.is_dark(), chosen_round()
        ),
        "make_up",
        "Line charts over rounds: share of top, bottom and all records with the same action, similar state, advantage above 0",
    )
    _clickable(
        charts.curves(found.formation, stretches, state.is_dark(), chosen_round()),
        "roughness",
        "Line charts over rounds: roughness of influence beside that of shuffled scores, mean absolute influence, similarity",
    )
    st.caption(
        "Roughness: Σ w (Iᵢ − Iⱼ)² / Σ w over influence divided by its largest value, on a graph that joins each of up to "
        f"{MOST_VERTICES} records of the round to the {NEIGHBOURS} with the most similar states. Similarity, and the weight w: "
        "cosine of the states' embeddings, the activations of the actor's last hidden layer before the update. Below the "
        "dotted line, similar states have similar influence."
    )
    st.subheader("Records behind it", anchor=False)
    st.caption(
        f"The {SHOWN} records of each round that raised log π(a | s) most and the {SHOWN} that lowered it most. Filled marks "
        f"took {'the same' if discrete else 'a similar'} action. Click one to see its round."
    )
    if not any(item.shown for item in found.formation):
        st.info("No record of any round pushes this action: the policy was certain of it throughout.")
        return
    _clickable(
        curve_charts.contributors(found.formation, state.is_dark(), chosen_round()),
        "contributors",
        "The most influential records of each round: height is influence on this action",
    )


def draw_groups(run: Run, found: Behaviour) -> None:
    """Rounds x groups of records."""
    st.subheader("Groups of records", anchor=False, help=meaning("formation"))
    grouping = _chosen_grouping(run)
    st.caption(
        "Influence of each group's records on this behaviour, summed, as a share of the round's total |influence|: blue (+) "
        "pushed the action up, orange (−) down. Click a cell to see its records."
    )
    _clickable(
        charts.groups(found.formation, grouping.name, grouping.labels, state.is_dark(), chosen_round()),
        f"groups_{grouping.name.replace(' ', '_')}",
        f"Heatmap of summed influence by {grouping.name} and round",
        grouping,
    )


def choose_round(run: Run, snapshot: ControlSnapshot | None) -> None:
    """Decide which round's records are shown; it is marked in every chart."""
    rounds = run.stored_rounds
    state.choose("shown_round", rounds, snapshot.round if snapshot is not None else rounds[len(rounds) // 2])


def chosen_round() -> int | None:
    """The round of `choose_round`."""
    chosen = state.get("shown_round")
    return chosen if isinstance(chosen, int) else None


def draw_records(run: Run, target: ActionTarget) -> None:
    """The records of the chosen round, or of one group in it."""
    rounds = run.stored_rounds
    grouping = _grouping(run)
    state.choose("shown_group", [EVERY, *grouping.labels], EVERY, scope=grouping.name)
    st.subheader("Records of a round", anchor=False)
    left, right = st.columns([3, 1], gap="medium", vertical_alignment="bottom")
    if len(rounds) == 1:
        shown = left.selectbox("Records of round", rounds, key="shown_round", width=140)
    else:
        shown = left.select_slider("Records of round", rounds, key="shown_round")
    group = right.selectbox("Group", [EVERY, *grouping.labels], key="shown_group", help=f"By {escape(grouping.name)}.")
    with page.one_line_errors():
        part = loaders.load_snapshot(run, int(shown or 0))
        scores, related = loaders.behaviour_records(loaders.load_snapshot(run, part.round), target)
        with st.container(key="behaviour_trust", horizontal=True, vertical_alignment="center"):
            if run.manifest.observation_space.kind != "dict":  # a state of several parts has no name in another round
                check = Check.of(run, part, _spelled_out(target))
                trust_badge.badge(check, "first_order", trust_badge.trust_of(check, "first_order"), "behaviour")
            st.caption(
                f"first_order, this state and action as the target, round {part.round}, recorded minibatch order"
            )
        chosen = _of_group(grouping, str(group), related, part, scores)
        _table(run, part, scores, related, chosen)


def _spelled_out(target: ActionTarget) -> ActionTarget:
    """The target named by its state and action, as any round can be asked about it."""
    seen, done = tuple(target.observation.ravel().tolist()), tuple(target.action.ravel().tolist())
    return replace(target, called=TargetName(target="action", observation=seen, action=done))


def _of_group(
    grouping: Grouping, group: str, related: Relations, part: ControlSnapshot, scores: Float32s
) -> NDArray[np.int64]:
    """Records at both ends of a group's ranking; says how many there are."""
    members = np.arange(len(scores))
    if group != EVERY:
        members = np.flatnonzero(grouping.of(related, part.buffer) == grouping.labels.index(group))
    total = float(np.abs(scores).sum(dtype=np.float64))
    share = float(scores[members].sum(dtype=np.float64)) / total if total else 0.0
    ends = members[np.concatenate(top_and_bottom(scores[members], TOP))]
    st.caption(
        f"**{escape(group)}**: {len(members)} of round {part.round}'s {len(scores)} records; their influence sums to "
        f"{share:+.3f} of the round's total. The {TOP} that raised log π(a | s) most and the {TOP} that lowered it most:"
        + ("" if len(ends) else " none of them pushes this action.")
    )
    return ends


def _table(run: Run, part: ControlSnapshot, scores: Float32s, related: Relations, records: NDArray[np.int64]) -> None:
    buffer, discrete = part.buffer, run.manifest.action_space.kind == "discrete"
    table = pd.DataFrame(
        {
            "record": records,
            "influence": scores[records],
            "same action" if discrete else "similar action": related.same_action[records],
            "similarity of state": related.similarity[records],
            "episode": buffer.episode[records],
            **_actions(run, buffer.action[records]),
            "advantage": buffer.advantage[records],
            "reward": buffer.reward[records],
        }
    )
    state.follow_rows("round_contributors", [(part.hash, record) for record in records.tolist()])
    st.dataframe(
        table,
        key="round_contributors",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "influence": st.column_config.NumberColumn(format=signed_format(scores)),
            "similarity of state": st.column_config.NumberColumn(format="%.2f"),
            "advantage": st.column_config.NumberColumn(format="%.3f"),
        },
        alt="The records of the chosen round",
    )
    picked = [record for _, record in state.ticked("round_contributors")]
    link = {"run": str(state.get("run")), "round": str(part.round)}
    with st.container(horizontal=True, vertical_alignment="center"):
        if picked:
            record = picked[0]
            st.button(
                f"Follow record {part.round}:{record}",
                key="follow_record",
                help="Make its state and action the behaviour that this page is about.",
                on_click=state.put,
                args=(
                    {"record": f"{part.round}:{record}", "behaviour_of": "record", "behaviour_action": "as recorded"},
                ),
            )
            link["inspect"] = str(record)
        st.page_link(
            "views/diagnose.py",
            label=f"Diagnose round {part.round}" + (f", record {link['inspect']}" if picked else ""),
            icon=":material/troubleshoot:",
            query_params=link,
        )


def _actions(run: Run, actions: NDArray[Any]) -> dict[str, Any]:
    """Columns of a table of records: the action's name, or a column for every component."""
    space = run.manifest.action_space
    if space.kind == "discrete":
        return {"action": [page.action_names(run)[i] for i in actions]}
    return {name: actions[:, j] for j, name in enumerate(space.component_names)}


def _chosen_grouping(run: Run) -> Grouping:
    ways = groupings(run.manifest.observation_space, run.manifest.action_space)
    state.choose("grouping", [way.name for way in ways], ways[0].name)
    st.segmented_control("Group by", [way.name for way in ways], key="grouping", required=True, format_func=escape)
    return _grouping(run)


def _grouping(run: Run) -> Grouping:
    ways = groupings(run.manifest.observation_space, run.manifest.action_space)
    return next((way for way in ways if way.name == state.get("grouping")), ways[0])


def clicked_round(key: str, grouping: Grouping | None = None) -> None:
    """Show the records of a clicked round, and of a clicked cell's group (a callback)."""
    clicked = picks.point(key)
    if clicked is None:
        return
    number, _, which = str(clicked).partition(":")
    if not number.isdigit() or int(number) not in loaders.load_run(loaders.run_paths()[state.get("run")]).stored_rounds:
        return  # the final policy belongs to no round
    group = {} if grouping is None else {"shown_group": grouping.labels[int(which)]}
    state.put({"shown_round": int(number), **group})


def _clickable(figure: Any, key: str, alt: str, grouping: Grouping | None = None) -> None:
    draw_chart(figure, key=key, on_select=lambda: clicked_round(key, grouping), selection_mode="points", alt=alt)

"""Part of Compare runs: what two policies would do in the same states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app.charts import policy_difference as charts
from app.runs.loaders import difference_over_rounds, policy_in, shared_states
from app.shell import loaders, page, state
from app.shell.chart import draw_chart
from app.shell.glossary import explained, meaning
from app.shell.text import escape
from engine.analysis.policy_difference import (
    Categorical,
    Difference,
    Distribution,
    Gaussian,
    States,
    common_checkpoints,
    comparable,
    difference,
    most_different,
)
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

RANKED = 20


def draw(runs: dict[str, Run]) -> None:
    """The section, about two of the runs."""
    st.subheader("Policies on the same states", anchor=False, help=explained("checkpoint", "KL", "total variation"))
    readable = {name: run for name, run in runs.items() if run.checkpoint_rounds}
    if len(readable) < 2:
        st.info("Two runs with checkpoints are needed.", icon=":material/info:")
        return
    names = list(readable)
    pair = readable[names[0]], readable[names[1]]
    left, right, where = st.columns(3, gap="medium")
    with left:
        a, k_a = policy_picker("first", "First policy", readable, names[0], common_checkpoints(*pair))
    with right:
        common = common_checkpoints(readable[a], pair[1])
        b, k_b = policy_picker("second", "Second policy", readable, names[1], [k_a] if k_a in common else common)
    why = comparable(readable[a], readable[b])
    if why is not None:
        st.info(escape(f"These policies can't be asked about the same states: {why}."), icon=":material/info:")
        return
    with where:
        snapshot = states_picker(readable, a, b, k_a)
    if snapshot is None:
        st.info("Neither run has a round with records, so there are no states to ask about.", icon=":material/info:")
        return
    states = shared_states(snapshot)
    first, second = (asked(name, readable[name], k, states) for name, k in ((a, k_a), (b, k_b)))
    found = difference(first, second)
    of = page.called(readable, str(state.get("states_of")))
    summary(found, first, states, snapshot, of, readable[a], readable[b])
    titles = measures(isinstance(first, Categorical))
    state.choose("measure", list(titles), "kl")
    st.segmented_control(
        "Measure", list(titles), key="measure", format_func=titles.__getitem__, required=True,
        help=explained("KL", *(["total variation"] if isinstance(first, Categorical) else [])),
    )  # fmt: skip
    labels = [policy_name(name, readable[name], k) for name, k in ((a, k_a), (b, k_b))]
    draw_states(found, first, second, states, snapshot, labels)
    draw_over_rounds(readable, a, k_a if k_a == k_b else None, states, snapshot, titles)


def asked(name: str, run: Run, k: int, states: States) -> Distribution:
    """What the policy of a checkpoint would do in the states."""
    with page.naming(page.called({name: run}, name)):
        return policy_in(run, k, states)


def policy_picker(key: str, title: str, runs: dict[str, Run], default: str, at_first: list[int]) -> tuple[str, int]:
    """Run and checkpoint of a policy; at first the last of the checkpoints `at_first` that the run has."""
    state.choose(f"{key}_policy", list(runs), default, scope=str(list(runs)))
    name = str(st.selectbox(title, list(runs), key=f"{key}_policy", format_func=lambda name: page.called(runs, name)))
    run = runs[name]
    rounds = run.checkpoint_rounds
    preferred = [k for k in at_first if k in rounds] or rounds
    state.choose(f"{key}_round", rounds, preferred[-1], scope=name)
    k = st.selectbox(
        f"{title}: checkpoint",
        rounds,
        key=f"{key}_round",
        format_func=lambda k: checkpoint_name(run, int(k)),
        label_visibility="collapsed",
    )
    return name, int(k)


def states_picker(runs: dict[str, Run], a: str, b: str, k: int) -> ControlSnapshot | None:
    """The round whose records' states both policies are asked about."""
    there = {name: runs[name] for name in dict.fromkeys((a, b, *runs)) if runs[name].stored_rounds}
    there = {name: run for name, run in there.items() if comparable(runs[a], run) is None}
    if not there:
        return None
    state.choose("states_of", list(there), next(iter(there)), scope=a)
    name = str(
        st.selectbox(
            "In the states of", list(there), key="states_of", format_func=lambda name: page.called(there, name)
        )
    )
    rounds = there[name].stored_rounds
    state.choose("states_round", rounds, max((r for r in rounds if r <= k), default=rounds[0]), scope=name)
    number = st.selectbox(
        "States of round",
        rounds,
        key="states_round",
        format_func=lambda r: f"the records of round {r}",
        label_visibility="collapsed",
    )
    with page.naming(page.called(there, name)):
        return loaders.load_snapshot(there[name], int(number))


def checkpoint_name(run: Run, k: int) -> str:
    """Which policy a checkpoint is."""
    return "final policy" if run.final is not None and k == run.final.round else f"before the update of round {k}"


def policy_name(name: str, run: Run, k: int) -> str:
    """Run and checkpoint in short."""
    final = run.final is not None and k == run.final.round
    return f"{page.called({name: run}, name)}, {'final' if final else f'round {k}'}"


def measures(discrete: bool) -> dict[str, str]:
    """Field of `Difference` -> what it is called."""
    return {
        "kl": "KL divergence, nats",
        "distance": "total variation" if discrete else "distance of the means, in σ of the first",
        "other_action": "share whose most probable action differs" if discrete else "share with means over 1 σ apart",
    }


def summary(
    found: Difference,
    first: Distribution,
    states: States,
    snapshot: ControlSnapshot,
    of: str,
    run_a: Run,
    run_b: Run,
) -> None:
    """Three numbers, and what they are about: the states of the run that is called `of`."""
    discrete = isinstance(first, Categorical)
    with st.container(horizontal=True, key="policy_difference"):
        st.metric("Mean KL(first ‖ second)", f"{found.kl.mean():.3g} nats", border=True, help=meaning("KL"))
        title = "Mean total variation" if discrete else "Mean distance of the means"
        st.metric(title, f"{found.distance.mean():.3g}" + ("" if discrete else " σ"), border=True)
        title = "Most probable action differs" if discrete else "Means over 1 σ apart"
        st.metric(title, f"{found.other_action.mean():.1%} of states", border=True)
    n, all_of_them = len(states.record), len(snapshot.buffer)
    left_out = f", without {all_of_them - n} whose state can't be restored" if n < all_of_them else ""
    other = ""
    if run_a.manifest.env_id != run_b.manifest.env_id:
        other = f" The runs are of different environments: {run_a.manifest.env_id} and {run_b.manifest.env_id}."
    st.caption(
        escape(
            f"Means over the states of {n} records of round {snapshot.round} of "
            f"{of}{left_out}, each counted as often as it was visited there. "
            + (
                "Total variation is half the sum of the differences between probabilities, from 0 to 1."
                if discrete
                else "KL in closed form between Gaussians, before actions are clipped; σ: the first policy's standard deviation."
            )
            + (
                " Every policy sees the states as its own statistics normalise them."
                if normalised(run_a, run_b)
                else ""
            )
            + other
        )
    )


def normalised(*runs: Run) -> bool:
    """Whether a run normalises what its policy sees."""
    return any(run.config.normalize_observation for run in runs)


def draw_over_rounds(
    runs: dict[str, Run], a: str, chosen: int | None, states: States, snapshot: ControlSnapshot, titles: dict[str, str]
) -> None:
    """How far every other run is from the first policy's run, at every common checkpoint."""
    st.markdown("**Over the rounds**")
    measure, first = str(state.get("measure")), page.called(runs, a)
    lines, left_out = {}, []
    for name, run in runs.items():
        if name == a:
            continue
        label = page.called(runs, name)
        if comparable(runs[a], run) is not None:
            left_out.append(f"{label} (other observations or actions)")
        elif not common_checkpoints(runs[a], run):
            left_out.append(f"{label} (no round in common)")
        else:
            with page.one_line_errors(), page.naming(f"{first} and {label}"):  # the others are drawn
                found = difference_over_rounds(runs[a], run, states, label)
                lines[label] = (found["round"], found[measure])
    if lines:
        draw_chart(
            charts.over_rounds(lines, titles[measure], chosen, state.is_dark()),
            key="difference_over_rounds",
            alt=f"Line chart of the {titles[measure]} between the policies of {first} and of "
            f"{', '.join(lines)} over the rounds",
        )
        st.caption(
            escape(
                f"Every run against {first}, at the checkpoints that both have, in the same states as above."
                + (f" Left out: {', '.join(left_out)}." if left_out else "")
            )
        )
    else:
        st.info(
            escape(
                f"No curve over the rounds: {', '.join(left_out)}. The two policies above are compared all the same."
            ),
            icon=":material/info:",
        )


def take_state() -> None:
    """Show the state whose row was ticked (a callback)."""
    for _, record in state.ticked("differing_states"):
        state.put({"differing_record": record})


def draw_states(
    found: Difference,
    first: Distribution,
    second: Distribution,
    states: States,
    snapshot: ControlSnapshot,
    labels: list[str],
) -> None:
    """The states in which the policies differ most, and one of them with its picture and both distributions."""
    by = "distance" if state.get("measure") == "distance" else "kl"
    position, count = most_different(states, getattr(found, by), RANKED)
    records = states.record[position].tolist()
    view = f"{snapshot.hash} {labels} {by}"
    state.follow_rows("differing_states", [(view, record) for record in records])
    state.choose("differing_record", records, records[0], scope=view)
    record = int(state.get("differing_record"))
    discrete = isinstance(first, Categorical)
    table = pd.DataFrame(
        {
            "record": records,
            "visits": count,
            "KL": found.kl[position],
            "total variation" if discrete else "distance of the means": found.distance[position],
            "first policy": [likely(snapshot, first, i) for i in position],
            "second policy": [likely(snapshot, second, i) for i in position],
        }
    )
    st.markdown("**Where they differ most**")
    ranking, detail = st.columns(2, gap="medium")
    with ranking:
        st.dataframe(
            table,
            key="differing_states",
            hide_index=True,
            on_select=take_state,
            selection_mode="single-row",
            column_config={
                name: st.column_config.NumberColumn(format="%.3g")
                for name in ("KL", "total variation", "distance of the means")
            },
            alt="The states in which the two policies differ most, with the most probable action of each",
        )
        st.caption(
            f"The {len(records)} states with the largest {'distance' if by == 'distance' else 'KL divergence'}; each once, "
            "with its first record. Tick a row to look at it."
        )
    with detail:
        draw_state(first, second, int(np.flatnonzero(states.record == record)[0]), record, snapshot, labels)


def draw_state(
    first: Distribution, second: Distribution, i: int, record: int, snapshot: ControlSnapshot, labels: list[str]
) -> None:
    """One state: its picture, and what each policy would do in it."""
    picture, bars = st.columns([2, 3], gap="small")
    with picture:
        drawn = loaders.picture(snapshot, record)
        if isinstance(drawn, str):
            st.info(escape(drawn), icon=":material/image_not_supported:")
        else:
            st.image(drawn, alt=f"The environment in the state of record {record}")
        st.page_link(
            "views/diagnose.py",
            label=f"Diagnose record {record}",
            icon=":material/troubleshoot:",
            query_params={
                "run": str(state.get("states_of")),
                "round": str(snapshot.round),
                "inspect": str(record),
            },
        )
    with bars:
        figure: Any = None
        if isinstance(first, Categorical) and isinstance(second, Categorical):
            p, q = first.probability[i], second.probability[i]
            figure = charts.two_distributions(actions_of(snapshot), p, q, labels, state.is_dark())
        elif isinstance(first, Gaussian) and isinstance(second, Gaussian):
            names = snapshot.action_space.component_names
            means, deviations = (first.mean[i], second.mean[i]), (first.std, second.std)
            figure = charts.two_gaussians(names, means, deviations, labels, state.is_dark())
        draw_chart(
            figure, key="two_policies", alt=f"What {labels[0]} and {labels[1]} would do in the state of record {record}"
        )


def actions_of(snapshot: ControlSnapshot) -> list[str]:
    """Names of the discrete actions."""
    space = snapshot.action_space
    return list(space.names) if len(space.names) == space.n else [f"action {i}" for i in range(space.n)]


def likely(snapshot: ControlSnapshot, policy: Distribution, i: int) -> str:
    """What a policy would most probably do in state i."""
    if isinstance(policy, Categorical):
        best = int(policy.log_prob[i].argmax())
        return f"{actions_of(snapshot)[best]} ({policy.probability[i, best]:.2f})"
    return ", ".join(f"{mean:.2g} ± {std:.2g}" for mean, std in zip(policy.mean[i], policy.std, strict=True))

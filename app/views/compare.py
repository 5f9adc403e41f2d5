"""Outcome: original against counterfactual against random records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from app.charts import comparison as charts
from app.removal import described, next_steps, notes, on_records, predicted_and_actual
from app.removal.verdicts import box, sentence
from app.scores import target_controls
from app.sequences import target_controls as sequence_controls
from app.shell import downloads, kinds, loaders, page, state
from app.shell.chart import draw_chart
from app.shell.glossary import explained, meaning
from app.shell.text import escape
from engine.core.kind import kind_of
from engine.core.replays.replay import mode_name
from engine.core.targets.question import TargetName
from engine.intervention.comparison import VERDICT_WORDS, verdict_name
from engine.intervention.plan import Intervention
from engine.jobs.interventions import InterventionJob, list_jobs
from engine.store.read import Run
from engine.store.snapshot import check_records

# What a reader sees on hover, by what an arm is called. A comment, because Streamlit shows strings of a page.
HELP = {arm: meaning(arm) for arm in charts.arm_names(repair=False)}


def chosen_job(run: Run) -> InterventionJob:
    """The finished intervention of the bound selector; stops the page if there is none."""
    finished = {job.id: job for job in list_jobs(run) if job.state == "done" and job.result is not None}
    records = kinds.records_page(run)
    if not finished:
        st.info(
            f"No intervention on this run has finished yet. Remove records on the page {records.title}, or look at the "
            "running ones on Interventions.",
            icon=":material/info:",
        )
        with st.container(horizontal=True):
            for view in (records.view, "interventions"):
                st.page_link(f"views/{view}.py", label=view.capitalize(), query_params={"run": str(state.get("run"))})
        state.stop()
    state.choose("iv", list(finished), next(iter(finished)), always=True)
    st.selectbox(
        "Intervention", list(finished), key="iv", format_func=lambda id: described.option(run, finished[id]),
        help=explained("intervention", "verdict", *VERDICT_WORDS),
    )  # fmt: skip
    return finished[state.get("iv")]


def interval(estimate: dict[str, Any]) -> str:
    """Mean (low to high)."""
    if estimate["low"] is None:
        return f"{estimate['mean']:.4g}"
    return f"{estimate['mean']:.4g} ({estimate['low']:.4g} to {estimate['high']:.4g})"


def training_on(run: Run, job: InterventionJob, result: Mapping[str, Any]) -> None:
    """What came after the replayed round, with data collected anew."""
    plan, again = job.plan, result.get("recollected")
    st.subheader(
        "Training on, with data collected anew", anchor=False, help=explained("collected anew", "branch", "seed")
    )
    st.markdown(
        f"A replay keeps the round's data as it was: it says what the {done(plan)} does to this one update. From then on the "
        "agent collects other data, which a replay can't know; only training on can."
    )
    before = [(info.round, info.metrics.get("mean_return")) for info in run.rounds if info.round <= plan.round]
    alt = f"Mean training return after the {done(plan)}, of the original, the counterfactual and the control"
    if again is None:
        st.caption(
            f"Mean training return of the {plan.continue_rounds} rounds after it. With one training seed a curve is an example "
            "and no verdict; retrain with several seeds for one."
        )
        draw_chart(charts.curves(result, before, state.is_dark()), key="compare_curves", alt=alt)
        return
    with st.container(key="recollected_verdict", gap="small"):
        st.markdown(
            f"Replayed, on the data as it was: **{escape(verdict_name(result['verdict']))}**.  \nCollected anew, "
            f"{plan.continue_rounds} further rounds, {escape(again['seeds'])} seeds: {sentence(again['verdict'], plan.repair)}"
        )
    chart, numbers = st.columns(2, gap="medium")
    with chart:
        shown = before[-max(5, 2 * plan.continue_rounds) :]
        figure = charts.recollected_curves(again, plan.round, shown, state.is_dark(), repair=plan.repair)
        draw_chart(figure, key="compare_curves", alt=f"{alt}, with bands over {again['seeds']} seeds")
        st.caption(
            "Mean over the seeds; bands: 95 % t interval. The grey line is the run itself. Seed 1 continues as the run did; "
            "the others replay another minibatch order and begin new episodes, with the same luck in all arms. Only the "
            "branches of seed 1 are kept as runs."
        )
    with numbers:
        after, trained = again["evaluation"], again["training"]
        rows = {
            title: {
                "return afterwards": interval(after[key]),
                "training return": interval(trained[key]) if trained else "–",
            }
            for key, title in numbers_of(plan).items()
        }
        st.table(pd.DataFrame.from_dict(rows, orient="index"), border="horizontal")
        st.caption(
            f"Mean (95 % t interval over seeds). Return afterwards: {escape(after['original']['episodes'])} evaluation episodes "
            "per arm of the policies after the last round, on seeds that the arms share; the verdict is about these. Training "
            "return: mean over the further rounds."
        )


def done(plan: Intervention) -> str:
    """What was done to the records, in a word."""
    return "repair" if plan.repair else "removal"


def numbers_of(plan: Intervention) -> dict[str, str]:
    """The arms and their differences, as a result has them and as people call them."""
    return charts.arm_names(plan.repair) | charts.difference_names(plan.repair)


def removed_table(run: Run, job: InterventionJob) -> None:
    """The removed records, or the repaired ones."""
    if not run.has_records(job.plan.round):
        return
    snapshot = loaders.load_snapshot(run, job.plan.round)
    removed = check_records(job.plan.removed, len(snapshot.buffer))
    table = kinds.shown(run).table(snapshot, removed.tolist())
    if job.plan.repair and kind_of(snapshot).has_states:  # of a sequence each token has one
        repaired = kind_of(snapshot).repaired(snapshot, removed)
        table = table.assign(**{"TD error": repaired.buffer.advantage[removed]})
    which = f"The {len(removed)} {'repaired' if job.plan.repair else 'removed'} records"
    with st.expander(which):
        st.dataframe(table, hide_index=True, alt=which)


def how_compared(run: Run, job: InterventionJob, result: Mapping[str, Any]) -> str:
    """What was removed or repaired, and replayed, and with which seeds; plain text."""
    plan = job.plan
    shared = ", shared by the arms" if plan.mode == "mask" else " (rebatch: the original keeps minibatches of its own)"
    said = [
        f"Round {plan.round} of {run.name} {plan.in_words(of=result['records'])}",
        "TD errors in the place of their advantages" if plan.repair else f"mode {mode_name(plan.mode)}",
        f"{plan.orders} minibatch orders{shared}",
    ]
    said += [described.looked_at_by(run, job), f"chosen: {described.selection(run, job)}"]
    if "unplayed" in result:
        said += ["no evaluation episodes played"]
    else:
        first, last = result["evaluation_seeds"]
        said += [
            f"evaluation seeds {first} to {last}, shared by the arms",
            f"{result['original']['episodes']} {kinds.words(run).episodes} per arm",
        ]
    said += [
        f"training seed {run.config.seed}",
        *([] if job.checked else ["kept by an earlier version, without a checksum"]),
    ]
    return " · ".join(said)


def returns(run: Run, job: InterventionJob, result: Mapping[str, Any]) -> None:
    """The evaluation returns of the arms, as a chart and as numbers."""
    chart, numbers = st.columns([3, 2], gap="medium")
    with chart:
        draw_chart(
            charts.arms(result, state.is_dark()),
            key="compare_return",
            config=downloads.chart(f"{run.name}-{job.id}-return"),
            alt="Mean evaluation return with 95 % interval of the original, the counterfactual and the control",
        )
        st.caption(
            "Large marks: mean with 95 % interval. Grey lines: one minibatch order each, same seeds in all arms."
        )
    with numbers:
        for name, title in numbers_of(job.plan).items():
            st.markdown(f"{title[0].upper()}{title[1:]}  \n**{interval(result[name])}**", help=HELP.get(name))
        st.caption(
            "In parentheses: 95 % t intervals over minibatch orders. A verdict needs both differences to exclude 0 on the same "
            "side.",
            help=explained("interval", "minibatch order", "verdict"),
        )


def in_address(run: Run, target: TargetName) -> dict[str, str]:
    """What the address of the page about the run's records says of a target."""
    if kinds.SEQUENCES in kinds.shown(run).pages:
        return sequence_controls.in_address(target)
    space = run.manifest.action_space
    return target_controls.in_address(target, page.action_names(run) if space.kind == "discrete" else ())


def compare() -> None:
    """The page."""
    name, run = page.current_run()
    job = chosen_job(run)
    result: Mapping[str, Any] = job.result or {}
    plan, played = job.plan, "unplayed" not in result
    with st.container(key="verdict"):
        box(run, job, result)
    next_steps.draw(run, job, result, lambda target: in_address(run, target))
    notes.draw(job)
    st.caption(
        escape(how_compared(run, job, result)),
        help=explained(
            plan.mode, "minibatch order", "target", "return target", "action target", "estimator", "arm", "seed"
        ),
    )
    if not result["same_machine"]:
        st.caption(
            "The run was recorded with other software or on another machine: its replays agree to rounding and are not "
            "bit-exact. All arms were replayed on one machine, so the comparison holds."
        )
    if played:
        returns(run, job, result)
    else:
        on_records.draw(run, job, result)
    predicted_and_actual.draw(run, job, result)
    if "curves" in result:
        training_on(run, job, result)
    removed_table(run, job)
    with st.container(horizontal=True, vertical_alignment="center"):
        downloads.offer(
            {
                f"{run.name}-{job.id}-orders": lambda: (
                    pd.DataFrame(result["order_means"]) if played else on_records.orders_table(result)
                )
            }
        )
        st.download_button(
            "Download the result (JSON)",
            json.dumps(dict(result), indent=1),
            downloads.safe_name(f"intervention-{job.id}.json"),
            "application/json",
        )
        page.to_records(run, name, plan.round)
        branch = next((id for id, path in loaders.run_paths().items() if path == job.folder / "branch"), None)
        if branch:
            st.page_link("views/timeline.py", label="The branch's timeline", query_params={"run": branch})


compare()

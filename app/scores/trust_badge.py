"""Whether a ranking predicts what removal does: the badge, and the panel that measures it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.charts import trust as charts
from app.scores import replayed
from app.scores.background import ORDERS
from app.scores.check import CHECKED, OPTIONAL, Check, measured_estimators
from app.scores.trust import Trust
from app.shell import cancel, page, state, timed
from app.shell.chart import draw_chart
from app.shell.glossary import explained, meaning
from app.shell.text import escape
from engine.core.estimators.registry import ESTIMATORS
from engine.core.faithfulness.kept_validations import read_validation
from engine.core.faithfulness.result import TrustVerdict, Validation
from engine.core.targets.question import averaged_name
from engine.experiments.recommendation import CLEARLY
from engine.intervals import Interval
from engine.terminal import duration

COLOURS: dict[TrustVerdict, Literal["blue", "orange", "gray"]] = {
    "predicts": "blue",
    "weakly": "gray",
    "does not": "orange",
    "noise": "gray",
    "few": "gray",
    "failed": "orange",
}
ICONS: dict[TrustVerdict, str] = {
    "predicts": ":material/check:",
    "weakly": ":material/remove:",
    "does not": ":material/close:",
    "noise": ":material/blur_on:",
    "few": ":material/question_mark:",
    "failed": ":material/error:",
}
UNRECORDED = "This round can't be checked: it was recorded without its minibatches, so its update can't be replayed."
EXPLANATION = """
A score says which way a record pushed. Whether removing records does what the scores predict can be tested: remove random
subsets of the round's records, really replay the update without them, and compare.

* **LDS** is the rank correlation between the predicted and the actual change of the target over these subsets: 1 if the scores
  order them rightly, 0 if they say nothing.
* Even a perfect prediction does not reach 1, because an outcome is an average over a few minibatch orders and still noisy. The
  **ceiling** says how well the outcomes agree with themselves, one half of the orders with the other. A score near it predicts as
  well as the noise lets one see; a perfect one may read a little above it.
* The **additivity gap** is the share of the outcomes' variance that no straight line through the predictions explains: what the
  records do together rather than each on its own. **Metasmoothness** is 1 where the update responds smoothly to the records'
  weights, and about 0 where derivatives mean nothing.
* **A replay on fixed data is not a re-collection.** It keeps the data as it was collected; with another policy the agent would
  have collected other data from then on. *Rounds to train on* with several *seeds* in the retrain dialog answers that question,
  by collecting anew; Outcome shows both answers side by side.
"""


LDS = f"LDS: {meaning('LDS')}"


def trust_of(check: Check, estimator: str, expected: Interval | None = None) -> Trust:
    """What is known of whether an estimator's scores can be trusted here; `expected` is what they foretell of themselves."""
    name = averaged_name(estimator, check.how.score_orders)
    return Trust(
        name,
        read_validation(check.snapshot, check.target, name),
        replayed.another_policy(check.run, check.snapshot),
        bool(check.snapshot.minibatches.size),
        expected,
    )


def source(line: str) -> DeltaGenerator:
    """The line that says where the numbers come from, which is Markdown.

    Returns:
        Where to say whether the round was replayed, see `replayed.draw`.
    """
    with st.container(key="source", horizontal=True, vertical_alignment="center"):
        st.caption(line, help=explained("minibatch order", "seed", "commit"))
        with st.container(key="replayed", width="content"):
            place = st.empty()  # with a line in it, so that nothing moves when there is more to say
            place.caption("not replayed yet")
    return place


def panel(check: Check, estimator: str, trust: Trust) -> None:
    """What was measured, and how it is measured, folded."""
    folded = st.expander("Can these scores be trusted?", key="trust_panel", on_change="rerun")
    if folded.open:
        with folded:
            _panel(check, estimator, trust.found)


def another_estimator(check: Check, estimator: str, trust: Trust) -> None:
    """A button that shows the scores of an estimator that does better here, or may; says which, and nothing where none does."""
    better = None if trust.another_policy else _better(check, estimator, trust.found)
    if better is None:
        return
    name, how, why = better
    measured = None if trust.found is None else trust.found.estimators[name]
    shown, orders = (name, 1) if measured is None else (measured.estimator, measured.orders)
    st.button(
        escape(f"{name} {how}"),
        key="use_recommended",
        type="tertiary",
        icon=":material/recommend:",
        help=f"{escape(why)} A click shows its scores. {LDS}",
        on_click=state.put,
        args=({"estimator": shown, "average_orders": orders},),
    )


def badge(check: Check, estimator: str, trust: Trust, key: str) -> None:
    """What was measured of a ranking; or that nothing was, with a button that measures it and the time that it would take."""
    if trust.another_policy:
        st.badge(
            "trust: none, another policy", icon=":material/error:", color="orange", help=escape(trust.another_policy)
        )
    elif trust.found is not None:
        _measured_badge(trust.found, trust.name, ESTIMATORS[estimator].note)
    elif not trust.can_be_measured:
        st.badge("trust: can't be measured", icon=":material/help:", color="gray", help=UNRECORDED)
    elif check.job().running:
        _being_measured(check)
    else:
        _not_measured(check, estimator, trust, key)


def _measured_badge(found: Validation, name: str, note: str) -> None:
    verdict = found.verdict(name)
    ceiling = "" if found.ceiling is None else f" of {found.ceiling:.2f}"
    st.badge(
        f"trust: LDS {found.estimators[name].lds:.2f}{ceiling}" + (" (few subsets)" if verdict == "few" else ""),
        icon=ICONS[verdict],
        color=COLOURS[verdict],
        help=f"{escape(found.sentence(name))}. {LDS} {name}: {note}",
    )


def _not_measured(check: Check, estimator: str, trust: Trust, key: str) -> None:
    note, expected = f"{estimator}: {ESTIMATORS[estimator].note}", trust.expected
    if expected is None:
        st.badge("trust: not measured", icon=":material/help:", color="gray", help=note)
    else:
        st.badge(
            f"trust: expected LDS {expected.value:.2f} ({expected.low:.2f} to {expected.high:.2f}), not measured",
            icon=":material/query_stats:",
            color="gray",
            help=f"{escape(trust.sentence)} {LDS} {note}",
        )
    estimators = (*CHECKED, OPTIONAL) if estimator == OPTIONAL else CHECKED
    st.button(
        f"Check, {duration(max(check.seconds(estimators), 1))}",
        key=f"{key}_check",
        type="secondary",
        icon=":material/experiment:",
        on_click=page.careful(check.job(estimators).start),
        help=f"Really removes {check.how.subsets} random halves of the records in {check.how.orders} minibatch orders each, "
        "in the background, and sees whether the scores predicted what happens.",
    )


@timed.every(2)
def _being_measured(check: Check) -> None:
    job = check.job()
    if not job.running:
        st.rerun()
    done, total = check.finished(measured_estimators(job) or CHECKED)
    left = job.progress[1]
    st.markdown(
        f":material/hourglass_top: trust: being measured, {done / total:.0%}" + (f", {escape(left)}" if left else ""),
        width="content",
    )


def _better(check: Check, estimator: str, found: Validation | None) -> tuple[str, str, str] | None:
    """The estimator that does better, that in a few words, and why: measured here, or else in the study where it is most like."""
    if found is not None:
        used = averaged_name(estimator, check.how.score_orders)
        offered = [
            name for name, each in found.estimators.items() if each.estimator in ESTIMATORS and each.orders in ORDERS
        ]
        best = found.best_of(offered or [used])
        there, here = (np.nan_to_num(found.estimators[name].lds) for name in (best, used))
        if found.verdict(best) in ("few", "noise", "failed") or there <= here + CLEARLY:
            return None
        return best, "did better, measured here", f"Measured here: {found.sentence(best)}; {found.sentence(used)}."
    advice = check.advice() if check.snapshot.minibatches.size else None
    if advice is None or estimator in (advice.estimator, advice.thorough):
        return None
    return advice.estimator, f"may do better ({advice.briefly})", advice.sentence


def _panel(check: Check, estimator: str, found: Validation | None) -> None:
    words, figures = st.columns(2, gap="large")
    replayable = bool(check.snapshot.minibatches.size)
    with words:
        st.markdown(EXPLANATION)
        st.markdown(
            f"A check removes {check.how.subsets} random subsets of half the records, in {check.how.orders} minibatch orders "
            "each."
        )
        if not replayable:
            st.info(UNRECORDED, icon=":material/info:")
            return
        _start(check, found is not None)
    with figures:
        if found is None:
            st.info("Not measured yet for this run, round, target and estimator.", icon=":material/info:")
            advice = check.advice()
            if advice is not None:
                st.markdown(escape(advice.sentence))
        else:
            _figures(found, averaged_name(estimator, check.how.score_orders))


def _figures(found: Validation, estimator: str) -> None:
    st.markdown(f"**{escape(found.sentence(estimator))}.**")
    if found.best != estimator:
        st.markdown(f"**{escape(found.best)}** did best: {escape(found.sentence(found.best))}.")
    draw_chart(
        charts.predicted_against_actual(found, estimator, state.is_dark()),
        key="predicted_against_actual",
        alt="Scatter of the predicted against the actual change of the target, one mark for each removed subset",
    )
    st.dataframe(
        pd.DataFrame(rows(found)), hide_index=True, height="content", alt="LDS of every estimator that was measured"
    )
    st.caption(escape(measured(found)), help=explained("ceiling", "metasmoothness", "null control"))


def rows(found: Validation) -> list[dict[str, str]]:
    """What was measured of every estimator, the best first."""
    return [
        {
            "estimator": name,
            "LDS": f"{one.lds:.2f} ({one.low:.2f} to {one.high:.2f})",
            "of the ceiling": "" if not found.ceiling else f"{one.lds / found.ceiling:.0%}",
            "additivity gap": f"{1 - one.r2:.0%}",
        }
        for name, one in sorted(found.estimators.items(), key=lambda item: -np.nan_to_num(item[1].lds, nan=-1.0))
    ]


def measured(found: Validation) -> str:
    """How it was measured, in a line."""
    ceiling = "unknown" if found.ceiling is None else f"{found.ceiling:.2f}"
    return (
        f"{found.subsets} {found.design} subsets of {found.share} of the records, {found.orders} minibatch orders; "
        f"ceiling {ceiling}; metasmoothness {found.metasmoothness:.2f}; null control: {found.null_sentence}."
    )


def _start(check: Check, measured: bool) -> None:
    """The button that starts a check, or how far it is."""
    job = check.job()
    if job.running:
        _progress(check)
        return
    estimators = CHECKED
    if st.checkbox(f"with {OPTIONAL}", key="with_regression", help=ESTIMATORS[OPTIONAL].note):
        estimators = (*estimators, OPTIONAL)
    st.button(
        f"Check {'again' if measured else 'it'} (about {duration(check.seconds(estimators))})",
        key="validate",
        icon=":material/experiment:",
        on_click=page.careful(check.job(estimators).start),
        help="Runs in the background; replays that are finished are kept.",
    )
    if job.complaint:
        st.caption(f"The last check stopped: {escape(job.complaint)}")


@timed.every(2)
def _progress(check: Check) -> None:
    job = check.job()
    if not job.running:
        st.rerun()
    done, total = check.finished(measured_estimators(job) or CHECKED)
    st.progress(done / total, f"{done} of {total} replays")
    cancel.draw("stop_check", job.stop, job.stopping, "Stop; keep what is finished")

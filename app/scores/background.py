"""Scores that take a while: what it would take, a button to begin, how far it is, and a button to stop."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import streamlit as st

from app.scores.check import target_in_words
from app.shell import cancel, loaders, page, state, timed
from app.shell.glossary import explained
from app.shell.text import escape
from engine.core.estimators.registry import DEFAULT_ESTIMATOR, ESTIMATORS, PRIOR, REPLAY_REGRESSION
from engine.core.influence import read_influence
from engine.core.kind import kind_of
from engine.core.optimizer_settings import OtherSettings
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.core.targets.question import TargetName
from engine.errors import EngineError
from engine.jobs.calculations import Calculation
from engine.jobs.questions import Influence
from engine.store.read import Run
from engine.store.snapshot import Snapshot, parameters_of
from engine.terminal import duration

ORDERS = (1, 4, 8, 16, 32)
"""Minibatch orders to average over; 1 is the recorded one."""
AT_ONCE_SECONDS = 2.0
"""What takes longer is computed in the background, once it was asked for."""
FIRST_SECONDS = 1.0
"""What the scores that a page begins with may take."""
A_SECONDS_WORK = 4e8
"""Trained parameters times records that an update passes through (epochs times records): so many take `PRIOR` about a second
on one fast core, and up to three on a slow one."""
POLL_SECONDS = 1.0
_BEGUN_WITH = "the estimator that the page began with"


def controls(run: Run, snapshot: Snapshot, target: TargetName) -> tuple[str, int]:
    """Draw the controls of how influence is computed; the estimator, and the minibatch orders to average over."""
    estimator = estimator_control(snapshot)
    return estimator, orders_and_again(run, snapshot, target, estimator, nullcontext())


def estimator_control(snapshot: Snapshot) -> str:
    """Which estimator's scores are shown: what was chosen, else the one that this round begins with."""
    options, default = list(ESTIMATORS.of(snapshot)), first_estimator(snapshot)
    begun_with = state.get(_BEGUN_WITH)
    if begun_with not in (None, default) and state.wanted("estimator") == begun_with:  # nobody chose it
        state.put({"estimator": default})
    state.put({_BEGUN_WITH: default})
    state.choose("estimator", options, default)
    return str(st.selectbox("Estimator", options, key="estimator", width=170, help=explained(*options)))


def first_estimator(snapshot: Snapshot) -> str:
    """The best one that takes about a second at most: `PRIOR` where that can be had, else the paper's.

    From what the round is, not from timing it: a view is the same whatever else the machine does.
    """
    if PRIOR not in ESTIMATORS.of(snapshot):
        return DEFAULT_ESTIMATOR
    kind = kind_of(snapshot)
    seconds = kind.seconds_an_order(snapshot, PRIOR)
    if seconds is None:
        size = sum(tensor.size for tensor in parameters_of(snapshot.checkpoint).values())
        seconds = size * snapshot.minibatches.size / A_SECONDS_WORK
    if seconds > FIRST_SECONDS:
        return DEFAULT_ESTIMATOR
    try:
        is_known = not isinstance(kind.agent(snapshot).optimizer_settings, OtherSettings)
    except EngineError:  # such as a class that is not allowed; its scores say so
        return DEFAULT_ESTIMATOR
    return PRIOR if is_known else DEFAULT_ESTIMATOR


def orders_and_again(
    run: Run, snapshot: Snapshot, target: TargetName, estimator: str, place: AbstractContextManager[Any]
) -> int:
    """The minibatch orders that the scores are averaged over, and in `place` beside them a button that computes them anew."""
    orders = orders_control(snapshot, estimator, place)
    with place:
        st.button(
            "Compute again",
            key="compute",
            icon=":material/refresh:",
            help="Influence is computed when you open a round and then kept. This computes it anew.",
            on_click=compute_again,
            args=(run, snapshot, target, estimator),
        )
    return orders


def orders_control(snapshot: Snapshot, estimator: str, place: AbstractContextManager[Any]) -> int:
    """How many minibatch orders the scores are averaged over; the control is in `place`."""
    options, why = list(ORDERS), (
        "How many minibatch orders the scores are averaged over. 1 is the recorded order alone; what one order says is mostly "
        "noise. first_order depends on the order only through the normalisation of advantages."
    )  # fmt: skip
    if estimator == REPLAY_REGRESSION:
        why = (
            "Over how many minibatch orders the scores are averaged that it starts from. Its replays have an order of their own "
            "each, whatever is chosen here."
        )
    if not snapshot.minibatches.size:
        options, why = [1], "The minibatch order of this round was not recorded."
    state.choose("average_orders", options, 1)
    with place:
        chosen = st.selectbox("Orders", options, key="average_orders", width=84, help=why, disabled=len(options) == 1)
    return int(chosen or 1)


def provenance(snapshot: Snapshot, orders: int) -> str:
    """`averaged`, for the line beside the badge."""
    if not snapshot.minibatches.size:
        return "minibatch order not recorded"
    return averaged(orders)


def averaged(orders: int) -> str:
    """Which orders, in words."""
    return "recorded minibatch order" if orders == 1 else f"mean of {orders} minibatch orders"


def scores(
    run: Run,
    snapshot: Snapshot,
    target: Target,
    estimator: str,
    orders: int = 1,
    key: str = "influence",
    by_layer: bool = False,
) -> Scores | None:
    """The scores, if they are kept or take no time; else None, and what can be done about it is drawn.

    Args:
        run: the run.
        snapshot: its round.
        target: f.
        estimator: its name.
        orders: minibatch orders.
        key: begins the keys of what is drawn.
        by_layer: whether they are to be split by layer as well.

    Raises:
        EngineError: they can't be computed; one line.
    """
    job = background(run, snapshot, target, estimator, orders, by_layer=by_layer)
    what = f"{estimator}{' by layer' if by_layer else ''}, {averaged(orders)}"
    if job.running:
        progress(job, what, key)
        return None
    if takes_no_time(snapshot, target, estimator, orders, by_layer):
        return loaders.load_scores(snapshot, target, estimator, orders, by_layer)
    kept = read_influence(snapshot, target, estimator, orders=orders, by_layer=by_layer)
    if kept is None:
        kind_of(snapshot).check_loadable(snapshot)
        offer(job, what, loaders.influence_seconds(snapshot, target, estimator, orders, by_layer), key)
    return kept


def takes_no_time(snapshot: Snapshot, target: Target, estimator: str, orders: int, by_layer: bool = False) -> bool:
    """Whether scores may be computed while the page is drawn."""
    if estimator == REPLAY_REGRESSION:
        return False
    if estimator == PRIOR == first_estimator(snapshot) and orders == 1 and not by_layer:
        return True
    return loaders.influence_seconds(snapshot, target, estimator, orders, by_layer) <= AT_ONCE_SECONDS


def background(
    run: Run,
    snapshot: Snapshot,
    target: Target,
    estimator: str,
    orders: int,
    *,
    by_layer: bool = False,
    refresh: bool = False,
) -> Calculation:
    """Influence in the background; it fills the cache that the page reads."""
    asked = Influence(
        round=snapshot.round,
        target=target_in_words(target),
        estimator=estimator,
        orders=orders,
        by_layer=by_layer,
        refresh=refresh,
    )
    return Calculation(run, asked)


@page.careful
def compute_again(run: Run, snapshot: Snapshot, target: TargetName, estimator: str) -> None:
    """Compute anew what is shown, and say whether the numbers are the same; in the background if it takes long (a callback)."""
    chosen, orders = loaders.load_target(snapshot, target), int(state.get("average_orders", 1))
    kind_of(snapshot).check_loadable(snapshot)
    if not takes_no_time(snapshot, chosen, estimator, orders):
        background(run, snapshot, chosen, estimator, orders, refresh=True).start()
        return
    same = loaders.recompute(snapshot, chosen, estimator, orders)
    st.toast(
        "Computed again: the same numbers." if same else "Computed again: other numbers than those that were kept."
    )


def offer(job: Calculation, what: str, seconds: float, key: str) -> None:
    """A button that computes in the background what takes this long."""
    with st.container(key=f"{key}_offer", border=True):
        st.markdown(
            f"**{escape(what)}**: not computed yet for this round and target. It takes about {duration(max(seconds, 1))}, in "
            "the background, and is kept."
        )
        st.button(
            f"Compute it (about {duration(max(seconds, 1))})",
            key=f"{key}_start",
            type="primary",
            icon=":material/play_arrow:",
            on_click=page.careful(job.start),
        )
        if job.complaint:
            st.caption(f"The last time it stopped: {escape(job.complaint)}")


@timed.every(POLL_SECONDS)
def progress(job: Calculation, what: str, key: str) -> None:
    """How far it is, and a button to stop it; looks every second."""
    if not job.running:
        st.rerun()
    share, left = job.progress
    with st.container(key=f"{key}_progress", border=True):
        st.progress(share, f"computing {escape(what)}: {share:.0%}" + (f", {escape(left)}" if left else ""))
        cancel.draw(f"{key}_cancel", job.stop, job.stopping)

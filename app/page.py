"""What all pages share: the header with the run, links that keep the view, and errors in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import live, loaders, state
from app.text import escape
from engine.errors import EngineError, NotARunError
from engine.learning.checkpoint import same_machine
from engine.store.read import Run
from engine.store.snapshot import Snapshot

P = ParamSpec("P")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Show an error that a user or a disk can cause as one line, never as a traceback."""
    try:
        yield
    except (EngineError, OSError) as error:
        st.error(escape(error), icon=":material/error:")


@contextmanager
def naming(run: str) -> Iterator[None]:
    """Say which of several runs an error is about."""
    try:
        yield
    except (EngineError, OSError) as error:
        raise EngineError(f"{run}: {error}") from error


def careful(callback: Callable[P, None]) -> Callable[P, None]:
    """A widget's callback whose errors are shown in one line: callbacks run outside the page."""

    @wraps(callback)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            callback(*args, **kwargs)
        except (EngineError, OSError) as error:
            st.toast(escape(error), icon=":material/error:")

    return guarded


def part(draw: Callable[P, None]) -> Callable[P, None]:
    """A part of a page that is drawn anew by itself when one of its own widgets changes."""

    @st.fragment
    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        with state.part(), one_line_errors():
            draw(*args, **kwargs)

    return drawn


def header(with_round: bool) -> None:
    """The run selector, and on pages about a round the round slider beside it.

    They belong to the entry file, not to a page, so that the choice survives going from page to page.
    """
    paths = loaders.run_paths()
    if not paths:
        folders = " or ".join(str(folder) for folder in loaders.run_folders())
        st.info(
            f"There is no run in {folders} yet. Record one, then reload this page:\n\n"
            "`python -m engine train CartPole-v1 --out runs/cartpole`",
            icon=":material/info:",
        )
        st.stop()
    owner = _owner(state.asked("iv"), paths)
    name = state.choose("run", list(paths), owner or _first(paths), always=True)
    left, right = st.columns([2, 5], gap="medium", vertical_alignment="bottom")
    left.selectbox("Run", list(paths), key="run")
    if with_round:
        rounds = loaders.load_run(paths[name]).stored_rounds
        live.follow(name, rounds)
        _round_slider(rounds, right)


def _round_slider(rounds: list[int], place: DeltaGenerator) -> None:
    """A slider over the rounds with records, and buttons for the previous and the next one."""
    if not rounds:
        return
    state.choose("round", rounds, rounds[len(rounds) // 2], always=True)
    if len(rounds) == 1:
        with place:
            st.selectbox("Round", rounds, key="round", width=140)
        return
    back, middle, forward = place.columns([2, 18, 2], vertical_alignment="bottom")
    back.button(
        "",
        icon=":material/chevron_left:",
        key="previous_round",
        help="Previous recorded round",
        shortcut="P",
        on_click=state.step,
        args=("round", rounds, -1),
    )
    with middle:
        st.select_slider("Round", rounds, key="round")
    forward.button(
        "",
        icon=":material/chevron_right:",
        key="next_round",
        help="Next recorded round",
        shortcut="N",
        on_click=state.step,
        args=("round", rounds, 1),
    )


def _owner(intervention: str | None, paths: dict[str, Path]) -> str | None:
    """The run that an intervention belongs to: a link may name the intervention alone."""
    if intervention is None or not re.fullmatch(r"[0-9a-f]{12}", intervention):
        return None
    return next((name for name, path in paths.items() if (path / "interventions" / intervention).is_dir()), None)


def _first(paths: dict[str, Path]) -> str:
    """The run that a newcomer sees: the first that is not a branch."""
    return next((name for name in paths if "interventions/" not in name), next(iter(paths)))


def short_name(run: str) -> str:
    """A run's id where room is short: `lander/interventions/0123456789ab/branch/control` -> `lander/0123456789ab/control`."""
    return re.sub(r"/interventions/([0-9a-f]{12})/branch\b", r"/\1", run)


def intervention_of(run: str) -> dict[str, str] | None:
    """The view of Compare that a branch belongs to; None if the run is no intervention's branch."""
    match = re.fullmatch(r"(.*)/interventions/([0-9a-f]{12})/branch", run)
    return {"run": match[1], "iv": match[2]} if match else None


def current_run() -> tuple[str, Run]:
    """Id and run of the header's selector; stops the page if there is none.

    Raises:
        EngineError: the run is damaged, or too new.
    """
    name = state.get("run")
    path = loaders.run_paths().get(name)
    if path is None:
        raise NotARunError(f"the run {name} is no longer there; choose another one")
    return name, loaders.load_run(path)


def recorded_rounds(run: Run) -> list[int]:
    """Rounds with records; stops the page with advice if there is none."""
    if not run.stored_rounds:
        st.info("No round of this run has records yet. If it is being trained, the first one is here in a moment.")
        st.stop()
    return run.stored_rounds


def current_round(run: Run) -> int:
    """The round of the header's slider; stops the page with advice if there is none."""
    rounds = recorded_rounds(run)
    return int(state.get("round", rounds[0]))


def provenance(run: Run, snapshot: Snapshot, *parts: str) -> str:
    """Where a number comes from, in one small line."""
    return " · ".join((*parts, f"round {snapshot.round}", f"seed {run.config.seed}", f"commit {snapshot.hash[:10]}"))


def elsewhere(snapshot: Snapshot) -> None:
    """A badge on a round that was recorded with other software or on another machine."""
    if not same_machine(snapshot.fingerprint):
        st.badge(
            "recorded elsewhere: replays to rounding",
            icon=":material/computer:",
            color="gray",
            help="Recorded with other software or on another machine: replays agree with the recording to rounding, not bit "
            "for bit. The null control of a check measures by how much.",
        )


def without_minibatches(snapshot: Snapshot) -> None:
    """A banner on a round whose update can't be replayed."""
    if not snapshot.minibatches.size:
        st.warning(
            "This round was recorded without its minibatches: first_order influence can be computed; the other estimators, "
            "checks and retraining can't, because the update can't be replayed.",
            icon=":material/info:",
        )


def action_names(run: Run) -> list[str]:
    """Names of the discrete actions."""
    space = run.manifest.action_space
    return list(space.names) if len(space.names) == space.n else [f"action {i}" for i in range(space.n)]

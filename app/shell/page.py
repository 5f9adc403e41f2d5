"""What all pages share: the header with the run, links that keep the view, and errors in one line."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.shell import follow_run, kinds, loaders, presses, state, timed
from app.shell.text import escape
from engine.errors import EngineError, NotARunError
from engine.recording.readers.dumps import open_dump
from engine.store.read import Run
from engine.store.snapshot import Snapshot

P = ParamSpec("P")


def in_one_line(error: Exception) -> str:
    """An error as a page says it.

    What no reader of a run refused, and yet can't be shown, is the last resort: a run may hold anything, and one that is bad
    must not take a page from the others. The log has the traceback.
    """
    if isinstance(error, EngineError | OSError):
        return str(error)
    logging.getLogger(__name__).error("a part of a page can't be shown", exc_info=error)
    said = " ".join(str(error).split())[:200]
    return f"this can't be shown ({type(error).__name__}: {said}); the program's log has the details"


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Show an error as one line, never as a traceback."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  see `in_one_line`
        st.error(escape(in_one_line(error)), icon=":material/error:")


@contextmanager
def naming(run: str) -> Iterator[None]:
    """Say which of several runs an error is about."""
    try:
        yield
    except Exception as error:
        raise EngineError(f"{run}: {in_one_line(error)}") from error


def careful(callback: Callable[P, None]) -> Callable[P, None]:
    """A widget's callback whose errors are shown in one line: callbacks run outside the page."""

    @wraps(callback)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            callback(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  see `in_one_line`
            st.toast(escape(in_one_line(error)), icon=":material/error:")

    return guarded


def fragment(draw: Callable[P, None]) -> Callable[P, None]:
    """A part of a page that is drawn anew by itself when one of its own widgets changes."""

    @st.fragment
    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        with timed.part(), state.fragment(), one_line_errors():
            draw(*args, **kwargs)

    return drawn


def header(with_round: bool, dumps: Mapping[str, Path] | None = None) -> None:
    """The run selector, and on pages about a round the round slider beside it.

    They belong to the entry file, not to a page, so that the choice survives going from page to page. A run that is asked
    for and is not here stays chosen: the page says so, and shows it as soon as it is here.

    Args:
        with_round: whether the page is about a round.
        dumps: id -> folder of other trainers' files, on the page that shows them; None elsewhere.
    """
    paths, view_only = loaders.run_paths(), dumps or {}
    names, asked = [*paths, *view_only], state.wanted("run")
    missing = asked is not None and asked not in names
    if not names and not missing:
        how_to_record()
        state.stop()
    options = [*names, str(asked)] if missing else names
    owner = _owner(state.asked("iv"), paths)
    default = (
        owner
        or (_first(paths) if dumps is None else next(iter([*runs_shown_on("sequences", paths), *view_only, *paths])))
        if names
        else str(asked)
    )
    name = state.choose("run", options, default, always=True)
    left, right = st.columns([2, 5], gap="medium", vertical_alignment="bottom")
    labels = loaders.run_labels(paths) | {run: f"{run} (view only)" for run in view_only}
    left.selectbox("Run", options, key="run", format_func=lambda run: labels.get(run, run))
    if name not in names:
        _not_here(name)
    elif with_round:
        rounds = open_dump(view_only[name]).steps if name in view_only else loaders.load_run(paths[name]).stored_rounds
        follow_run.follow(name, rounds)
        _round_slider(rounds, right, "Step" if name in view_only else "Round")


def how_to_record() -> None:
    """What to do where there is no run."""
    folders = " or ".join(str(folder) for folder in loaders.run_folders())
    st.info(
        f"There is no run in {escape(folders)} yet. Record one, then reload this page:\n\n"
        "`python -m engine train CartPole-v1 --out runs/cartpole`",
        icon=":material/info:",
    )


def _not_here(name: str) -> None:
    """Say that a run is not here, and wait for it."""
    folders = " or ".join(str(folder) for folder in loaders.run_folders())
    st.info(
        f"The run {escape(name)} is not in {escape(folders)}. If it is being recorded, it appears here as soon as it exists; "
        "otherwise choose another one.",
        icon=":material/hourglass_empty:",
    )
    follow_run.redraw_when(lambda: name in loaders.run_paths())
    state.stop()


def runs_shown_on(view: str, paths: Mapping[str, Path]) -> list[str]:
    """Ids of the runs whose records that page is about; those that can't be read, for whatever reason, are passed over."""
    found = []
    for name, path in paths.items():
        with suppress(Exception):
            if view in (page.view for page in kinds.shown(loaders.load_run(path)).pages):
                found.append(name)
    return found


def _round_slider(rounds: list[int], place: DeltaGenerator, label: str) -> None:
    """A slider over the rounds with records, and buttons for the previous and the next one."""
    if not rounds:
        return
    state.choose("round", rounds, rounds[len(rounds) // 2], always=True)
    if len(rounds) == 1:
        with place:
            st.selectbox(label, rounds, key="round", width=140)
        return
    steps = {"previous_round": -1, "next_round": 1}

    def step() -> None:
        for key in presses.new(steps):
            state.step("round", rounds, steps[key])

    back, middle, forward = place.columns([2, 18, 2], vertical_alignment="bottom")
    with back:
        presses.button(
            "previous_round", help="Previous recorded round", icon="chevron_left", shortcut="P", on_press=careful(step)
        )
    with middle:
        st.select_slider(label, rounds, key="round")
    with forward:
        presses.button(
            "next_round", help="Next recorded round", icon="chevron_right", shortcut="N", on_press=careful(step)
        )


def _owner(intervention: str | None, paths: dict[str, Path]) -> str | None:
    """The run that an intervention belongs to: a link may name the intervention alone."""
    if intervention is None or not re.fullmatch(r"[0-9a-f]{12}", intervention):
        return None
    return next((name for name, path in paths.items() if (path / "interventions" / intervention).is_dir()), None)


def _first(paths: dict[str, Path]) -> str:
    """The run that a newcomer sees: the first that is not a branch."""
    return next((name for name in paths if "interventions/" not in name), next(iter(paths)))


def called(runs: Mapping[str, Run], name: str) -> str:
    """What lists and legends call one of the runs; see `loaders.run_label`."""
    return loaders.run_label(name, runs[name].path)


def intervention_of(run: str) -> dict[str, str] | None:
    """The view of Outcome that a branch belongs to; None if the run is no intervention's branch."""
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


def only_about(run: Run, view: str) -> None:
    """Lead a run whose records this page is not about to the page that is, and stop."""
    if view not in (page.view for page in kinds.shown(run).pages):
        with st.container(key="to_its_records", horizontal=True, vertical_alignment="center"):
            st.markdown(kinds.shown(run).elsewhere)
            to_records(run, str(state.get("run")), state.get("round"))
        state.stop()


def to_records(run: Run, name: str, round: int | None) -> None:
    """A link to a run's records, of a round where one is known."""
    page = kinds.records_page(run)
    st.page_link(
        f"views/{page.view}.py",
        label=f"Open {page.title}" if round is None else page.link.format(round=escape(round)),
        icon=page.icon,
        query_params={"run": name} if round is None else {"run": name, "round": str(round)},
    )


def to_autopsy(name: str, round: int, label: str = "Autopsy of this round") -> None:
    """A link to what happened in the update of a round."""
    st.page_link(
        "views/autopsy.py",
        label=label,
        icon=":material/biotech:",
        query_params={"run": name, "round": str(round)},
        help="Was its change real, what would have prevented a fall, and what to try.",
    )


def recorded_rounds(run: Run) -> list[int]:
    """Rounds with records; stops the page with advice if there is none."""
    if not run.stored_rounds:
        st.info("No round of this run has records yet. If it is being trained, the first one appears here in a moment.")
        state.stop()
    return run.stored_rounds


def current_round(run: Run) -> int:
    """The round of the header's slider; stops the page with advice if there is none."""
    rounds = recorded_rounds(run)
    return int(state.get("round", rounds[0]))


def provenance(run: Run, snapshot: Snapshot, *parts: str) -> str:
    """Where a number comes from, in one small line."""
    return " · ".join((*parts, f"round {snapshot.round}", f"seed {run.config.seed}", f"commit {snapshot.hash[:10]}"))


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

"""Cached reads and computations: views ask here, and nothing is read or computed twice.

Cached values are shared between sessions: treat them as read-only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app.asked import asked
from app.shell import kinds
from app.shell.branch_names import branch_name
from app.shell.cached import cached
from engine.allowed import allow_options
from engine.analysis.formation import related_scores
from engine.analysis.relations import Relations
from engine.analysis.rendering import render, render_state
from engine.core.chosen_targets import named_target
from engine.core.estimators.averaged_over_orders import influence_seconds as influence_estimate
from engine.core.estimators.registry import DEFAULT_ESTIMATOR
from engine.core.faithfulness.cost import validation_seconds
from engine.core.faithfulness.measure import Measurement
from engine.core.influence import influence, read_influence
from engine.core.kind import kind_of
from engine.core.replays.many import replay_seconds
from engine.core.replays.rebuilt_policy import RebuiltPolicy, rebuilt_policy
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.core.targets.of_records import ActionTarget
from engine.core.targets.question import TargetName
from engine.errors import EngineError
from engine.executors import Pool
from engine.experiments.faithfulness_report import read_study
from engine.experiments.recommendation import Recommendation, recommend
from engine.jobs.launch import hand_tasks_to, jobs_pool
from engine.kinds.control.blueprint import Blueprint
from engine.kinds.control.fields import policy_in, record_fields, rows_of
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.buckets.mirror import address_of, local_folder
from engine.store.files import Files
from engine.store.find import find_runs
from engine.store.read import Run, open_run
from engine.store.run_notes import run_notes_or_why
from engine.store.snapshot import Float32s, Snapshot

ROOT = Path(__file__).resolve().parents[2]
"""What `engine` and `app` are in: a checkout, or where they are installed."""
STUDY = ROOT / "engine" / "experiments" / "study"
"""The study of faithfulness that ships."""
STORE_SECONDS = 5.0
"""Between two looks into an object store, for runs or for commits."""


def run_folders() -> list[Path]:
    """Where runs are looked for: `--runs DIR` or `--runs ADDRESS` (repeatable), by default `default_folders`."""
    return [local_folder(place) for place in asked().runs or ()] or default_folders()


def default_folders() -> list[Path]:
    """`sample_runs/` and `runs/`: of the checkout, or of the working directory where the packages are installed."""
    home = ROOT if (ROOT / "pyproject.toml").is_file() else Path.cwd()
    return [home / "sample_runs", home / "runs"]


def allow_what_is_said() -> None:
    """Let this process load, import and write what its own arguments say, and nothing else; jobs work where they say.

    Raises:
        BadInputError: the base is no folder, a module can't be imported, or there is no such executor.
    """
    said = asked()
    allow_options(said)
    hand_tasks_to(Pool(said.executor, said.workers))
    Files.writes_nothing = said.read_only


def run_paths() -> dict[str, Path]:
    """Run id -> folder. Ids come from listing folders, never from the URL."""
    return {name: path for names in runs_by_folder().values() for path, name in names.items()}


def runs_by_folder() -> dict[Path, dict[Path, str]]:
    """Folder of runs -> folder of a run in it -> run id."""
    taken: set[str] = set()
    found: dict[Path, dict[Path, str]] = {}
    for folder in dict.fromkeys(run_folders()):
        names = found[folder] = {}
        for path in find_runs(folder) if address_of(folder) is None else runs_in_store(folder):
            name = "/".join(path.parts[len(folder.parts) :]) or folder.resolve().name
            while name in taken:
                name = f"{folder.name}/{name}"
            taken.add(name)
            names[path] = name
    return found


@st.cache_data(ttl=STORE_SECONDS, show_spinner="looking for runs in the object store …")
def runs_in_store(folder: Path) -> list[Path]:
    """The runs that can be read at an address, by the folder that stands for it; asked anew after `STORE_SECONDS`."""
    return [path for path in find_runs(folder) if (path / "run.json").is_file()]


def run_labels(paths: Mapping[str, Path]) -> dict[str, str]:
    """Run id -> its `run_label`.

    Args:
        paths: from `run_paths`.
    """
    folders = run_folders()
    return {run: _label(run, path, folders) for run, path in paths.items()}


def run_label(run: str, path: Path) -> str:
    """What lists and legends call a run: its id, or what a removal's branch went without; before it any name it was given.

    Args:
        run: its id, see `run_paths`.
        path: its folder.
    """
    return _label(run, path, run_folders())


def _label(run: str, path: Path, folders: Sequence[Path]) -> str:
    folder = next((each for each in folders if each in path.parents), None)
    name, own = run_notes_or_why(path, folder)[0].name, branch_name(run, path) or run
    return f"{name} ({own})" if name else own


def load_run(path: Path) -> Run:
    """The run as it is now; its commits are verified once, new ones as they come, and all where `run.json` is another.

    Raises:
        EngineError: the run is damaged, or too new.
    """
    run = _opened(path)
    if address_of(path) is None:
        run.refresh()
    else:
        look_into_store(path)
    return run


@st.cache_data(ttl=STORE_SECONDS, show_spinner=False)
def look_into_store(path: Path) -> None:
    """Look for new commits of an object store's run; a page asks for its run many times."""
    _opened(path).refresh()


@cached(max_entries=1024, by=lambda path: (path, (path / "run.json").stat().st_mtime_ns))
def _opened(path: Path) -> Run:
    return open_run(path, indexed=True)


def _round_as_committed(run: Run, round: int) -> tuple[Path, int, str]:
    """A round by its own commit: the run's newest one changes."""
    return run.path, round, next((info.hash for info in run.rounds if info.round == round), "")


@cached(max_entries=8, show_spinner="reading the round …", by=_round_as_committed)
def load_snapshot(run: Run, round: int) -> Any:
    """One round as a snapshot of the run's kind, verified."""
    return run.snapshot(round)


@cached(max_entries=32)
def load_target(snapshot: Snapshot, name: TargetName) -> Any:
    """The target of that name; another round's buffer is read once. Errors as `engine.core.chosen_targets.named_target`."""
    return named_target(snapshot, name)


@cached(max_entries=64)
def load_rebuilt(snapshot: Snapshot) -> RebuiltPolicy:
    """Whether the policy that a round's files make is the recorded one."""
    try:
        return rebuilt_policy(snapshot)
    except EngineError as error:
        return RebuiltPolicy(None, False, str(error))


@cached(max_entries=32, show_spinner="computing influence …")
def load_scores(snapshot: Snapshot, target: Target, estimator: str, orders: int = 1, by_layer: bool = False) -> Scores:
    """Influence of a round's records, computed now unless it is kept."""
    kept = read_influence(snapshot, target, estimator, orders=orders, by_layer=by_layer)
    if kept is not None:
        return kept
    kind_of(snapshot).check_loadable(snapshot)
    return influence(snapshot, target, estimator, orders=orders, by_layer=by_layer)


def recompute(snapshot: Snapshot, target: Target, estimator: str, orders: int = 1) -> bool:
    """Compute influence anew in the place of what is kept; returns whether the numbers are the same."""
    kept = load_scores(snapshot, target, estimator, orders)
    fresh = influence(snapshot, target, estimator, orders=orders, refresh=True)
    load_scores.clear()
    return np.array_equal(kept.influence, fresh.influence)


def influence_seconds(
    snapshot: Snapshot, target: Target, estimator: str, orders: int = 1, by_layer: bool = False
) -> float:
    """How long scores would take that are not kept; the cheapest ones are not timed."""
    known = kind_of(snapshot).seconds_an_order(snapshot, estimator, by_layer)
    if known is None and estimator == DEFAULT_ESTIMATOR and orders == 1:
        return 0.0

    def an_order(name: str, layers: bool) -> float:
        return _seconds_an_order(snapshot, target, target.name, name, layers)

    def a_replay() -> float:
        return _replay_seconds(snapshot)

    return influence_estimate(
        snapshot, estimator, target, orders, by_layer, jobs_pool(), an_order=an_order, a_replay=a_replay
    )


def _as_long(snapshot: Snapshot, target: Target, name: str, estimator: str, by_layer: bool) -> tuple[Any, ...]:
    """Targets of one name take equally long, and so do rounds of a run whose updates are equally large."""
    return str(snapshot.path or snapshot.hash), snapshot.minibatches.shape, name, estimator, by_layer


@cached(max_entries=64, by=_as_long)
def _seconds_an_order(snapshot: Snapshot, target: Target, name: str, estimator: str, by_layer: bool) -> float:
    """From timing it."""
    return influence_estimate(snapshot, estimator, target, by_layer=by_layer)


@cached(max_entries=64)
def _replay_seconds(snapshot: Snapshot) -> float:
    """What the round's update took, or else one replay."""
    recorded = snapshot.metrics.get("update_seconds")
    return replay_seconds(snapshot) if recorded is None else float(recorded)


@cached(max_entries=64)
def check_seconds(snapshot: Snapshot, estimators: tuple[str, ...], how: Measurement) -> float:
    """How long a validation of a round's scores would take, from the time that its update took, or else of one replay."""
    return validation_seconds(snapshot, how, estimators, jobs_pool(), one=_replay_seconds(snapshot))


def recommendation(run: Run, snapshot: Snapshot, target: str) -> Recommendation | None:
    """What the study that ships says of a round like this one; None where it says nothing, or is not here."""
    if not kinds.shown(run).is_studied:
        return None
    studied = run.manifest.environment is None  # a namesake outside the catalogue is another environment
    name = run.manifest.env_id if studied else f"{run.manifest.env_id} as Gymnasium has it"
    return recommend(_study(), name, snapshot.round / max(run.config.rounds, 1), target)


@cached()
def _study() -> list[dict[str, Any]]:
    with suppress(EngineError, OSError):
        return read_study(STUDY)
    return []


@cached(max_entries=16)
def load_fields(snapshot: ControlSnapshot) -> dict[str, NDArray[Any]]:
    """The columns of a round's records; `influence` is a column to be filled in."""
    return record_fields(snapshot)


@cached(max_entries=64)
def picture(snapshot: ControlSnapshot, record: int) -> NDArray[np.uint8] | str:
    """The rendered state of a record, or one line that says why there is none."""
    try:
        return render(snapshot, record)
    except EngineError as error:
        return str(error)


@cached(max_entries=64)
def state_picture(snapshot: ControlSnapshot, observation: NDArray[Any]) -> NDArray[np.uint8] | str:
    """A typed state drawn, or one line that says why there is no picture."""
    try:
        return render_state(snapshot, observation)
    except EngineError as error:
        return str(error)


@cached(max_entries=256)
def policies_in(run: Run, snapshot: ControlSnapshot, state: int | NDArray[Any]) -> list[NDArray[np.float32]] | str:
    """What the policies before and after a round's update say of one state, the latter where it is recorded.

    Args:
        run: the run.
        snapshot: its round.
        state: a record's number, or (1, ...) a typed observation.

    Returns:
        Action probabilities, or means and standard deviations, of one or two policies; or one line that says why not.
    """
    observation = rows_of(snapshot.buffer.observation, [state]) if isinstance(state, int) else state
    try:
        blueprint = Blueprint.of(snapshot)
        after = [run.checkpoint(snapshot.round + 1)] if run.has_checkpoint(snapshot.round + 1) else []
        return [policy_in(blueprint.policy(each), observation) for each in (snapshot.checkpoint, *after)]
    except EngineError as error:
        return str(error)


@cached(max_entries=16)
def behaviour_records(snapshot: ControlSnapshot, target: ActionTarget) -> tuple[Float32s, Relations]:
    """Influence of a round's records on a behaviour, and how they relate to it."""
    return related_scores(snapshot, target)

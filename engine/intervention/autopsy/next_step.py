"""One thing to try after an autopsy, as a command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from engine import envs
from engine.core.kind import kind_of
from engine.errors import BadInputError
from engine.intervention.autopsy.autopsy_result import Verdict
from engine.intervention.autopsy.worst_records import estimator_for
from engine.store.read import Run
from engine.store.snapshot import Snapshot

PRESET = "default"
"""Of the commands: every environment has it."""


def next_step(
    run: Run, snapshot: Snapshot, verdict: Verdict, is_fault: bool, remedy: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """What to try; empty where there is nothing.

    Args:
        run: the run.
        snapshot: its round.
        verdict: of the autopsy.
        is_fault: whether a check of the record found it, and no policy that was played.
        remedy: settings with which the fall does not happen, where an arm has some.
    """
    if is_fault:
        before = snapshot.round - 1
        return _engine("autopsy", str(run.path), "--round", str(before)) if run.has_records(before) else ""
    config = snapshot.config
    if verdict == "not real":
        return _engine("incidents", str(run.path))
    if verdict == "order":
        return _train(run, snapshot, {"batch_size": 2 * config.batch_size})
    if verdict == "data":
        return _train(run, snapshot, {"n_steps": 2 * config.n_steps})
    if verdict == "records":
        chosen = estimator_for(snapshot).estimator
        where = (str(run.path), "--round", str(snapshot.round))
        return _engine("diagnose", *where, "--estimator", chosen)
    return _train(run, snapshot, remedy) if remedy else ""


def _train(run: Run, snapshot: Snapshot, changed: Mapping[str, Any]) -> str:
    """The training again, with other settings; only the settings where another trainer made the run."""
    said = ", ".join(f"{name}={_plain(value)}" for name, value in changed.items())
    config = snapshot.config
    try:
        usual = envs.preset(config.env_id, PRESET).to_json()
    except BadInputError:
        usual = {}
    if kind_of(snapshot).no_training or not usual or run.manifest.environment is not None:
        return f"{said}  # in the training that made this run"
    own = {name: value for name, value in config.to_json().items() if value != usual[name]} | dict(changed)
    settings = [
        part
        for name, value in own.items()
        if name not in ("env_id", "seed", "rounds")
        for part in ("--set", f"{name}={_plain(value)}")
    ]
    out = f"runs/{run.name}-{'-'.join(changed)}"
    first = ("--preset", PRESET, "--seed", str(changed.get("seed", config.seed)), "--rounds", str(config.rounds))
    return _engine("train", config.env_id, *first, *settings, "--out", out)


def _plain(value: Any) -> str:
    """A setting as `--set` reads it."""
    return value if isinstance(value, str) else json.dumps(value)


def _engine(*words: str) -> str:
    return f"python -m engine {shlex.join(words)}"


def next_after_rounds(
    run: Run, snapshot: Snapshot, recorded: Mapping[int, float], verdict: str, remedy: Mapping[str, Any]
) -> str:
    """What to try after an autopsy of many rounds; empty where there is nothing.

    Args:
        run: the run.
        snapshot: the first of the rounds.
        recorded: round -> mean return of its policy.
        verdict: of the autopsy.
        remedy: settings of the arm that explains it.
    """
    if verdict == "luck":
        return _train(run, snapshot, {"seed": snapshot.config.seed + 1})
    if remedy:
        return _train(run, snapshot, remedy)
    if verdict != "unexplained":
        return _engine("incidents", str(run.path)) if verdict == "rose" else ""
    rounds = sorted(recorded)
    first, last = min(pairwise(rounds), key=lambda pair: recorded[pair[1]] - recorded[pair[0]])
    where = ("--round", f"{first}") if last == first + 1 else ("--rounds", f"{first}:{last}")
    return _engine("autopsy", str(run.path), *where) if len(rounds) > 2 or last == first + 1 else ""


def next_after_parting(run: Run, round: int, before: int | None) -> str:
    """What to try where two runs parted; empty where there is nothing.

    Args:
        run: the one with the lower returns.
        round: at which its policy differs from the other's.
        before: the last round at which it did not, as far as is stored; None where there is none.
    """
    if before is None or not run.has_records(before):
        return ""
    where = ("--round", str(before)) if before == round - 1 else ("--rounds", f"{before}:{round}")
    return _engine("autopsy", str(run.path), *where)

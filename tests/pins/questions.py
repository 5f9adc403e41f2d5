"""What the pins ask of the engine: the one file that follows when its names move. Everything else here is data.

A pinned run is asked about its round `ROUND`, whose optimizer already has a state. `answers` is what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import engine
from engine.core.checkpoint import fingerprint
from engine.core.faithfulness.result import Validation

ROUND = 1
RECORD = 5
"""The record of action targets; it is kept in every pinned round."""
CONTROL_ESTIMATORS = ("first_order", "tracin", "tracin_adam", "replay_gradient")
FIT = "replay_regression"
FITTED: Mapping[str, tuple[str, ...]] = {"control-v1": ("return",), "control-v2-guarded": ("action",)}
"""The pinned runs whose round is fitted to a thousand replays, and on which targets: each takes seconds, and twice as
many where torch replays."""
LANGUAGE_ESTIMATORS = ("first_order", "tracin", "tracin_adam")
VALIDATED = ("first_order", "tracin_adam")
ORDERS = 2
"""Minibatch orders of everything that is averaged over some."""

_OF_THIS_CALL = (
    "run",
    "parent",
    "same_machine",
    "seconds",
    "created",
    "fingerprint_equal",
    "null_exact",
    "null_difference",
)
"""What a result says of the call and the machine rather than of the round."""


class Answers(NamedTuple):
    """What the engine says of one pinned run."""

    theta: dict[str, NDArray[np.float32]]
    """(parameters,) each: theta(k+1) of every replay, by name; `recorded` is that of the update as it was."""
    scores: dict[str, NDArray[np.float32]]
    """Influence by record (by token where the name says so), by question."""
    outcomes: dict[str, Any]
    """`retrain`: the verdict with its numbers; `validate`: the LDS with what it is made of; `update`: the largest change of
    a parameter in the recorded update, the measure of any other change."""


def answers(name: str, run: Path, scratch: Path, *, fits: bool = True) -> Answers:
    """Ask a copy of the pinned run `name`, which is written to; `scratch` takes what retraining leaves behind.

    Without `fits` nothing is fitted to replays.
    """
    asked = _Language(run) if _is_language(run) else _Control(run, FITTED.get(name, ()) if fits else ())
    outcomes = {
        "retrain": without_call(asked.retrain(scratch)),
        "validate": without_call(asked.validate()),
        "update": float(np.abs(recorded(run, ROUND + 1) - recorded(run, ROUND)).max()),
    }
    return Answers({name: parameters(tensors) for name, tensors in asked.replays().items()}, asked.scores(), outcomes)


def fits(name: str, run: Path) -> dict[str, NDArray[np.float32]]:
    """The scores among the answers that are fitted to replays, alone."""
    return _Control(run, FITTED[name]).fits()


def measured(validation: Validation) -> dict[str, Any]:
    """A validation's fields; whose scores it is about, its keys say, in one text."""
    found = asdict(validation)
    for scores in found["estimators"].values():
        del scores["estimator"], scores["orders"]
    return found


def recorded(run: Path, k: int) -> NDArray[np.float32]:
    """theta(k) as the run has it."""
    return parameters(engine.open_run(run).checkpoint(k))


def machine(run: Path) -> dict[str, str]:
    """The software and hardware that this run's bits depend on here."""
    if not _is_language(run):
        return fingerprint()
    from engine.kinds.language.learner import language_fingerprint

    return language_fingerprint()


def parameters(tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The parameters of a checkpoint end to end, in the order of their names."""
    names = sorted(name for name in tensors if name.startswith("parameter/"))
    return np.concatenate([np.asarray(tensors[name], np.float32).ravel() for name in names])


def without_call(found: Any) -> Any:
    """A result without what is true of one call or one machine only."""
    if isinstance(found, dict):
        return {name: without_call(value) for name, value in found.items() if name not in _OF_THIS_CALL}
    return [without_call(value) for value in found] if isinstance(found, list | tuple) else found


def _is_language(run: Path) -> bool:
    return bool(engine.open_run(run).manifest.language)


class _Control:
    """Questions about a control task's run."""

    def __init__(self, run: Path, fitted: tuple[str, ...]) -> None:
        self.run, self.fitted = engine.open_run(run), fitted
        self.snapshot = self.run.snapshot(ROUND)
        self.removed = np.arange(0, len(self.snapshot.buffer), 7)

    def replays(self) -> dict[str, Any]:
        weights = np.where(np.arange(len(self.snapshot.buffer)) % 3, 1, 2)
        asked: dict[str, dict[str, Any]] = {
            "recorded": {},
            "mask": {"drop": self.removed},
            "rebatch": {"drop": self.removed, "mode": "rebatch"},
            "order 1": {"order": 1},
            "weights": {"weights": weights},
        }
        return {name: engine.replay(self.snapshot, **options).checkpoint for name, options in asked.items()}

    def targets(self) -> dict[str, engine.ActionTarget | engine.ReturnTarget]:
        return {
            "return": engine.return_target(self.snapshot),
            "action": engine.action_target(self.snapshot, record=RECORD),
        }

    def fits(self) -> dict[str, NDArray[np.float32]]:
        targets = self.targets()
        return {f"{name} {FIT}": engine.influence(self.snapshot, targets[name], FIT).influence for name in self.fitted}

    def scores(self) -> dict[str, NDArray[np.float32]]:
        targets = self.targets()
        found = self.fits()
        for name, target in targets.items():
            for estimator in CONTROL_ESTIMATORS:
                found[f"{name} {estimator}"] = engine.influence(self.snapshot, target, estimator).influence
        split = engine.influence(self.snapshot, targets["action"], "tracin_adam", by_layer=True)
        found |= {f"action tracin_adam term {term}": values for term, values in split.terms.items()}
        found |= {f"action tracin_adam layer {layer}": values for layer, values in split.layers.items()}
        found["return tracin_adam over orders"] = engine.influence(
            self.snapshot, targets["return"], "tracin_adam", orders=ORDERS
        ).influence
        other = engine.return_target(self.snapshot, self.run.snapshot(0).buffer)
        found["return of round 0 first_order"] = engine.influence(self.snapshot, other, "first_order").influence
        each = engine.action_target(self.snapshot, record=[RECORD, RECORD + 1])
        found["each action first_order"] = engine.influence_on_each(self.snapshot, each).ravel()
        return found

    def retrain(self, scratch: Path) -> dict[str, Any]:
        about: dict[str, Any] = {"target": "action", "about": RECORD, "orders": 4, "episodes": 8}
        return engine.retrain(self.run, ROUND, self.removed, scratch / "branch", **about).to_json()

    def validate(self) -> dict[str, Any]:
        about: dict[str, Any] = {"subsets": 6, "orders": ORDERS, "executor": "inline"}
        return measured(engine.validate(self.snapshot, "return", VALIDATED, **about))


class GladWords:
    """A reward without a network: words of praise count for much, others that differ for a little."""

    def score(self, prompts: Any, responses: Any) -> dict[str, NDArray[np.float32]]:
        words = [response.split() for response in responses]
        return {"reward": np.array([each.count("glad") + len(set(each)) / 8 for each in words], np.float32)}


class _Language:
    """Questions about a language model's run."""

    def __init__(self, run: Path) -> None:
        self.run = engine.open_run(run)
        self.snapshot = self.run.snapshot(ROUND)
        self.removed = np.arange(0, len(self.snapshot.buffer), 4)

    def replays(self) -> dict[str, Any]:
        asked: dict[str, dict[str, Any]] = {
            "recorded": {},
            "mask": {"drop": self.removed},
            "rebatch": {"drop": self.removed, "mode": "rebatch"},
            "order 1": {"order": 1},
        }
        return {name: engine.replay(self.snapshot, **options).checkpoint for name, options in asked.items()}

    def scores(self) -> dict[str, NDArray[np.float32]]:
        targets = {
            "sequence": "sequence",
            "return": engine.return_target(self.snapshot),
            "action": engine.action_target(self.snapshot, record=RECORD),
        }
        found = {}
        for name, target in targets.items():
            for estimator in LANGUAGE_ESTIMATORS:
                scores = engine.influence(self.snapshot, target, estimator)
                found[f"{name} {estimator}"] = scores.influence
                if scores.token_influence is not None:
                    found[f"{name} {estimator} by token"] = scores.token_influence
        return found

    def retrain(self, scratch: Path) -> dict[str, Any]:
        removed = tuple(self.removed.tolist())
        about: dict[str, Any] = {"target": "action", "about": RECORD, "orders": 4, "episodes": 8}
        return engine.retrain(self.run, ROUND, removed, scratch / "branch", reward_model=GladWords(), **about).to_json()

    def validate(self) -> dict[str, Any]:
        about: dict[str, Any] = {"subsets": 6, "orders": ORDERS, "executor": "inline"}
        return measured(engine.validate(self.snapshot, "sequence", VALIDATED, **about))

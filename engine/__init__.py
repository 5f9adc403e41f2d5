"""Which experiences made an RL agent behave the way it does, and what would have happened without them?

>>> import engine
>>> config = engine.preset("FrozenLake-v1", rounds=3, n_steps=512)  # settings of a run
>>> run = engine.train(config, "runs/lake")                         # train, record, read back verified
>>> snapshot = run.snapshot(2)                                      # a round between collect and update
>>> scores = engine.influence(snapshot, "return")                   # attribute
>>> replayed = engine.replay(snapshot, drop=[17])                   # the update again, without record 17
>>> here = {"executor": "inline"}                                   # in this process, not in one a core
>>> found = engine.validate(run, round=2, subsets=8, orders=2, **here)  # does influence predict what removal does?
>>> common = engine.diagnose(run, round=2, rollouts=4, **here).in_common  # of the bottom records
>>> outcome = engine.retrain(run, 2, [17, 40], "runs/lake-without")  # against original and control
>>> outcome.records, outcome.removed, outcome.verdict
(512, [17, 40], 'within noise')

Names are imported on first use, so that `import engine` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine import demos as demos  # which make themselves known
from engine import kinds as kinds

if TYPE_CHECKING:
    from engine.allowed import allow
    from engine.analysis.behaviour import Behaviour, behaviour
    from engine.analysis.diagnosis import Diagnosis, diagnose
    from engine.config import TrainConfig
    from engine.core.attribute import attribute
    from engine.core.chosen_targets import action_target, return_target
    from engine.core.faithfulness.measure import Measurement, validate
    from engine.core.faithfulness.result import Validation, read_validation
    from engine.core.gradients.attribution import Attribution
    from engine.core.influence import influence, influence_on_each
    from engine.core.objective import Batch, Objective
    from engine.core.policy import Evaluation, Policy
    from engine.core.replays.replay import replay
    from engine.core.scores import Scores
    from engine.core.targets.of_records import ActionTarget, ReturnTarget
    from engine.core.targets.question import Question, TargetName
    from engine.core.training import rounds, train
    from engine.envs import preset
    from engine.errors import EngineError
    from engine.executors import Pool
    from engine.intervention.outcome import Outcome
    from engine.intervention.retrain import retrain
    from engine.kinds.language.presets import language_settings
    from engine.store.find import find_runs
    from engine.store.read import Run, open_run
    from engine.store.snapshot import Snapshot
    from engine.store.verify import verify_run

_HOME = {
    "ActionTarget": "engine.core.targets.of_records",
    "Attribution": "engine.core.gradients.attribution",
    "Batch": "engine.core.objective",
    "Behaviour": "engine.analysis.behaviour",
    "Diagnosis": "engine.analysis.diagnosis",
    "EngineError": "engine.errors",
    "Evaluation": "engine.core.policy",
    "Measurement": "engine.core.faithfulness.measure",
    "Objective": "engine.core.objective",
    "Outcome": "engine.intervention.outcome",
    "Policy": "engine.core.policy",
    "Pool": "engine.executors",
    "Question": "engine.core.targets.question",
    "ReturnTarget": "engine.core.targets.of_records",
    "Run": "engine.store.read",
    "Scores": "engine.core.scores",
    "Snapshot": "engine.store.snapshot",
    "TargetName": "engine.core.targets.question",
    "TrainConfig": "engine.config",
    "Validation": "engine.core.faithfulness.result",
    "action_target": "engine.core.chosen_targets",
    "allow": "engine.allowed",
    "attribute": "engine.core.attribute",
    "behaviour": "engine.analysis.behaviour",
    "diagnose": "engine.analysis.diagnosis",
    "find_runs": "engine.store.find",
    "influence": "engine.core.influence",
    "influence_on_each": "engine.core.influence",
    "language_settings": "engine.kinds.language.presets",
    "open_run": "engine.store.read",
    "preset": "engine.envs",
    "read_validation": "engine.core.faithfulness.result",
    "replay": "engine.core.replays.replay",
    "retrain": "engine.intervention.retrain",
    "return_target": "engine.core.chosen_targets",
    "rounds": "engine.core.training",
    "train": "engine.core.training",
    "validate": "engine.core.faithfulness.measure",
    "verify_run": "engine.store.verify",
}

__all__ = [
    "ActionTarget",
    "Attribution",
    "Batch",
    "Behaviour",
    "Diagnosis",
    "EngineError",
    "Evaluation",
    "Measurement",
    "Objective",
    "Outcome",
    "Policy",
    "Pool",
    "Question",
    "ReturnTarget",
    "Run",
    "Scores",
    "Snapshot",
    "TargetName",
    "TrainConfig",
    "Validation",
    "action_target",
    "allow",
    "attribute",
    "behaviour",
    "diagnose",
    "find_runs",
    "influence",
    "influence_on_each",
    "language_settings",
    "open_run",
    "preset",
    "read_validation",
    "replay",
    "retrain",
    "return_target",
    "rounds",
    "train",
    "validate",
    "verify_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

"""Train every arm of an experiment on every seed and evaluate after each round; finished tasks are never redone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.core.checkpoint import fingerprint, one_thread
from engine.core.filtering import filtered
from engine.envs import find
from engine.executors import Pool, Progress
from engine.experiments import machine
from engine.experiments.plans import Experiment
from engine.experiments.results import SCHEMA, Campaign, ControlTask, begin, read_campaign
from engine.kinds.control.agents import Agent
from engine.kinds.control.evaluation import Evaluator
from engine.kinds.control.exact_return import Transitions, expected_return, transitions_of
from engine.kinds.control.filtering import make_filter
from engine.kinds.control.learner import ControlLearner

UNTESTED: Mapping[str, float | None] = {"test_return": None, "test_std": None, "test_episodes": 0}
"""Columns of a round that is not evaluated."""


def train_and_evaluate(task: ControlTask) -> pa.Table:
    """Train one arm on one seed, in memory, and evaluate it.

    Times are CPU times of this process, which computes in one thread, so that tasks which share cores don't lengthen each
    other's. The evaluation is not part of the training time, and draws from generators of its own.

    Returns:
        A table of `results.SCHEMA`, one row a round.
    """
    one_thread()
    experiment, config = task.experiment, task.experiment.config(task.arm, task.seed)
    learner, record_filter = ControlLearner.begin(config), make_filter(config)
    evaluator = Evaluator(find(config.env_id), learner.normalizer)
    transitions = transitions_of(evaluator.environment) if experiment.exact else None
    rows: list[dict[str, Any]] = []
    try:
        for round in range(1, experiment.rounds + 1):
            start = time.process_time()
            if task.arm.reseeded:
                learner.repeat_luck()
            snapshot = learner.collect()
            collected = time.process_time()
            snapshot = filtered(snapshot, record_filter)
            chosen = time.process_time()
            learner.update(snapshot)
            trained = time.process_time()
            tested = UNTESTED
            if experiment.evaluated(round):
                tested = _tested(experiment, evaluator, transitions, learner.agent)
            rows.append(
                {
                    "experiment": experiment.name,
                    "arm": task.arm.name,
                    "seed": task.seed,
                    "round": round,
                    **tested,
                    "train_return": snapshot.metrics["mean_return"],
                    "seconds": trained - start,
                    "filter_seconds": chosen - collected,
                    "evaluation_seconds": time.process_time() - trained,
                    "dropped": snapshot.metrics.get("dropped", 0),
                    "records": len(snapshot.buffer),
                    "steps_trained": round * len(snapshot.buffer),
                    "explained_variance": _defined(snapshot.metrics["explained_variance"]),
                }
            )
    finally:
        evaluator.close()
    return pa.Table.from_pylist(rows, SCHEMA)


def run_campaign(
    experiments: Sequence[Experiment],
    seeds: Sequence[int],
    out: str | Path,
    *,
    executor: str = "inline",
    workers: int | None = None,
    command: str = "",
    report: Progress = lambda doing, done, total: None,
) -> Campaign:
    """Train every arm of the experiments on every seed; continue what is already in `out`.

    >>> campaign = run_campaign(find_experiments(["frozenlake"]), range(5), "results")  # doctest: +SKIP
    >>> campaign.experiments["frozenlake"].curves("iif 0.5").shape  # doctest: +SKIP
    (5, 30)

    Args:
        experiments: what to run.
        seeds: training seeds.
        out: folder with one folder an experiment; see `machine`.
        executor: as `executors.run_tasks` has it.
        workers: tasks at a time.
        command: what is noted in `campaign.json` as its origin.
        report: is told how far it is, in rough tenths of a second of work.

    Returns:
        Everything that is in `out`, older experiments included.

    Raises:
        BadInputError: as `machine.run`, or the package of an environment is missing; so are the other errors.
    """
    asked = [begin(experiment) for experiment in experiments]
    pool, made_with = Pool(executor, workers), fingerprint()
    machine.run(
        asked, seeds, Path(out), train_and_evaluate, pool=pool, made_with=made_with, command=command, report=report
    )
    return read_campaign(out)


def finished_tasks(experiments: Sequence[Experiment], seeds: Sequence[int], out: str | Path) -> tuple[int, int]:
    """How many of the tasks that a call of `run_campaign` asks for are finished, and how many it asks for."""
    return machine.finished_tasks([begin(experiment) for experiment in experiments], seeds, Path(out))


def _tested(
    experiment: Experiment, evaluator: Evaluator, transitions: Transitions | None, agent: Agent
) -> Mapping[str, float | None]:
    """How good the policy is, as columns of a row: computed from the transitions where that is exact, else played."""
    if transitions is not None:
        return {**UNTESTED, "test_return": expected_return(transitions, agent), "test_std": 0.0}
    returns = evaluator.returns(agent, experiment.evaluation_seeds)
    return {"test_return": returns.mean(), "test_std": returns.std(), "test_episodes": len(returns)}


def _defined(value: float | None) -> float | None:
    return None if value is None or isnan(value) else value

"""Train every arm of an experiment on every seed and evaluate after each round; finished tasks are never redone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.core.checkpoint import fingerprint, one_thread
from engine.core.filtering import filtered
from engine.envs import find
from engine.errors import BadInputError
from engine.executors import Progress, check_executor, run_tasks
from engine.experiments.plans import Arm, Experiment
from engine.experiments.results import (
    SCHEMA,
    Campaign,
    Results,
    begin,
    merge,
    read_campaign,
    read_results,
    write_definition,
    write_task,
)
from engine.kinds.control.evaluation import Evaluator
from engine.kinds.control.filtering import make_filter
from engine.kinds.control.learner import ControlLearner
from engine.store.files import Files, inside


@dataclass(frozen=True)
class Task:
    """One training run of an experiment."""

    experiment: Experiment
    arm: Arm
    seed: int

    def __str__(self) -> str:
        return f"{self.experiment.name}, {self.arm.name}, seed {self.seed}"

    @property
    def cost(self) -> int:
        """Rough tenths of a second of work."""
        return 1 + round(10 * self.experiment.rounds * self.experiment.round_seconds)


def train_and_evaluate(task: Task) -> pa.Table:
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
    rows: list[dict[str, Any]] = []
    try:
        for round in range(1, experiment.rounds + 1):
            start = time.process_time()
            snapshot = learner.collect()
            collected = time.process_time()
            snapshot = filtered(snapshot, record_filter)
            chosen = time.process_time()
            learner.update(snapshot)
            trained = time.process_time()
            seeds = experiment.evaluation_seeds if experiment.evaluated(round) else range(0)
            returns = evaluator.returns(learner.agent, seeds)
            rows.append(
                {
                    "experiment": experiment.name,
                    "arm": task.arm.name,
                    "seed": task.seed,
                    "round": round,
                    "test_return": float(np.mean(returns)) if len(seeds) else None,
                    "test_std": float(np.std(returns)) if len(seeds) else None,
                    "test_episodes": len(seeds),
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

    Each finished task is written at once, so that an interrupted campaign loses only the tasks in flight and continues with the
    same call. Arms, seeds and experiments may be added by later calls; other settings are refused.

    Args:
        experiments: what to run.
        seeds: training seeds.
        out: folder with one folder an experiment; see `results`.
        executor: as `executors.run_tasks` has it.
        workers: tasks at a time.
        command: what is noted in `campaign.json` as its origin.
        report: is told how far it is.

    Returns:
        Everything that is in `out`, older experiments included.

    Raises:
        BadInputError: bad settings, an unknown or missing executor, an environment whose package is missing, or other
            settings than those of the campaign in `out`. Nothing was written.
        LockedRunError: another process is at one of these experiments.
        DamagedRunError: what is there of one of these experiments is damaged, or a link. Nothing was written.
        EngineError: a task failed; the others were finished first and are kept.
        StorageError: the disk refused.
    """
    out, files = Path(out), Files()
    check_executor(executor, workers)
    if not seeds:
        raise BadInputError("there are no seeds; at least 1 is needed")
    made = {"command": command, "when": datetime.now(UTC).isoformat(timespec="seconds"), "fingerprint": fingerprint()}
    for experiment in experiments:
        for arm in experiment.arms:
            experiment.config(arm, max(seeds))
        find(experiment.env_id).spaces()
        _planned(out, experiment, seeds)
    with ExitStack() as locks:
        for experiment in experiments:
            files.make_folder(inside(out, experiment.name))
            locks.callback(files.unlock, files.lock(inside(out, experiment.name, "lock")))
        plans = [_planned(out, experiment, seeds) for experiment in experiments]
        tasks, rest = [], []
        for experiment, plan in zip(experiments, plans, strict=True):
            asked = [Task(experiment, arm, seed) for seed in seeds for arm in experiment.arms]
            missing = [task for task in asked if task.seed not in plan.finished[task.arm.name]]
            tasks += asked
            rest += missing
            if missing:
                write_definition(out / experiment.name, replace(plan, made=[*plan.made, made]))
        total = sum(task.cost for task in tasks)
        done, finished = total - sum(task.cost for task in rest), len(tasks) - len(rest)
        report(f"{finished} of {len(tasks)} tasks are finished", done, total)
        for task, rows in run_tasks(train_and_evaluate, rest, executor, workers):
            write_task(out / task.experiment.name, rows)
            done, finished = done + task.cost, finished + 1
            report(f"{task}: task {finished} of {len(tasks)}", done, total)
        for experiment in experiments:
            results = read_results(out / experiment.name)
            if results is not None and results.complete:
                merge(out / experiment.name, results)
    return read_campaign(out)


def finished_tasks(experiments: Sequence[Experiment], seeds: Sequence[int], out: str | Path) -> tuple[int, int]:
    """How many of the tasks that a call of `run_campaign` asks for are finished, and how many it asks for."""
    done = total = 0
    for experiment in experiments:
        results = read_results(Path(out) / experiment.name)
        for arm in experiment.arms:
            total += len(seeds)
            done += len(set(seeds) & set(results.finished.get(arm.name, ()))) if results else 0
    return done, total


def _planned(out: Path, experiment: Experiment, seeds: Sequence[int]) -> Results:
    return (read_results(out / experiment.name) or begin(experiment)).planned(experiment, seeds)


def _defined(value: float | None) -> float | None:
    return None if value is None or isnan(value) else value

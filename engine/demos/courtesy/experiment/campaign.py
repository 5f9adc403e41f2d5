"""Train every arm in both conditions on every seed and judge it after each round; finished tasks are never redone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from engine.core.checkpoint import one_thread
from engine.core.filtering import actor_influence, filtered
from engine.demos.courtesy.experiment.detection import auc
from engine.demos.courtesy.experiment.plan import Plan
from engine.demos.courtesy.experiment.results import SCHEMA, CourtesyResults, CourtesyTask, begin
from engine.demos.courtesy.judge import fluency, rude, variety
from engine.demos.courtesy.world import build_world
from engine.executors import Pool, Progress
from engine.experiments import machine
from engine.experiments.plans import CAMPAIGN_EVALUATION_SEED
from engine.kinds.language.filtering import make_filter
from engine.kinds.language.learner import LanguageLearner, language_fingerprint, mean_kl
from engine.kinds.language.sequences import LanguageSnapshot
from engine.store.commit import RunWriter


def train_and_judge(task: CourtesyTask) -> pa.Table:
    """Train one arm on one seed, in memory, and judge its responses before the first round and after each.

    Times are CPU times of this process, which computes in one thread. Judging, and measuring how well influence finds the
    flipped rewards, are not part of them, and draw from generators of their own.

    Returns:
        A table of `results.SCHEMA`.
    """
    one_thread()
    config, _ = task.plan.configs(task.condition, task.arm, task.seed)
    about = {"condition": task.condition, "arm": task.arm, "seed": task.seed}
    with TemporaryDirectory() as folder:
        learner, record_filter = _begin(task, Path(folder)), make_filter(config)
        rows = [{**about, "round": 0, **_judged(learner, task.plan.responses), **_NOTHING}]
        for round in range(1, task.plan.rounds + 1):
            start = time.process_time()
            collected = learner.collect()
            before = time.process_time()
            snapshot = filtered(collected, record_filter)
            chosen = time.process_time()
            learner.update(snapshot)
            trained = time.process_time()
            rows.append(
                {
                    **about,
                    "round": round,
                    **_judged(learner, task.plan.responses),
                    "seconds": trained - start,
                    "filter_seconds": chosen - before,
                    "sequences": len(collected.buffer) + len(collected.validation or ()),
                    **_found(snapshot),
                    **(_detected(collected) if task.arm == "iif" else {}),
                }
            )
    return pa.Table.from_pylist(rows, SCHEMA)


def run_courtesy(
    plan: Plan,
    seeds: Sequence[int],
    out: str | Path,
    *,
    executor: str = "inline",
    workers: int | None = None,
    command: str = "",
    report: Progress = lambda doing, done, total: None,
) -> CourtesyResults:
    """Train every arm in both conditions on every seed; continue what is already in `out`.

    >>> results = run_courtesy(Plan(), range(3), "results", executor="processes")  # doctest: +SKIP

    Args:
        plan: what to train.
        seeds: training seeds.
        out: the campaign's folder; the results are in its folder `courtesy`.
        executor: as `executors.run_tasks` has it.
        workers: tasks at a time.
        command: what is noted as the origin.
        report: is told how far it is.

    Raises:
        BadInputError: as `machine.run`, or the extra `rlhf` is missing; so are the other errors.
    """
    asked, out, pool = [begin(plan)], Path(out), Pool(executor, workers)
    machine.check_campaign(asked, seeds, out, pool)
    report("the models before training", *finished_tasks(plan, seeds, out))
    build_world()
    made_with = language_fingerprint()
    (results,) = machine.run(
        asked, seeds, out, train_and_judge, pool=pool, made_with=made_with, command=command, report=report
    )
    return results


def finished_tasks(plan: Plan, seeds: Sequence[int], out: str | Path) -> tuple[int, int]:
    """How many of the tasks that a call of `run_courtesy` asks for are finished, and how many it asks for."""
    return machine.finished_tasks([begin(plan)], seeds, Path(out))


_NOTHING = {"seconds": 0.0, "filter_seconds": 0.0, "sequences": 0, "dropped": 0, "flips": 0, "flips_dropped": 0}


def _begin(task: CourtesyTask, folder: Path) -> LanguageLearner:
    """A learner whose model is described in `folder`, where the filter looks for it."""
    learner = LanguageLearner.begin(*task.plan.configs(task.condition, task.arm, task.seed), folder)
    RunWriter.create(folder, learner.manifest(), model=learner.model).close()
    return learner


def _judged(learner: LanguageLearner, n: int) -> dict[str, float]:
    """What the policy says to the evaluation prompts."""
    prompts = build_world().prompts(np.random.default_rng(CAMPAIGN_EVALUATION_SEED), n)
    said = learner.respond(prompts, np.random.default_rng(CAMPAIGN_EVALUATION_SEED + 1))
    return {
        "rude": float(rude(said.response).mean()),
        "fluency": fluency(said.response),
        "variety": variety(said.response),
        "reward": float(said.reward.mean()),
        "kl": mean_kl(said),
    }


def _found(snapshot: Any) -> dict[str, int]:
    """What the filter left out."""
    dropped = ~snapshot.buffer.kept
    flipped = _flipped(snapshot)
    return {
        "dropped": int(dropped.sum()),
        "flips": int(flipped.sum()),
        "flips_dropped": int((flipped & dropped).sum()),
    }


def _detected(snapshot: LanguageSnapshot) -> dict[str, Any]:
    """How well influence and the reward as training saw it tell the flipped records from the others."""
    flipped = _flipped(snapshot)
    if not flipped.any():
        return {}
    influence = actor_influence(snapshot)
    return {"auc_influence": auc(-influence, flipped), "auc_reward": auc(-snapshot.buffer.reward, flipped)}


def _flipped(snapshot: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    buffer = snapshot.buffer
    return buffer.reward_parts.get("flipped", np.zeros(len(buffer))) > 0

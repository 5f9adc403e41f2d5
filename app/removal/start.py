"""Begin removals and repairs from the app; `engine.jobs` does the work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.core.estimators.registry import DEFAULT_ESTIMATOR
from engine.core.kind import kind_of
from engine.core.scores import Scores
from engine.intervention.across import Series
from engine.intervention.origin import Chosen
from engine.intervention.plan import Intervention
from engine.jobs.interventions import InterventionJob, create_job
from engine.jobs.launch import launch
from engine.jobs.series import SeriesJob, create_series
from engine.store.read import Run
from engine.store.snapshot import Snapshot


def start(
    run: Run, snapshot: Snapshot, plan: Intervention, scores: Scores | None, chosen: Sequence[Chosen] = ()
) -> InterventionJob:
    """Begin an intervention, or give back the equal one that is there already.

    The worker is in a session of its own: it outlives a page reload and a restart of the server.

    Args:
        run: the run.
        snapshot: its round.
        plan: what to remove or repair.
        scores: of the plan's target, which predict the outcome; None: nothing does.
        chosen: where the records came from.

    Raises:
        EngineError: the plan can't be carried out, or the run's folder can't be written.
    """
    kind_of(snapshot).check_loadable(snapshot)
    return _begun(run, snapshot, plan, _predicted(plan, scores), chosen)


def start_again(run: Run, job: InterventionJob) -> None:
    """Begin an intervention that failed, was cancelled or lost its worker anew."""
    start_otherwise(run, job, job.plan)


def start_otherwise(run: Run, job: InterventionJob, plan: Intervention) -> InterventionJob:
    """Begin another plan with an intervention's records and target: what was foreseen of them holds for it, too.

    Of a removal in the place of a repair, and the other way round, nothing is foreseen.

    Raises:
        EngineError: the plan can't be carried out, or the run's folder can't be written.
    """
    metadata = {key: value for key, value in job.metadata.items() if key != "created"}
    if plan.repair != job.plan.repair:
        metadata["summed_influence"] = None
    return _begun(run, run.snapshot(plan.round), plan, metadata, job.chosen)


def start_series(run: Run, series: Series) -> SeriesJob:
    """Begin a series of interventions, or go on with it where it was stopped; finished rounds are kept.

    Raises:
        EngineError: the run's folder can't be written.
    """
    job, to_be_started = create_series(run, series)
    if to_be_started:
        launch(job.folder)
    return job


def _begun(
    run: Run, snapshot: Snapshot, plan: Intervention, metadata: dict[str, Any], chosen: Sequence[Chosen]
) -> InterventionJob:
    job, to_be_started = create_job(run, snapshot, plan, metadata, chosen)
    if to_be_started:
        launch(job.folder)
    return job


def _predicted(plan: Intervention, scores: Scores | None) -> dict[str, Any]:
    """What the scores say of a removal, and nothing of a repair; see `interventions.predicted`."""
    if scores is None or plan.repair:
        return {"estimator": DEFAULT_ESTIMATOR, "orders": 1, "summed_influence": None}
    removed = float(scores.influence[list(plan.removed)].sum())
    return {"estimator": scores.estimator, "orders": scores.orders, "summed_influence": removed}

"""What is done in a job's folder; where it lies says what kind of work it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import BadInputError
from engine.executors import PROCESSES, Pool, Progress
from engine.intervention.across import carry_out_series
from engine.intervention.duration import worth
from engine.intervention.retrain import carry_out
from engine.jobs.calculate import calculate
from engine.jobs.calculations import read_question
from engine.jobs.folder import CANCEL_FILE
from engine.jobs.interventions import read_job
from engine.jobs.series import read_series
from engine.jobs.supervise import Begin, supervise
from engine.store.read import Run, open_run


def work_in(
    folder: Path, *, lock: int | None = None, before: Callable[[], object] = lambda: None, pool: Pool = PROCESSES
) -> None:
    """Do the work of a job, as its only worker.

    Args:
        folder: the job's, in its place in the run.
        lock: its lock, where whoever started the process took it.
        before: is called first; where it fails the job does.
        pool: where its tasks are done.

    Raises:
        BadInputError: it is no job's folder.
        EngineError: the work could not be done, or was cancelled; `status.json` says so too.
    """
    folder = folder.resolve()
    work = _work_of(folder)

    def prepared(begin: Begin) -> object:
        before()
        pool.check()
        return work(folder, begin, pool)

    supervise(folder, None, prepared, lock=lock)


def _work_of(folder: Path) -> Callable[[Path, Begin, Pool], object]:
    """What is to be done in a folder, by its place in the run."""
    read: Callable[[Path], object] = read_job
    do: Callable[[Path, Begin, Pool], object] = _retrain
    match folder.parts[-3:-1]:
        case ("derived", "jobs"):
            read, do = read_question, _calculate
        case ("interventions", "across"):
            read, do = read_series, _series_of_run
    if read(folder) is None:
        raise BadInputError(f"{folder} holds no job")
    return do


def work(folder: Path, report: Progress | None = None, pool: Pool = PROCESSES) -> dict[str, Any]:
    """Carry out the intervention in `folder`; an equal one that is done is not done again.

    Args:
        folder: made by `interventions.create_job`.
        report: is told what `status.json` says.
        pool: where it is carried out, if it takes long.

    Returns:
        What `retrain` returns.

    Raises:
        EngineError: it could not be carried out, or was cancelled; `status.json` says so too.
    """
    if read_job(folder) is None:
        raise BadInputError(f"{folder} holds no intervention")
    return supervise(folder, report, lambda begin: _retrain(folder, begin, pool))


def work_series(run: Run, folder: Path, report: Progress | None = None, pool: Pool = PROCESSES) -> dict[str, Any]:
    """Carry out the series of interventions in `folder`; rounds that are finished are not done again.

    Args:
        run: its run.
        folder: made by `series.create_series`.
        report: is told what `status.json` says.
        pool: where its rounds are done.

    Returns:
        What `across.carry_out_series` returns.

    Raises:
        EngineError: as `work`.
    """
    return supervise(folder, report, lambda begin: _series(run, folder, begin, pool))


def _retrain(folder: Path, begin: Begin, pool: Pool) -> dict[str, Any]:
    job = read_job(folder)
    if job is None:
        raise BadInputError(f"{folder} holds no intervention")
    if job.result is not None:
        return job.result.to_json()
    run = open_run(job.run_path)
    where = worth(pool, run.snapshot(job.plan.round), job.plan)
    return carry_out(run, job.plan, folder / "branch", begin(), pool=where).to_json()


def _series(run: Run, folder: Path, begin: Begin, pool: Pool) -> dict[str, Any]:
    job = read_series(folder)
    if job is None:
        raise BadInputError(f"{folder} holds no series of interventions")
    cancel = folder / CANCEL_FILE
    return carry_out_series(run, job.series, folder, begin(), cancel=cancel, pool=pool)


def _series_of_run(folder: Path, begin: Begin, pool: Pool) -> dict[str, Any]:
    return _series(open_run(folder.parents[2]), folder, begin, pool)


def _calculate(folder: Path, begin: Begin, pool: Pool) -> None:
    question = read_question(folder)
    if question is None:
        raise BadInputError(f"{folder} holds no calculation")
    run = open_run(folder.parents[2])
    calculate(run, question, begin(), pool)

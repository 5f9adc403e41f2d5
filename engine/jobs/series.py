"""A removal at every round as a job, see `engine.intervention.across`."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import BadInputError, DamagedRunError, StorageError
from engine.intervention.across import Series, read_round
from engine.jobs.folder import ACTIVE, Job, clear_cancel, folders_with_ids, read_each, read_status, write_status
from engine.store.documents import read_json, set_aside, write_json
from engine.store.files import Files, inside
from engine.store.read import Run
from engine.typed import Moment, typed

SERIES_FILE = "series.json"


@dataclass(frozen=True)
class WrittenSeries:
    """What `series.json` says."""

    series: Series
    run: str
    created: Moment


@dataclass(frozen=True, kw_only=True)
class SeriesJob(Job):
    """A series on disk: what is repeated, how far it is, and what is finished."""

    series: Series
    created: float

    @property
    def finished(self) -> list[dict[str, Any]]:
        """What is known of its rounds, in order: results, and rounds that were skipped with the reason."""
        return [found for k in self.series.rounds if (found := read_round(self.folder, k)) is not None]


def series_folder(run: Run, series: Series) -> Path:
    """Where a series is kept: equal settings share a folder, and the rounds that are finished in it."""
    text = json.dumps({"run": run.rounds[0].hash, **series.settings}, sort_keys=True)
    return inside(run.path, "interventions", "across", hashlib.sha256(text.encode()).hexdigest()[:12])


def create_series(run: Run, series: Series, folder: Path | None = None) -> tuple[SeriesJob, bool]:
    """Write a series to disk, ready for a worker.

    Args:
        run: the run.
        series: what to repeat.
        folder: by default among the run's interventions.

    Returns:
        The job, and whether a worker is to be started; one that is done or running is given back as it is.

    Raises:
        BadInputError: the folder holds another series.
        StorageError: it can't be written.
    """
    folder = folder or series_folder(run, series)
    try:
        known = read_series(folder)
    except DamagedRunError:  # the settings are known; the file that does not say them any more is kept
        set_aside(folder / SERIES_FILE)
        known = None
    if known is not None and known.series.settings != series.settings:
        raise BadInputError(f"{folder} holds interventions with other settings; choose another folder")
    if known is not None and (known.state in ACTIVE or (known.state == "done" and known.series == series)):
        return known, False
    Files().make_folder(inside(folder, "rounds"))
    clear_cancel(folder)
    write_json(inside(folder, SERIES_FILE), {"series": series.to_json(), "run": run.name, "created": time.time()})
    write_status(folder, "queued", "waiting for the worker", 0, len(series.rounds))
    job = read_series(folder)
    if job is None:
        raise StorageError(f"{folder} can't be read back; the run's folder must be readable and writable")
    return job, True


def read_series(folder: Path) -> SeriesJob | None:
    """The series in a folder, or None if there is none.

    Raises:
        DamagedRunError: `series.json` is not what was written.
        StorageError: the disk refused.
    """
    document = read_json(inside(folder, SERIES_FILE))
    if document is None:
        return None
    try:
        written = typed(WrittenSeries, document.values)
    except BadInputError as error:
        problem = f"is damaged: it describes no interventions ({error})"
        raise DamagedRunError(f"{folder.name}/{SERIES_FILE} {problem}") from error
    series = written.series
    job = SeriesJob(series=series, created=written.created, **vars(read_status(folder)))
    if len(job.finished) == len(series.rounds):
        return replace(job, state="done")
    return (
        replace(job, state="failed", doing="rounds of it are missing; start it again") if job.state == "done" else job
    )


def list_series(run: Run) -> list[SeriesJob]:
    """The series of a run, newest first; see `damaged_series` for those that can't be read."""
    return sorted(read_each(_folders(run), read_series)[0], key=lambda job: -job.created)


def damaged_series(run: Run) -> list[str]:
    """What is wrong with the series that `list_series` passes over, a line each."""
    return read_each(_folders(run), read_series)[1]


def _folders(run: Run) -> list[Path]:
    return folders_with_ids(run.path, "interventions", "across")

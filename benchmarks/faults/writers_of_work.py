"""Work that takes a while and is kept as it goes on: interventions, scores, validations, series, campaigns, archives, imports."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Set
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import engine
from benchmarks.faults.made_up_rounds import write_run
from benchmarks.faults.writer import Say, Writer, Wrong
from benchmarks.faults.writers_of_rounds import TRAINED, config
from engine.config import TrainConfig
from engine.errors import DamagedRunError
from engine.executors import INLINE
from engine.experiments.campaign import run_campaign
from engine.experiments.faultlab.kept_cell import KeptCell, finish
from engine.experiments.plans import Arm, Experiment
from engine.experiments.results import experiment_names, read_campaign
from engine.intervention.across import series_of
from engine.intervention.plan import Intervention
from engine.intervention.record_sets import change_basket, read_sets
from engine.jobs import calculations, receive, receiving
from engine.jobs.calculations import Calculation
from engine.jobs.import_limits import Limits
from engine.jobs.interventions import create_job, damaged_jobs, list_jobs
from engine.jobs.questions import Influence
from engine.jobs.series import create_series, damaged_series, list_series
from engine.jobs.work import work_in, work_series
from engine.store import Files, Run, open_run, verify_documents, verify_run
from engine.store.run_notes import RunNotes, change_run_notes, read_run_notes
from engine.store.transfer.archive import archive_run, unpack

PLAN = Intervention(round=1, removed=(1, 2, 3), orders=2, episodes=2)


def train(folder: Path) -> Run:
    """A run that was trained, and an equal one, `whole/run`, in which the work is done without a fault."""
    engine.train(config(), folder / "run")
    shutil.copytree(folder / "run", folder / "whole" / "run")
    return open_run(folder / "whole" / "run")


def sound(run: Run) -> Iterator[Wrong]:
    """What is damaged in a run."""
    for damage in verify_run(run.path):
        yield Wrong("torn", damage.problem)


# An intervention: its plan, state, branch and result.


def _retrain(run: Run) -> None:
    job, _ = create_job(run, run.snapshot(1), PLAN, {"estimator": "first_order", "orders": 1})
    if job.result is None:
        work_in(job.folder)


def _intervene(folder: Path, say: Say) -> None:
    _retrain(open_run(folder / "run"))
    say("done")


def _check_retrained(folder: Path, said: Set[str]) -> Iterator[Wrong]:
    run = open_run(folder / "run")
    yield from sound(run)
    yield from (Wrong("torn", line) for line in damaged_jobs(run))
    jobs = list_jobs(run)
    if said and [job.state for job in jobs] != ["done"]:
        yield Wrong("lost", f"it was done, and is {[job.state for job in jobs]}")
    for job in jobs:
        if job.result is not None:
            (whole,) = list_jobs(open_run(folder / "whole" / "run"))
            assert whole.result is not None
            found, expected = ({**each.result.to_json(), "run": ""} for each in (job, whole) if each.result is not None)
            if found != expected:
                yield Wrong("torn", "its result is another one")
            yield from sound(open_run(job.folder / "branch"))
        elif job.state == "done":
            yield Wrong("stuck", "it is done, and has no result")


# Scores that a job computes, and a validation.

SCORES = Influence(round=1, target={"target": "return"}, estimator="tracin")


def _score(folder: Path, say: Say) -> None:
    work = Calculation(open_run(folder / "run"), SCORES)
    with patch.object(calculations, "launch", lambda _: None):  # the worker is this process
        work.start()
    work_in(work.folder)
    say("done")


def _check_scored(folder: Path, _: Set[str]) -> Iterator[Wrong]:
    """A cache promises nothing but that it is right."""
    run = open_run(folder / "run")
    yield from sound(run)
    snapshot = run.snapshot(1)
    found = engine.influence(snapshot, SCORES.asked)
    if (found.influence != engine.influence(snapshot, SCORES.asked, cache=False).influence).any():
        yield Wrong("torn", "the scores that were kept are others")


def _validated(path: Path) -> Any:
    """The LDS of `first_order`; finished replays are kept."""
    found = engine.validate(path, "return", round=1, subsets=4, orders=2, executor="inline")
    return found.estimators["first_order"].lds


def _validate(folder: Path, say: Say) -> None:
    _validated(folder / "run")
    say("done")


def _check_validated(folder: Path, _: Set[str]) -> Iterator[Wrong]:
    yield from sound(open_run(folder / "run"))
    found, whole = (_validated(path) for path in (folder / "run", folder / "whole" / "run"))
    if found != whole:
        yield Wrong("torn", f"an LDS of {found} where {whole} is right")


# A removal at every round.


def _repeat(run: Run, say: Say) -> None:
    series = series_of(run, orders=2, episodes=2)
    job, _ = create_series(run, series)
    if job.state != "done":

        def report(doing: str, done: int, total: int) -> None:
            say(f"{done}")

        work_series(run, job.folder, report, INLINE)
    say("done")


def _check_repeated(folder: Path, said: Set[str]) -> Iterator[Wrong]:
    run = open_run(folder / "run")
    yield from sound(run)
    yield from (Wrong("torn", line) for line in damaged_series(run))
    jobs = list_series(run)
    finished = [found for job in jobs for found in job.finished]
    acknowledged = max((int(word) for word in said if word.isdecimal()), default=0)
    if len(finished) < acknowledged:
        yield Wrong("lost", f"{acknowledged} rounds were finished, and {len(finished)} are")
    if "done" in said and [job.state for job in jobs] != ["done"]:
        yield Wrong("lost", f"it was done, and is {[job.state for job in jobs]}")
    (whole,) = list_series(open_run(folder / "whole" / "run"))
    for found in finished:
        if found not in whole.finished:
            yield Wrong("torn", f"round {found['round']} has another result")


# A campaign, and the cells of the lab.

CAMPAIGN = Experiment(
    name="tiny",
    env_id="FrozenLake-v1",
    rounds=2,
    episodes=2,
    arms=(Arm("ppo"), Arm("random 0.25", {"filter": "random", "drop": 0.25})),
    preset="default",
    settings={name: value for name, value in TRAINED.items() if name != "rounds"} | {"n_steps": 32},
)


def _campaign(folder: Path, say: Say) -> None:
    def report(doing: str, done: int, total: int) -> None:
        if ": task " in doing:
            say(doing.partition(":")[0])

    run_campaign([CAMPAIGN], [0, 1], folder / "campaign", report=report)
    say("all")


def _check_campaign(folder: Path, said: Set[str]) -> Iterator[Wrong]:
    place = folder / "campaign"
    found: Mapping[str, Any] = {}
    if experiment_names(place):
        yield from (Wrong("torn", damage.problem) for damage in verify_documents(place)[0])
        found = read_campaign(place).experiments
    finished = sum(len(seeds) for each in found.values() for seeds in each.finished.values())
    acknowledged = 4 if "all" in said else len(said)
    if finished < acknowledged:
        yield Wrong("lost", f"{acknowledged} tasks were finished, and {finished} are")


@dataclass(frozen=True)
class Cell(KeptCell):
    """An environment and a seed, answered with a number."""


def answered(cell: Cell) -> tuple[Any, ...]:
    """The answer of one."""
    return (cell.seed * 7,)


def _answer(folder: Path, say: Say) -> None:
    cells = [Cell("FrozenLake-v1", seed) for seed in range(3)]

    def report(doing: str, done: int, total: int) -> None:
        say(f"{done}")

    finish(cells, answered, lambda cell: TrainConfig(env_id=cell.env_id), folder / "cells", INLINE, report)


def _check_answered(folder: Path, said: Set[str]) -> Iterator[Wrong]:
    acknowledged = max(map(int, said), default=0)
    for seed in range(3):
        found = Cell("FrozenLake-v1", seed).kept(folder / "cells")
        if found is None and seed < acknowledged:
            yield Wrong("lost", f"cell {seed} of {acknowledged}")
        if found is not None and found.answers != (seed * 7,):
            yield Wrong("torn", f"cell {seed} says {found.answers}")


# A run in one file, and a run that is taken over.


def _write_worked_on(folder: Path) -> Run:
    run = open_run(write_run(folder / "run", 2))
    change_basket(run, 1, [1, 2])
    change_run_notes(run.path, lambda _: RunNotes("mine", ("small",)))
    return run


def _archive(folder: Path, say: Say) -> None:
    if not (folder / "archives" / "run.tar").exists():
        archive_run(folder / "run", folder / "archives" / "run.tar")
    say("done")


def _check_archive(folder: Path, said: Set[str]) -> Iterator[Wrong]:
    archive, unpacked = folder / "archives" / "run.tar", folder / "unpacked"
    if not archive.exists():
        if said:
            yield Wrong("lost", "the archive")
        return
    unpacked.mkdir()
    try:
        unpack(archive, unpacked, Files())
        for damage in verify_run(unpacked):  # an import would refuse it
            raise DamagedRunError(damage.problem)
        yield from _same_as_run(folder, unpacked)
    finally:
        shutil.rmtree(unpacked)


def _same_as_run(folder: Path, copy: Path) -> Iterator[Wrong]:
    """What a copy of a run lacks, or has otherwise."""
    run, other = open_run(folder / "run"), open_run(copy)
    yield from sound(other)
    if [info.metrics for info in other.rounds] != [info.metrics for info in run.rounds] or other.final is None:
        yield Wrong("lost", f"it has {len(other.rounds)} rounds")
    if read_sets(other, 1) != read_sets(run, 1) or read_run_notes(copy) != read_run_notes(run.path):
        yield Wrong("lost", "its basket or its notes")


def _import(folder: Path, say: Say) -> None:
    def child(asked: Mapping[str, Any], limits: Limits, _: Any) -> dict[str, Any]:
        with redirect_stdout(StringIO()):  # it talks to its parent
            return receiving._written_anew(Path(asked["source"]), Path(asked["staging"]), limits)

    if not (folder / "runs" / "copy").exists():
        with patch.object(receive, "_in_a_child", child):  # which is this process, so that its disk fails too
            receive.receive(folder / "run", folder / "runs", "copy")
    say("done")


def _check_imported(folder: Path, said: Set[str]) -> Iterator[Wrong]:
    copy = folder / "runs" / "copy"
    if copy.exists():
        yield from _same_as_run(folder, copy)
    elif said:
        yield Wrong("lost", "the run")


WRITERS_OF_WORK = [
    Writer(
        "intervention",
        lambda folder: _retrain(train(folder)),
        _intervene,
        _check_retrained,
    ),
    Writer("scores", train, _score, _check_scored),
    Writer("validation", lambda folder: _validated(train(folder).path), _validate, _check_validated),
    Writer(
        "series",
        lambda folder: _repeat(train(folder), lambda _: None),
        lambda folder, say: _repeat(open_run(folder / "run"), say),
        _check_repeated,
    ),
    Writer("campaign", lambda _: None, _campaign, _check_campaign),
    Writer("cells of the lab", lambda _: None, _answer, _check_answered),
    Writer("archive", _write_worked_on, _archive, _check_archive),
    Writer("import", _write_worked_on, _import, _check_imported),
]

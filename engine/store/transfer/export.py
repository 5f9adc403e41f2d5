"""A thinned copy of a run: all metrics, and the records of a few rounds."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.errors import BadInputError
from engine.store.at_once import appears_at_once
from engine.store.commit import RunWriter
from engine.store.files import Files
from engine.store.read import Run, open_run


def export_run(path: str | Path, out: str | Path, rounds: Collection[int], files: Files | None = None) -> Run:
    """Copy a run and leave out the records of all but a few rounds.

    Args:
        path: the run.
        out: the new run's folder; it appears once everything is in it.
        rounds: the rounds whose records, checkpoint and minibatches are copied. The metrics of every round
            and the final checkpoint always are.
        files: file operations.

    Returns:
        The copy. It has a chain of commits of its own, so its commits' hashes differ from the original's.

    Raises:
        BadInputError: a round's records are not in the run, or there is something at `out`.
        DamagedRunError: the run is damaged.
    """
    run = open_run(path, files)
    chosen = set(rounds)
    missing = sorted(chosen - set(run.stored_rounds))
    if missing:
        run.snapshot(missing[0])
        raise BadInputError(f"round {missing[0]} is not in this run")
    with (
        appears_at_once(Path(out), "copy", files) as folder,
        RunWriter.create(folder, run.manifest, files, model=run.model_files()) as writer,
    ):
        for info in run.rounds:
            if info.round in chosen:
                writer.commit_round(run.snapshot(info.round), info.metrics)
            else:
                writer.commit_metrics(info.round, info.metrics)
        if run.final is not None:
            writer.commit_final(run.final.round, run.checkpoint(run.final.round), run.final.metrics)
    return open_run(out, files)

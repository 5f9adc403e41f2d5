"""What people make of a run: sets of records with their undo, its name and tags, notes; and tables that are kept beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from benchmarks.faults.made_up_rounds import METRICS, make_manifest, make_snapshot, write_run
from benchmarks.faults.made_up_sequences import write_language_run
from benchmarks.faults.stepwise import Step, stepwise
from benchmarks.faults.writer import Writer, Wrong
from benchmarks.faults.writers_of_rounds import LAST, RECORDED, record_to
from engine.intervention.notes import read_note, write_note
from engine.intervention.record_sets import (
    change_basket,
    delete_group,
    read_sets,
    redo,
    save_group,
    select,
    undo,
)
from engine.store import Run, RunWriter, load_table, open_run, read, save_table
from engine.store.derived import update_table
from engine.store.results_table import read_results_table, write_results
from engine.store.run_notes import RunNotes, change_run_notes, read_run_notes

INTERVENTION = Path("run", "interventions", "0123456789ab")


def sets_of(kind: str, write: Callable[[Path], object], round: int) -> Writer:
    """The sets of records of a round of a run of that kind, and what is said of the run."""

    def on_the_run(change: Callable[[Run], object]) -> Callable[[Path], object]:
        return lambda folder: change(open_run(folder / "run"))

    def said(change: Callable[[RunNotes], RunNotes]) -> Callable[[Path], object]:
        return lambda folder: change_run_notes(folder / "run", change)

    def now(folder: Path) -> Any:
        sets = read_sets(open_run(folder / "run"), round)
        return dict(sets.sets), len(sets.undo), len(sets.redo), read_run_notes(folder / "run")

    both, odd = {"basket": (2, 3)}, {"basket": (2, 3), "group odd": (1, 3)}
    chosen = {**both, "selection": (4, 5)}
    nothing, named = RunNotes(), RunNotes("mine")
    tagged = replace(named, tags=("small", "né"))
    steps: list[Step] = [
        (on_the_run(lambda run: change_basket(run, round, [1, 2])), ({"basket": (1, 2)}, 1, 0, nothing)),
        (on_the_run(lambda run: change_basket(run, round, [3], [1])), (both, 2, 0, nothing)),
        (said(lambda notes: replace(notes, name="mine")), (both, 2, 0, named)),
        (on_the_run(lambda run: save_group(run, round, "odd", [1, 3])), (odd, 3, 0, named)),
        (on_the_run(lambda run: undo(run, round)), (both, 2, 1, named)),
        (on_the_run(lambda run: redo(run, round)), (odd, 3, 0, named)),
        (said(lambda notes: replace(notes, tags=("small", "né"))), (odd, 3, 0, tagged)),
        (on_the_run(lambda run: delete_group(run, round, "odd")), (both, 4, 0, tagged)),
        (on_the_run(lambda run: select(run, round, [4, 5])), (chosen, 5, 0, tagged)),
        (said(lambda notes: replace(notes, archived=True)), (chosen, 5, 0, replace(tagged, archived=True))),
    ]
    return stepwise(f"sets and notes, {kind}", write, steps, now, first=({}, 0, 0, nothing))


def _note() -> Writer:
    """A person's note on an intervention."""

    def prepare(folder: Path) -> None:
        write_run(folder / "run", 2)
        (folder / INTERVENTION).mkdir(parents=True)
        write_note(folder / INTERVENTION, "what?")

    def note(text: str, folder: Path) -> None:
        write_note(folder / INTERVENTION, text)

    steps: list[Step] = [(partial(note, text), text) for text in ("why?", "", "because\nof 猫")]
    return stepwise("note", prepare, steps, lambda folder: read_note(folder / INTERVENTION), first="what?")


def _notes_elsewhere() -> Writer:
    """What is said of a run that could not be written, and can be by now."""

    def prepare(folder: Path) -> None:
        run = write_run(folder / "run", 1).resolve()
        (run / "notes").touch()
        say("first", folder)
        (run / "notes").unlink()

    def say(name: str, folder: Path) -> None:
        change_run_notes(folder / "run", lambda notes: replace(notes, name=name), folder)

    steps: list[Step] = [(partial(say, name), name) for name in ("second", "third")]
    return stepwise(
        "notes beside a run", prepare, steps, lambda folder: read_run_notes(folder / "run", folder).name, first="first"
    )


def _cache() -> Writer:
    """A table of the cache that is put in the place of another one."""

    def table(number: int) -> pa.Table:
        return pa.table({"influence": [float(number)] * 50})

    def now(folder: Path) -> set[float] | None:
        found = load_table(folder / "run", "ab")
        return None if found is None else {*found["influence"].to_pylist()}

    steps: list[Step] = [
        (lambda folder: save_table(folder / "run", "ab", table(1)), {1.0}),
        (lambda folder: save_table(folder / "run", "ab", table(2)), {2.0}),
        (lambda folder: update_table(folder / "run", "ab", lambda _: table(3)), {3.0}),
    ]
    return stepwise("cache", lambda folder: write_run(folder / "run", 1), steps, now, first=None, is_cache=True)


def _index() -> Writer:
    """The index of a run's commits."""

    def prepare(folder: Path) -> None:
        with RunWriter.create(folder / "run", make_manifest()) as writer:
            for k in range(3):
                writer.commit_metrics(k, METRICS)
            writer.commit_round(make_snapshot(3), METRICS)

    def index(folder: Path) -> list[str]:
        with patch.object(read, "WORTH", 2):
            return [info.hash for info in open_run(folder / "run", indexed=True).rounds]

    def check(folder: Path, _: Set[str]) -> Iterator[Wrong]:
        if index(folder) != [info.hash for info in open_run(folder / "run").rounds]:
            yield Wrong("torn", "the index says something else than the commits")

    return Writer("index", prepare, lambda folder, _: index(folder), check)


def _results() -> Writer:
    """A table of results that grows."""

    def table(rows: int) -> pa.Table:
        return pa.table({"arm": ["ppo"] * rows, "seed": pa.array(range(rows), pa.int32())})

    def now(folder: Path) -> int:
        try:
            found, checked = read_results_table(folder / "results.parquet")
        except FileNotFoundError:
            return 0
        assert checked, "its checksum is gone"
        assert found == table(len(found)), "it is another table"
        return len(found)

    def write(rows: int, folder: Path) -> None:
        write_results(folder / "results.parquet", table(rows))

    steps: list[Step] = [(partial(write, rows), rows) for rows in (1, 2, 3)]
    return stepwise("table of results", lambda _: None, steps, now, first=0)


WRITERS_OF_NOTES = [
    sets_of("control", lambda folder: write_run(folder / "run", 2), 1),
    sets_of("language", lambda folder: write_language_run(folder / "run"), 1),
    sets_of("recorded", lambda folder: record_to(folder / "run"), RECORDED - LAST),
    _note(),
    _notes_elsewhere(),
    _cache(),
    _index(),
    _results(),
]

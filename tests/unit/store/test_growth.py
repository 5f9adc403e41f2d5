"""Costs grow as the work: how many files are opened, and how many bytes read, follows from the number of rounds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import engine
from benchmarks.faults.made_up_rounds import make_snapshot, write_run
from engine.analysis.formation import formation
from engine.store import Files, export_run, open_run, read, verify_run
from engine.store.kept_files import KeptFiles
from engine.store.read import Run
from engine.store.transfer.archive import archive_run

DATA = 3
"""Files of a round's data."""
OF_A_ROUND: dict[str, tuple[Callable[[Path, Path], Any], int]] = {
    "open": (lambda run, out: open_run(run), 1),
    "one metric of every round": (lambda run, out: [info.metrics["loss"] for info in open_run(run).rounds], 1),
    "verify": (lambda run, out: verify_run(run), 1 + DATA),
    "one round": (lambda run, out: open_run(run).snapshot(3), 1),
    "every round": (lambda run, out: [*map(open_run(run).snapshot, range(4))], 1),
    "export with one round": (lambda run, out: export_run(run, out / "copy", [3]), 2),
    "export to one file": (lambda run, out: archive_run(run, out / "run.tar"), 1 + DATA),
}
"""What is done with a run, and the files that it opens for every round: an export opens its copy, too."""


def reads(monkeypatch: pytest.MonkeyPatch, operation: Callable[[], object]) -> tuple[int, int]:
    """Files opened for reading, and bytes read."""
    call, found = Files.call, [0, 0]

    def counted(files: Files, what: Any, *args: Any, **kwargs: Any) -> Any:
        result = call(files, what, *args, **kwargs)
        if what is os.open and not args[1] & (os.O_WRONLY | os.O_RDWR | os.O_DIRECTORY):
            found[0] += 1
        elif what is os.read:
            found[1] += len(result)
        return result

    with monkeypatch.context() as patched:
        patched.setattr(Files, "call", counted)
        operation()
    return found[0], found[1]


@pytest.mark.parametrize("what", OF_A_ROUND)
def test_files_and_bytes_grow_as_the_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    operation, of_a_round = OF_A_ROUND[what]
    files, size = [], []
    for rounds in (6, 12, 24):
        run = write_run(tmp_path / str(rounds) / "run", rounds, final=False)
        opened, read = reads(monkeypatch, lambda run=run: operation(run, run.parent))  # type: ignore[misc]
        files.append(opened)
        size.append(read)
    assert (files[1] - files[0], files[2] - files[1]) == (6 * of_a_round, 12 * of_a_round)
    assert size[2] - size[1] == pytest.approx(2 * (size[1] - size[0]), rel=0.01)


def test_formation_reads_each_round_once(cartpole: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(cartpole.path)
    target = engine.action_target(run.snapshot(1), record=7)
    opened, _ = reads(monkeypatch, lambda: list(formation(run, target, cache=False)))
    assert opened == DATA * len(run.rounds)


def test_reading_a_round_looks_through_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every round of a long run would otherwise take as many steps as it has rounds."""
    run = open_run(write_run(tmp_path / "run", rounds=20))
    run.snapshot(0)
    asked, file = [], KeptFiles.file
    monkeypatch.setattr(KeptFiles, "file", lambda kept, k, kind: asked.append(k) or file(kept, k, kind))
    for name in ("stored_rounds", "checkpoint_rounds", "rounds"):
        monkeypatch.setattr(read.Run, name, property(lambda run: pytest.fail("all rounds are looked through")))
    assert run.snapshot(7).round == 7
    assert run.checkpoint(20).keys() == make_snapshot(0).checkpoint.keys()
    assert run.has_records(7)
    assert not run.has_records(20)
    assert not run.has_checkpoint(21)
    assert set(asked) <= {7, 20, 21}
    assert len(asked) < 10


def test_a_resumed_run_reads_each_commit_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once to see that these are its settings, and once as the writer, who holds the lock."""
    config = engine.preset("FrozenLake-v1", rounds=8, n_steps=64, batch_size=32, n_epochs=1)
    training = engine.rounds(config, tmp_path / "run")
    for _ in range(6):
        next(training)
    training.close()
    counted: list[int] = []
    commit = read.read_commit
    monkeypatch.setattr(read, "read_commit", lambda path, k, files: counted.append(k) or commit(path, k, files))
    going_on = engine.rounds(config, tmp_path / "run", resume=True)
    assert next(going_on).round == 5
    going_on.close()
    assert sorted(counted) == sorted([*range(5)] * 2)

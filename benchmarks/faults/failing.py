"""Every file operation fails in turn: the disk is full, broken, may not be used, or does half of what was asked."""

from __future__ import annotations

from benchmarks.faults.failing_files import ERRORS, FailingFiles, through
from benchmarks.faults.writer import Bench, Part, Tally, Wrong, aftermath, attempt, forget


def fail(bench: Bench, part: Part, tally: Tally) -> None:
    """Try each operation of the writer with each error, as far as the part has it."""
    number = 0
    operations = _operations(bench)
    for fault in (*ERRORS, "short"):
        for index, operation in enumerate(operations):
            if fault == "short" and operation not in ("read", "write"):
                continue
            number += 1
            if part.takes(number):
                tally.add(f"{fault} {operation} {index}", _failed(bench, index, fault))


def _operations(bench: Bench) -> list[str]:
    counting = FailingFiles(-1, "none")
    with bench.fresh() as folder, through(counting):
        forget()
        bench.writer.act(folder, lambda _: None)
    return counting.done


def _failed(bench: Bench, index: int, fault: str) -> list[Wrong]:
    with bench.fresh() as folder:
        files, said = FailingFiles(index, fault), list[str]()
        forget()
        with through(files):
            found = attempt(bench.writer, folder, said.append)
        if files.open:
            found.append(Wrong("stuck", f"{len(files.open)} files were left open"))
            files.bury()
        return [*found, *aftermath(bench.writer, folder, said)]

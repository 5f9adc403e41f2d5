"""One flipped bit in every byte of what a writer leaves: it is noticed, and the right file named; or nothing comes of it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from benchmarks.faults.writer import Bench, Part, Tally, Wrong, forget
from engine.errors import EngineError
from engine.store import find_runs, verify_documents
from engine.store.verify import verify_rounds


def flip(bench: Bench, part: Part, tally: Tally) -> None:
    """Flip a bit of each byte, as far as the part has it."""
    with bench.fresh() as folder:
        said: list[str] = []
        forget()
        bench.writer.act(folder, said.append)
        number = 0
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            data = file.read_bytes()
            for at in range(len(data)):
                number += 1
                if not part.takes(number):
                    continue
                bit = random.Random(number).randrange(8)
                file.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
                name = file.relative_to(folder).as_posix()
                tally.add(f"bit {bit} of byte {at} of {name}", _noticed(bench, folder, name, said))
            file.write_bytes(data)


def _noticed(bench: Bench, folder: Path, name: str, said: list[str]) -> list[Wrong]:
    """What is wrong with what is said of the folder, in which one file is damaged."""
    try:
        named = damaged(folder)
    except EngineError as error:
        return [Wrong("traceback", f"verify ends in {error}")]
    if named == {name}:
        return []
    if named:
        return [Wrong("misnamed", f"{sorted(named)}")]
    try:  # no check covers a cache or an archive: what comes of it must be right, or refused
        forget()
        with bench.empty() as copy:  # a cache that is damaged is replaced
            shutil.copytree(folder, copy)
            found = [*bench.writer.check(copy, {*said})]
    except EngineError:
        return []
    except AssertionError as difference:
        found = [Wrong("torn", str(difference))]
    return [Wrong("undetected", f"{kind}: {what}") for kind, what in found]


def damaged(folder: Path) -> set[str]:
    """The files that `verify` names, of all runs in a folder and of what people made there; relative to it."""
    named = {damage.file for damage in verify_documents(folder)[0]}
    for run in find_runs(folder):
        named |= {f"{run.relative_to(folder).as_posix()}/{damage.file}" for damage in verify_rounds(run)}
    return named

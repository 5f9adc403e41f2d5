"""Try every fault on everything that writes, keep what came of it, and say it in a table."""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch

from benchmarks.faults.failing import fail
from benchmarks.faults.flips import flip
from benchmarks.faults.kills import COLD, WARM, kill_cold, kill_forked
from benchmarks.faults.power import FEW, RANDOM, lose_power
from benchmarks.faults.writer import KINDS, Bench, Part, Tally
from benchmarks.faults.writers import WRITERS

MEMORY = Path("/dev/shm")
"""Where the trials are, if it is there: what a disk does is modelled, never waited for."""
FAULTS: Mapping[str, Callable[[Bench, Part, Tally], None]] = {
    "failing operation": fail,
    "power loss": lose_power,
    "kill": partial(kill_forked, of=len(WRITERS)),
    "kill, cold start": partial(kill_cold, of=len(WRITERS)),
    "flipped bit": flip,
}
WORDS = {
    "failing operation": "each operation of the store fails once: ENOSPC, EIO, EACCES, and reads and writes do half of it",
    "power loss": f"at every moment every subset of up to {FEW} operations that were not forced to the disk, and {RANDOM:,} "
    "random ones beyond; equal states once",
    "kill": f"{WARM:,} pieces of work, begun in children forked from a warm process, are killed at random moments, each up to "
    "three times",
    "kill, cold start": f"{COLD} pieces of work, in processes that begin with their imports",
    "flipped bit": "one in every byte of what is left in the end",
}
"""What each of them is."""
RESULTS, PAGE = "results.json", "README.md"


@dataclass(frozen=True)
class Found:
    """What came of one part of one fault on one writer."""

    fault: str
    writer: str
    part: Part
    seconds: float
    tally: Tally

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What tells it from others."""
        return self.fault, self.writer, self.part.of, self.part.index

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        part = f"{self.part.index}/{self.part.of}"
        own = {"fault": self.fault, "writer": self.writer, "part": part, "seconds": round(self.seconds, 1)}
        return own | self.tally.to_json()

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        part, tally = Part.parse(values["part"]), Tally.from_json(values)
        return cls(values["fault"], values["writer"], part, values["seconds"], tally)


def every_fault(
    part: Part, faults: Collection[str] = tuple(FAULTS), writers: Collection[str] = tuple(WRITERS)
) -> Iterator[Found]:
    """Try some of the faults on some of the writers, one after another."""
    torch.set_num_threads(1)
    place = MEMORY if MEMORY.is_dir() else None
    for name in writers:
        with tempfile.TemporaryDirectory(dir=place) as work:
            bench = Bench(WRITERS[name], Path(work).resolve())
            for fault in faults:
                tally, begun = Tally(), time.monotonic()
                FAULTS[fault](bench, part, tally)
                yield Found(fault, name, part, time.monotonic() - begun, tally)


def keep(found: Found, out: Path) -> None:
    """Put it beside what was found before; the same part of the same fault on the same writer is replaced."""
    out.mkdir(parents=True, exist_ok=True)
    kept = {each.key: each for each in read(out)} | {found.key: found}
    lines = [json.dumps(kept[key].to_json(), ensure_ascii=False) for key in sorted(kept)]
    (out / RESULTS).write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    (out / PAGE).write_text(page([*kept.values()]), encoding="utf-8")


def read(out: Path) -> list[Found]:
    """What was found and kept."""
    path = out / RESULTS
    return [Found.from_json(each) for each in json.loads(path.read_text())] if path.exists() else []


def page(found: list[Found]) -> str:
    """The table: what was tried, how much of the whole campaign that is, and what was wrong."""
    lines = [
        "# Faults",
        "",
        "Made by `make faults`, or a part of it by `python -m benchmarks.faults --part 0/20`; see `benchmarks/faults/`. "
        f"Python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}. The aim is 0 everywhere.",
        "",
        f"| fault | share tried, mean over the writers | trials | {' | '.join(KINDS)} | seconds |",
        f"|---|---|---|{'---|' * len(KINDS)}---|",
    ]
    for fault in FAULTS:
        own = [each for each in found if each.fault == fault]
        total = _sum(own)
        share = sum(1 / each.part.of for each in own) / len(WRITERS)
        wrong = " | ".join(f"{total.wrong[kind]}" for kind in KINDS)
        seconds = sum(each.seconds for each in own)
        lines.append(f"| {fault} | {share:.1%} | {total.tried:,} | {wrong} | {seconds:,.0f} |")
    lines += ["", *(f"* **{fault}**: {WORDS[fault]}." for fault in FAULTS), ""]
    kills = _sum([each for each in found if each.fault.startswith("kill")]).notes
    lines += [f"* {number:,} were {note}." for note, number in sorted(kills.items())]
    lines += ["", f"| writer | {' | '.join(FAULTS)} | wrong |", f"|---|{'---|' * len(FAULTS)}---|"]
    for name in WRITERS:
        own = [each for each in found if each.writer == name]
        tried = " | ".join(f"{_sum([each for each in own if each.fault == fault]).tried:,}" for fault in FAULTS)
        lines.append(f"| {name} | {tried} | {sum(_sum(own).wrong.values())} |")
    examples = [(each, example) for each in found for example in each.tally.examples]
    if examples:
        lines += ["", "What was wrong, a few of each:", ""]
        lines += [f"* {each.fault}, {each.writer}: `{example}`" for each, example in examples]
    return "\n".join(lines) + "\n"


def _sum(found: list[Found]) -> Tally:
    total = Tally()
    for each in found:
        total = total.plus(each.tally)
    return total

"""Everything that writes, under every fault of a disk, a power supply, a process and a bit."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.timing import Figure


def figures(quick: bool = False) -> Iterator[Figure]:
    """A five-hundredth of the campaign, or a five-thousandth; `python -m benchmarks.faults` is all of it."""
    from benchmarks.faults.campaign import every_fault
    from benchmarks.faults.writer import KINDS, Part, Tally

    total = Tally()
    for found in every_fault(Part(0, 5000 if quick else 500)):
        total = total.plus(found.tally)
        for example in found.tally.examples:
            print(f"{found.fault}, {found.writer}: {example}")
    yield Figure("tried", total.tried, total.tried, "")
    for kind in KINDS:
        yield Figure(kind, total.wrong[kind], total.wrong[kind], "", target="0")

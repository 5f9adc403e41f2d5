"""`python -m benchmarks.faults [--fault NAME ...] [--writer NAME ...] [--part 0/20] [--out DIR]`: the campaign or a part."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.faults.campaign import FAULTS, every_fault, keep
from benchmarks.faults.writer import Part
from benchmarks.faults.writers import WRITERS

OUT = Path(__file__).resolve().parents[1] / "results" / "faults"


def main() -> None:
    """Run it, and exit with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--fault", nargs="+", choices=FAULTS, default=[*FAULTS], metavar="NAME", help=", ".join(FAULTS))
    parser.add_argument(
        "--writer", nargs="+", choices=WRITERS, default=[*WRITERS], metavar="NAME", help=", ".join(WRITERS)
    )
    parser.add_argument(
        "--part", type=Part.parse, default=Part(), metavar="I/N", help="one of N parts, from 0; default all"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="where results are kept and added up")
    asked = parser.parse_args()
    wrong = 0
    for found in every_fault(asked.part, asked.fault, asked.writer):
        said = ", ".join(f"{number} {kind}" for kind, number in found.tally.wrong.items()) or "nothing wrong"
        print(f"{found.writer}, {found.fault}: {found.tally.tried:,} tried, {said} ({found.seconds:.0f} s)", flush=True)
        for example in found.tally.examples:
            print(f"  {example}", flush=True)
        keep(found, asked.out)
        wrong += sum(found.tally.wrong.values())
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()

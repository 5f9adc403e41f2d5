"""`python -m benchmarks [NAME ...] [--quick]`: print the figures of some or all benchmarks.

Every file or package of this folder that has a `figures(quick)` function is a benchmark of that name. It yields the lines of
its table, mostly `Figure`s, so that a new one needs no entry here.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import torch

from benchmarks.timing import Line
from engine.terminal import print_table

Benchmark = Callable[[bool], Iterator[Line]]


def find() -> dict[str, Benchmark]:
    """Name -> function, of every benchmark in this folder."""
    here = Path(__file__).parent
    paths = (*here.glob("*.py"), *(path.parent for path in here.glob("*/__init__.py")))
    names = sorted(path.stem for path in paths if not path.stem.startswith("__"))
    modules = {name: import_module(f"benchmarks.{name}") for name in names}
    return {name: module.figures for name, module in modules.items() if hasattr(module, "figures")}


def main() -> None:
    """Run the benchmarks that were named, or all."""
    known = find()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}; by default all")
    parser.add_argument("--quick", action="store_true", help="fewer repeats: a minute instead of several")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; there is {', '.join(known)}")
    torch.set_num_threads(1)
    print(f"Python {platform.python_version()}, torch {torch.__version__}, one torch thread, {platform.machine()}")
    for name in arguments.names or known:
        started = time.perf_counter()
        lines = list(known[name](arguments.quick))
        print(f"\n{name} ({time.perf_counter() - started:.0f} s)")
        if lines:
            print_table(lines[0].COLUMNS, [line.row() for line in lines])
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""`python -m engine faultlab`: faults that are planted on purpose, against what the checks of a round name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine import arguments
from engine.cli.options import Json
from engine.errors import CancelledError
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.experiments.faultlab.cell import Cell


def faultlab(
    out: Annotated[Path, typer.Option(help="Folder of the answers, to make or to continue.")],
    seeds: Annotated[str, typer.Option(help="Training seeds, such as 0-4,10.")] = "0-4",
    env: Annotated[
        list[str] | None,
        typer.Option(help="Repeat for more; by default FrozenLake, CartPole, Acrobot and LunarLander.", metavar="NAME"),
    ] = None,
    round: Annotated[int, typer.Option(help="Round in which faults are planted.")] = 12,
    arms: Annotated[
        bool, typer.Option("--arms", help="Also play policies, as an autopsy does; takes many times as long.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one setting of the training; repeat for more."),
    ] = None,
    executor: Annotated[str, typer.Option(help="inline, processes or ray.")] = "processes",
    workers: Annotated[int | None, typer.Option(help="Cells at a time; by default one a core.")] = None,
    as_json: Json = False,
) -> None:
    """Plant faults in a round of a clean training, and count how often the checks of the round name the right one."""
    from engine.envs import find
    from engine.executors import Pool
    from engine.experiments.faultlab.cell import Cell
    from engine.experiments.faultlab.lab import ENVIRONMENTS, examine
    from engine.experiments.faultlab.table import to_json

    names = [find(name).name for name in env or ENVIRONMENTS]
    changed = dict(arguments.setting(text) for text in settings or [])
    asked = [
        Cell(name, seed, round, arms, changed) for seed in sorted(arguments.ranges(seeds, "--seeds")) for name in names
    ]
    try:
        with progress(quiet=as_json) as report:
            cells = examine(asked, out, pool=Pool(executor, workers), report=report)
    except KeyboardInterrupt:
        raise CancelledError(f"stopped; finished cells are kept in {out}; continue with the same command") from None
    if as_json:
        print_json({"folder": str(out), **to_json(cells)})
        return
    _print(cells)


def _print(cells: Sequence[Cell]) -> None:
    from engine.experiments.faultlab.table import misses, percent, rows, together

    print_table(
        ("planted", "form", "right answer", "rounds", "named, %", "by the record alone, %", "named instead"),
        [
            (
                row.plant,
                row.form if row.right != "none" else "-",
                row.right,
                row.rounds,
                percent(row.named),
                percent(row.named_by_record),
                ", ".join(f"{name} {times}" for name, times in row.instead.items()),
            )
            for row in rows(cells)
        ],
    )
    print()
    for name, share in together(cells).items():
        print(f"{name}: {percent(share)}")
    for line in misses(cells):
        print(line)

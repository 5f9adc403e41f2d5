"""`python -m engine faultlab`: faults that are planted on purpose, and falls, against what an autopsy names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine import arguments
from engine.cli.options import Executor, Json, Workers
from engine.errors import BadInputError, CancelledError
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.experiments.faultlab.cell import Cell
    from engine.experiments.faultlab.natural_falls import FallsCell


def faultlab(
    out: Annotated[Path, typer.Option(help="Folder of the answers, to make or to continue.")],
    seeds: Annotated[str, typer.Option(help="Training seeds, such as 0-4,10.")] = "0-4",
    env: Annotated[
        list[str] | None,
        typer.Option(help="Repeat for more; by default FrozenLake, CartPole, Acrobot and LunarLander.", metavar="NAME"),
    ] = None,
    round: Annotated[int, typer.Option(help="Round in which faults are planted; with --falls the last one.")] = 12,
    arms: Annotated[
        bool, typer.Option("--arms", help="Also play policies, as an autopsy does; takes many times as long.")
    ] = False,
    falls: Annotated[
        bool,
        typer.Option("--falls", help="Plant nothing: train too fast, and check what autopsies say of the falls."),
    ] = False,
    factor: Annotated[
        list[float] | None,
        typer.Option(help="With --falls: times the usual learning rate; repeat for more; 10 and 30 by default."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one setting of the training; repeat for more."),
    ] = None,
    executor: Executor = "processes",
    workers: Workers = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables in Markdown.")] = False,
    as_json: Json = False,
) -> None:
    """Plant faults in a round of a clean training, and count how often the checks of the round name the right one."""
    from engine.envs import find
    from engine.executors import Pool
    from engine.experiments.faultlab import falls_table, table
    from engine.experiments.faultlab import markdown as written
    from engine.experiments.faultlab.cell import Cell
    from engine.experiments.faultlab.lab import ENVIRONMENTS, examine
    from engine.experiments.faultlab.natural_falls import FACTORS, FallsCell, judge_falls

    if falls and arms:
        raise BadInputError("--arms is for planted faults; with --falls policies are played as they are needed")
    if factor and not falls:
        raise BadInputError("--factor is for falls; give --falls with it")
    names = [find(name).name for name in env or ENVIRONMENTS]
    changed = dict(arguments.setting(text) for text in settings or [])
    each = [(name, seed) for seed in sorted(arguments.ranges(seeds, "--seeds")) for name in names]
    pool = Pool(executor, workers)
    try:
        with progress(quiet=as_json) as report:
            if falls:
                asked = [
                    FallsCell(*cell, times, round + 1, settings=changed) for times in factor or FACTORS for cell in each
                ]
                fallen = judge_falls(asked, out, pool=pool, report=report)
            else:
                planted = examine(
                    [Cell(*cell, round, arms, settings=changed) for cell in each], out, pool=pool, report=report
                )
    except KeyboardInterrupt:
        raise CancelledError(f"stopped; finished cells are kept in {out}; continue with the same command") from None
    if as_json:
        found = falls_table.to_json(fallen) if falls else table.to_json(planted)
        print_json({"folder": str(out), **found})
    elif markdown:
        for line in written.of_falls(fallen) if falls else written.of_plants(planted):
            print(line)
    elif falls:
        _print_falls(fallen)
    else:
        _print_planted(planted)


def _print_planted(cells: Sequence[Cell]) -> None:
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


def _print_falls(cells: Sequence[FallsCell]) -> None:
    from engine.experiments.faultlab.falls_table import TRUTHS, judged_falls, lines, matrix, misses

    print_table(
        ("verdict", *(f"happens: {true}" for true in TRUTHS)),
        [(verdict, *(truths[true] for true in TRUTHS)) for verdict, truths in matrix(judged_falls(cells)).items()],
    )
    print()
    for line in (*lines(cells), *misses(cells)):
        print(line)

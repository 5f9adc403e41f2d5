"""What a study of faithfulness found, as Markdown: which estimator predicts removal where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.estimators.registry import ESTIMATORS
from engine.core.faithfulness.result import MOSTLY_NOISE
from engine.errors import BadInputError
from engine.experiments.faithfulness import STAGES, cell_of, read_cells
from engine.store.files import Files

REACHED = 0.8
"""Share of the noise ceiling from which an estimator counts as having reached it."""

StudyRow = dict[str, Any]


def read_study(folder: str | Path) -> list[StudyRow]:
    """Rows of `engine.experiments.faithfulness.SCHEMA` of every environment in the folder.

    Raises:
        BadInputError: there is no study.
    """
    rows = [row for path in sorted(Path(folder).glob("*.parquet")) for row in read_cells(path)]
    if not rows:
        raise BadInputError(f"{folder} holds no study; make one with python -m engine faithfulness NAME --out {folder}")
    return rows


def write_study_report(folder: str | Path) -> Path:
    """Write `report.md` into the study's folder; one that was there is replaced."""
    path = Path(folder) / "report.md"
    Files().replace(path, render_study(read_study(folder)).encode())
    return path


def render_study(rows: Sequence[StudyRow]) -> str:
    """The report as Markdown."""
    fractions = sorted({row["fraction"] for row in rows}, reverse=True)
    parts = [
        "# Which estimator predicts what removal does?",
        "LDS is the rank correlation, over random subsets of a round's records, of predicted and actual change of the target "
        "when the subset is removed and the update replayed; the ceiling is what the noise of the minibatch orders leaves. "
        "A cell is one round, one target and one share of records removed. An estimator *reaches* a cell where its LDS is at "
        f"least {REACHED:.0%} of the ceiling. Cells with a ceiling below {MOSTLY_NOISE:g} are mostly noise, and not counted.",
    ]
    for fraction in fractions:
        cells = _cells(row for row in rows if row["fraction"] == fraction)
        parts += [f"## {fraction:.0%} of the records removed", _reached(cells), _by_stage(cells)]
    parts += ["## Every cell", _all_cells(rows), "## Made with", _commands(rows)]
    return "\n\n".join(parts) + "\n"


def share(row: StudyRow) -> float:
    """LDS over ceiling; an LDS that is not defined (all predictions are equal) predicts nothing."""
    return 0.0 if row["lds"] is None else row["lds"] / row["ceiling"]


def reached(cells: Sequence[Sequence[StudyRow]], estimator: str | None = None) -> tuple[int, int]:
    """How many cells the estimator (None: the best of each) reaches, of how many that it was measured in."""
    own = [[row for row in cell if estimator in (None, row["estimator"])] for cell in cells]
    own = [cell for cell in own if cell]
    return sum(max(map(share, cell)) >= REACHED for cell in own), len(own)


def _cells(rows: Iterable[StudyRow]) -> list[list[StudyRow]]:
    """The rows of each cell that is more than noise."""
    found: dict[tuple[Any, ...], list[StudyRow]] = {}
    for row in rows:
        if row["ceiling"] is not None and row["ceiling"] >= MOSTLY_NOISE:
            found.setdefault(cell_of(row), []).append(row)
    return list(found.values())


def _reached(cells: Sequence[Sequence[StudyRow]]) -> str:
    """How often each estimator reaches the ceiling, and how often it is the best."""
    lines = []
    for title, estimator in (("the best of each cell", None), *((f"`{name}`", name) for name in ESTIMATORS)):
        count, of = reached(cells, estimator)
        if not of:
            continue
        best = sum(max(cell, key=share)["estimator"] == estimator for cell in cells)
        lines.append((title, f"{count} of {of}", "" if estimator is None else str(best)))
    return _table(("estimator", f"reaches {REACHED:.0%} of the ceiling", "best of its cell"), lines)


def _by_stage(cells: Sequence[Sequence[StudyRow]]) -> str:
    """Mean share of the ceiling by environment, stage and kind of target."""
    groups: dict[tuple[str, str, str], list[StudyRow]] = {}
    for row in (row for cell in cells for row in cell):
        groups.setdefault((row["env_id"], row["stage"], row["target"]), []).append(row)

    def mean(rows: Sequence[StudyRow], of: Callable[[StudyRow], float]) -> str:
        return f"{np.mean([of(row) for row in rows]):.2f}" if rows else "-"

    lines = []
    for (env_id, stage, target), rows in groups.items():
        own = {name: [row for row in rows if row["estimator"] == name] for name in ESTIMATORS}
        figures = [mean(own[name], lambda row: row["lds"] or 0.0) for name in ESTIMATORS]
        lines.append(
            (env_id, f"{stage} ({rows[0]['round']})", target, *figures, mean(rows, lambda row: row["ceiling"]))
        )
    order = list(STAGES)
    lines.sort(key=lambda line: (line[0], order.index(line[1].split()[0]), line[2] != "return"))
    names = [f"`{name}`" for name in ESTIMATORS]
    return _table(("environment", "stage (round)", "target", *names, "ceiling"), lines)


def _all_cells(rows: Sequence[StudyRow]) -> str:
    lines = []
    for row in rows:
        target = row["target"] if row["record"] is None else f"action of record {row['record']}"
        figures = ["-" if row[name] is None else f"{row[name]:.2f}" for name in ("lds", "low", "high", "ceiling")]
        measured = (
            row["env_id"],
            str(row["round"]),
            target,
            f"{row['fraction']:.0%}",
            f"{row['subsets']} x {row['orders']}",
        )
        lds, low, high, ceiling = figures
        lines.append((*measured, row["estimator"], f"{lds} ({low} to {high})", ceiling, row["verdict"]))
    columns = ("environment", "round", "target", "removed", "subsets x orders", "estimator", "LDS (95 %)", "ceiling")
    return _table((*columns, "verdict"), lines)


def _commands(rows: Sequence[StudyRow]) -> str:
    commands = dict.fromkeys(row["command"] for row in rows if row["command"])
    return "\n".join(["```", *commands, "```"])


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)

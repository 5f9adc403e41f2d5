"""The lab's findings in Markdown, as the documentation has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from engine.experiments.faultlab import falls_table, table
from engine.experiments.faultlab.cell import FORMS, Cell
from engine.experiments.faultlab.falls_table import TRUTHS
from engine.experiments.faultlab.natural_falls import FallsCell
from engine.experiments.faultlab.plants import PLANTS
from engine.experiments.faultlab.table import Row, percent
from engine.intervals import Interval


def of_plants(cells: Sequence[Cell]) -> Iterator[str]:
    """Lines of what was named where something was planted, and where nothing was; and of every wrong answer."""
    rows = {(row.plant, row.form): row for row in table.rows(cells)}
    columns = ("planted (gross; mild)", "right answer", "gross named", "mild named", "by the record alone, gross; mild")
    body: list[tuple[str, ...]] = []
    for plant in PLANTS.values():
        found = [rows.get((plant.name, form)) for form in FORMS]
        if plant.verdict and any(found):
            alone = "; ".join(_of(row, row.named_by_record) for row in found if row)
            named = (_of(row, row.named) if row else "-" for row in found)
            body.append((f"{plant.name} ({plant.forms})", plant.verdict, *named, alone))
    yield from _table(columns, body)
    yield ""
    all_checks, record_only = (table.together(cells, by_record=each) for each in (False, True))
    shares = [", ".join(f"{form} {percent(those[form])}" for form in FORMS) for those in (all_checks, record_only)]
    yield f"Together: {shares[0]}; by the record alone {shares[1]}."
    alarms, clean = all_checks["false alarms"], sum(row.rounds for row in rows.values() if row.right == table.NOTHING)
    yield f"Of {clean} rounds with nothing planted, {round(alarms.value * clean)} had a fault named: {percent(alarms)}."
    yield from _wrong(list(table.misses(cells)), "No answer was wrong.")


def of_falls(cells: Sequence[FallsCell]) -> Iterator[str]:
    """Lines of verdicts against what really happens; and of every wrong verdict."""
    falls = falls_table.judged_falls(cells)
    counted = falls_table.matrix(falls)
    body = [(verdict, *(str(truths[true]) for true in TRUTHS)) for verdict, truths in counted.items()]
    yield from _table(("verdict \\ what happens", *TRUTHS), body)
    yield ""
    for line in falls_table.lines(cells):
        yield f"* {line}"
    yield from _wrong(list(falls_table.misses(cells)), "No verdict was wrong where it is clear what happens.")


def _of(row: Row, share: Interval) -> str:
    return f"{round(share.value * row.rounds)} of {row.rounds}"


def _table(columns: Sequence[str], body: Iterable[Sequence[str]]) -> Iterator[str]:
    for cells in (columns, ["---"] * len(columns), *body):
        yield f"| {' | '.join(cells)} |"


def _wrong(misses: Sequence[str], none: str) -> Iterator[str]:
    yield ""
    yield from (f"* {line}" for line in misses) if misses else [none]

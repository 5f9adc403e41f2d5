"""The tables of the report: numbers of the summary as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.experiments.findings import FAMILIES, Row, best, low_to_high, verdict
from engine.experiments.results import Results
from engine.experiments.summary import EFFICIENCIES

TITLES = dict(zip(EFFICIENCIES, ("SE_ave", "SE_peak", "RT_peak"), strict=True))
_SAVINGS = ("arm", "seeds", *TITLES.values(), "never", "dropped", "time in filter")
_RETURNS = (
    *("arm", "final return", "difference", "P(better)", "area", "difference", "P(better)"),
    *("worst seed", "below PPO's worst"),
)


class Cell(NamedTuple):
    """What a cell says."""

    text: str = ""
    more: str = ""
    """In small letters below."""


class Line(NamedTuple):
    """A row of a table."""

    cells: Sequence[Cell]
    paper: bool = False
    """It quotes the paper."""


class Table(NamedTuple):
    """A table of the report."""

    columns: Sequence[str]
    lines: Sequence[Line]
    caption: str = ""


def savings(results: Results, rows: Sequence[Row]) -> Table:
    """What every arm of an experiment saves; the paper's figures follow those of IIF."""
    lines = [Line(_savings(row)) for row in rows]
    paper = results.experiment.paper
    if paper is not None:
        place = max((i + 1 for i, row in enumerate(rows) if row["arm"].startswith("iif")), default=len(rows))
        cells = [Cell("the paper's IIF"), Cell("5"), Cell(f"{paper.se_ave:.1f} ± {paper.se_ave_error:.1f} %")]
        cells += [Cell(f"{paper.se_peak:.1f} %"), Cell(f"{paper.rt_peak:.1f} %")]
        lines.insert(place, Line([*cells, *[Cell()] * (len(_SAVINGS) - len(cells))], paper=True))
    return Table(_SAVINGS, lines)


def returns(rows: Sequence[Row]) -> Table:
    """Final return and area of every arm of an experiment, against PPO."""
    return Table(_RETURNS, [Line(_returns(row)) for row in rows])


def savings_over_all(rows: Sequence[Row]) -> Table:
    """`savings` over all environments."""
    lines = []
    for row in rows:
        arm, seeds, *saved = _savings(row)[:5]
        lines.append(Line([arm, seeds, Cell(str(row["environments"])), *saved]))
    columns = ("arm", "seeds", "environments", *TITLES.values())
    return Table(columns, lines, "Mean ± standard error over environments.")


def returns_over_all(rows: Sequence[Row]) -> Table:
    """`returns` over all environments."""
    return Table(
        _RETURNS[:-2],
        [Line(_returns(row)[:-2]) for row in rows],
        "Normalised per environment: 0 is PPO's worst evaluation there, 1 its best. An arm that was not run everywhere is "
        "compared with PPO on the environments that it has.",
    )


def beside_the_paper(experiments: Mapping[str, Results], rows: Mapping[str, Sequence[Row]]) -> Table:
    """SE_ave, SE_peak and RT_peak of every experiment beside the paper's."""
    lines = []
    for name, results in experiments.items():
        half = next((row for row in rows[name] if row["arm"] == "iif 0.5"), None)
        paper = results.experiment.paper
        for column, title in TITLES.items():
            cells = [Cell(results.experiment.env_id if column == "se_ave" else ""), Cell(title)]
            cells.append(Cell() if paper is None else Cell(f"{getattr(paper, column):.1f} %"))
            cells.append(Cell() if half is None else _saving(half, column))
            for row in (best(rows[name], family) for family in FAMILIES):
                cells.append(Cell() if row is None else Cell(_saving(row, column).text, row["arm"]))
            lines.append(Line(cells))
    columns = ("environment", "fewer rounds or less time", "the paper's IIF", "iif 0.5")
    caption = "Best p: the one with the highest SE_ave on these seeds. Mean ± standard error over seeds."
    return Table((*columns, *(f"{title}, best p" for title in FAMILIES.values())), lines, caption)


def _savings(row: Row) -> list[Cell]:
    shares = [Cell("" if row[name] is None else f"{row[name]:.0%}") for name in ("never", "dropped", "filter_share")]
    return [Cell(row["arm"]), Cell(str(row["seeds"])), *(_saving(row, name) for name in EFFICIENCIES), *shares]


def _saving(row: Row, name: str) -> Cell:
    if row[name] is None:
        return Cell()
    error = row[f"{name}_error"]
    return Cell(f"{100 * row[name]:.1f}{'' if error is None else f' ± {100 * error:.1f}'} %")


def _returns(row: Row) -> list[Cell]:
    cells = [Cell(row["arm"])]
    for name in ("final", "area"):
        cells.append(Cell(f"{row[name]:.3g}", low_to_high(row, name)))
        if row[f"{name}_gain"] is None:
            cells += [Cell(), Cell()]
            continue
        cells.append(Cell(f"{row[f'{name}_gain']:+.3g}", f"{low_to_high(row, f'{name}_gain')} {verdict(row, name)}"))
        cells.append(Cell(f"{row[f'{name}_better']:.2f}", low_to_high(row, f"{name}_better")))
    cells.append(Cell("" if row["worst"] is None else f"{row['worst']:.3g}"))
    cells.append(Cell("" if row["below"] is None else f"{row['below']} of {row['seeds']}"))
    return cells

"""The tables of the report: numbers of the summary as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.experiments.findings import FAMILIES, Row, best, low_to_high, verdict
from engine.experiments.paper import Paper, comparable, quoted
from engine.experiments.plans import STANDARD
from engine.experiments.results import Results
from engine.experiments.summary import EFFICIENCIES, SYMMETRIC

TITLES = {SYMMETRIC: "SE_sym", **dict(zip(EFFICIENCIES, ("SE_ave", "SE_peak", "RT_peak"), strict=True))}
AGAINST_ITSELF = "ppo against ppo"
"""PPO's row in a table of what arms save."""
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
    """What every arm of an experiment saves; the paper's figures follow those of IIF where it trains like this."""
    lines = [Line(_savings(row)) for row in rows]
    paper = quoted(results.config)
    if paper is not None:
        place = max((i + 1 for i, row in enumerate(rows) if row["arm"].startswith("iif")), default=len(rows))
        cells = [
            Cell(f"paper: iif {paper.p:g}"),
            Cell("5"),
            *(_papers(paper, name) for name in TITLES),
        ]
        lines.insert(place, Line([*cells, *[Cell()] * (len(_SAVINGS) - len(cells))], paper=True))
    return Table(_SAVINGS, lines, comparable(results.config))


def returns(rows: Sequence[Row]) -> Table:
    """Final return and area of every arm of an experiment, against PPO."""
    return Table(_RETURNS, [Line(_returns(row)) for row in rows])


def savings_over_all(rows: Sequence[Row]) -> Table:
    """`savings` over all environments."""
    lines = []
    for row in rows:
        arm, seeds, *saved = _savings(row)[: 2 + len(TITLES)]
        lines.append(Line([arm, seeds, Cell(str(row["environments"])), *saved]))
    columns = ("arm", "seeds", "environments", *TITLES.values())
    return Table(columns, lines, "SE_sym with its 95 % interval; else mean ± standard error over environments.")


def returns_over_all(rows: Sequence[Row]) -> Table:
    """`returns` over all environments."""
    return Table(
        _RETURNS[:-2],
        [Line(_returns(row)[:-2]) for row in rows],
        "Normalised per environment: 0 is PPO's worst evaluation there, 1 its best. An arm that was not run everywhere is "
        "compared with PPO on the environments that it has.",
    )


def beside_the_paper(experiments: Mapping[str, Results], rows: Mapping[str, Sequence[Row]]) -> Table:
    """SE_sym, SE_ave, SE_peak and RT_peak of every experiment, PPO against PPO, and the paper's where it trains like this."""
    lines = []
    for name, results in experiments.items():
        arms, paper = {row["arm"]: row for row in rows[name]}, quoted(results.config)
        for column, title in TITLES.items():
            cells = [Cell(results.experiment.env_id if column == SYMMETRIC else ""), Cell(title)]
            cells.append(Cell() if paper is None else _papers(paper, column))
            cells += [_saving(arms[arm], column) if arm in arms else Cell() for arm in (STANDARD, "iif 0.5")]
            for row in (best(rows[name], family) for family in FAMILIES):
                cells.append(Cell() if row is None else _named(row, column))
            lines.append(Line(cells))
    columns = ("environment", "fewer rounds or less time", "the paper's IIF", AGAINST_ITSELF, "iif 0.5")
    caption = (
        "Best p: the one with the highest SE_sym on these seeds. SE_sym with its 95 % interval; else mean ± standard error over "
        "seeds. The paper's figures stand only beside training like its own; it does not report SE_sym."
    )
    return Table((*columns, *(f"{title}, best p" for title in FAMILIES.values())), lines, caption)


def saving_name(arm: str) -> str:
    """What an arm is called where it says what arms save: of PPO that is what PPO saves on itself."""
    return AGAINST_ITSELF if arm == STANDARD else arm


def _savings(row: Row) -> list[Cell]:
    shares = [Cell("" if row[name] is None else f"{row[name]:.0%}") for name in ("never", "dropped", "filter_share")]
    return [Cell(saving_name(row["arm"])), Cell(str(row["seeds"])), *(_saving(row, name) for name in TITLES), *shares]


def _saving(row: Row, name: str) -> Cell:
    if row[name] is None:
        return Cell()
    if name == SYMMETRIC:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return Cell(f"{100 * row[name]:.1f} %", "one seed" if low is None else f"{100 * low:.1f} to {100 * high:.1f} %")
    error = row[f"{name}_error"]
    return Cell(f"{100 * row[name]:.1f}{'' if error is None else f' ± {100 * error:.1f}'} %")


def _named(row: Row, name: str) -> Cell:
    """`_saving`, with the arm's name."""
    text, interval = _saving(row, name)
    return Cell(text, f"{row['arm']}, {interval}" if interval else row["arm"])


def _papers(paper: Paper, name: str) -> Cell:
    """What the paper reports, where it does."""
    value = getattr(paper, name, None)
    error = f" ± {paper.se_ave_error:.1f}" if name == "se_ave" else ""
    return Cell() if value is None else Cell(f"{value:.1f}{error} %")


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

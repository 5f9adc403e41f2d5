"""The report of a campaign: one HTML file that needs nothing else, and the summary as Parquet beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
from markupsafe import Markup

from engine.experiments import figures
from engine.experiments.plans import EXPERIMENTS, STANDARD
from engine.experiments.results import Campaign, Results
from engine.experiments.summary import ALL, EFFICIENCIES, summary
from engine.store.files import Files
from engine.store.parquet import to_parquet

Row = Mapping[str, Any]

WITHIN_NOISE = "within noise"
_GAINS = (
    ("final_gain", "final return − PPO's", 0.0),
    ("area_gain", "area − PPO's", 0.0),
    ("area_better", "P(area above PPO's)", 0.5),
)
_SAVINGS = ("arm", "seeds", "SE_ave", "SE_peak", "RT_peak", "never", "dropped", "time in filter")
_RETURNS = (
    *("arm", "final return", "difference", "P(better)", "area", "difference", "P(better)"),
    *("worst seed", "below PPO's worst"),
)


def write_report(campaign: Campaign) -> tuple[Path, pa.Table]:
    """Write `report.html` and `summary.parquet` into the campaign's folder; those that were there are replaced.

    Returns:
        The path of the report, and the summary.

    Raises:
        StorageError: the disk refused.
    """
    table, files = summary(campaign), Files()
    files.replace(campaign.folder / "summary.parquet", to_parquet(table))
    path = campaign.folder / "report.html"
    files.replace(path, render(campaign, table).encode())
    return path, table


def render(campaign: Campaign, table: pa.Table) -> str:
    """The report as HTML.

    Args:
        campaign: what `read_campaign` gives, finished or not.
        table: its `summary`.
    """
    rows: dict[str, list[Row]] = {name: [] for name in (*campaign.experiments, ALL)}
    for row in table.to_pylist():
        rows[row["experiment"]].append(row)
    shown = {name: results for name, results in campaign.experiments.items() if rows[name]}
    unfinished = [name for name, results in campaign.experiments.items() if not results.complete]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("engine.experiments", "."),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html").render(
        notes=[f"Unfinished: {', '.join(unfinished)}. What is finished is shown."] if unfinished else [],
        beside=_beside(shown, rows),
        overall=_overall(rows[ALL]) if rows[ALL] else None,
        parts=[_part(results, rows[name]) for name, results in shown.items()],
        commands=_commands(campaign),
    )


def _part(results: Results, rows: Sequence[Row]) -> dict[str, Any]:
    experiment = results.experiment
    compared = [row for row in rows if row["arm"] != STANDARD and row["final_gain"] is not None]
    return {
        "name": experiment.name,
        "title": experiment.env_id,
        "about": _about(results),
        "curves": {
            "svg": Markup(figures.curves(results, _panels(rows))),
            "alt": f"Learning curves of {experiment.env_id}: test return over rounds for {_list(r['arm'] for r in rows)}. "
            "The tables below have the figures.",
            "caption": "Test return after each round: mean over seeds; the band is one standard error of the mean.",
        },
        "savings": {"columns": _SAVINGS, "rows": _with_paper(results, rows), "caption": ""},
        "returns": {"columns": _RETURNS, "rows": [_plain(_returns(row)) for row in rows], "caption": ""},
        "differences": _differences(compared),
        "findings": _findings(results, rows),
    }


def _panels(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """PPO beside the best of IIF and guarded; IIF over p; the controls."""
    arms = [row["arm"] for row in rows]
    first = [STANDARD] if STANDARD in arms else []
    iif = [arm for arm in arms if arm.startswith("iif")]
    others = [arm for arm in arms if arm not in (STANDARD, "guarded", *iif)]
    best = _best_p(rows)
    panels = [("filters", [*first, *([best["arm"]] if best else iif[:1]), *(["guarded"] if "guarded" in arms else [])])]
    if len(iif) > 1:
        panels.append(("IIF, by p", [*first, *iif]))
    if others:
        panels.append(("controls", [*first, *others]))
    return panels


def _about(results: Results) -> str:
    experiment, config = results.experiment, results.config
    seeds = {len(seeds) for seeds in results.finished.values() if seeds}
    count = f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else str(*seeds)
    every = "each round" if experiment.evaluate_every == 1 else f"every {experiment.evaluate_every} rounds"
    text = (
        f"{count} seed{'' if count == '1' else 's'}, {experiment.rounds} rounds of {config.records_per_round} records, "
        f"{experiment.episodes} stochastic evaluation episodes after {every}. "
        f"Preset {experiment.preset}: {config.optimizer} {config.learning_rate:g}, minibatches of {config.batch_size}, "
        f"{config.n_epochs} epochs. "
    )
    planned = EXPERIMENTS.get(experiment.name, experiment)
    if planned.rounds != experiment.rounds:
        text += f"Planned are {planned.rounds} rounds. "
    if planned.episodes != experiment.episodes:
        text += f"Planned are {planned.episodes} evaluation episodes. "
    if results.experiment.settings:
        text += f"Changed: {', '.join(f'{k}={v}' for k, v in experiment.settings.items())}. "
    return text + experiment.note


def _with_paper(results: Results, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of the first table, the paper's figures after those of IIF."""
    found = [_plain(_savings(row)) for row in rows]
    paper = results.experiment.paper
    if paper is not None:
        place = max((i + 1 for i, row in enumerate(rows) if row["arm"].startswith("iif")), default=len(rows))
        texts = ["the paper's IIF", "5", f"{paper.se_ave:.1f} ± {paper.se_ave_error:.1f} %"]
        texts += [f"{paper.se_peak:.1f} %", f"{paper.rt_peak:.1f} %"]
        cells = [_cell(text) for text in texts + [""] * (len(_SAVINGS) - len(texts))]
        found.insert(place, {"paper": True, "cells": cells})
    return found


def _plain(cells: list[dict[str, str]]) -> dict[str, Any]:
    return {"paper": False, "cells": cells}


def _savings(row: Row) -> list[dict[str, str]]:
    shares = [_cell("" if row[name] is None else f"{row[name]:.0%}") for name in ("never", "dropped", "filter_share")]
    return [_cell(row["arm"]), _cell(row["seeds"]), *(_saving(row, name) for name in EFFICIENCIES), *shares]


def _returns(row: Row) -> list[dict[str, str]]:
    cells = [_cell(row["arm"])]
    for name in ("final", "area"):
        cells.append(_cell(f"{row[name]:.3g}", _range(row, name)))
        cells.append(_cell("", "") if row[f"{name}_gain"] is None else _gain(row, name))
        better = row[f"{name}_better"]
        cells.append(_cell("" if better is None else f"{better:.2f}", _range(row, f"{name}_better")))
    cells.append(_cell("" if row["worst"] is None else f"{row['worst']:.3g}"))
    cells.append(_cell("" if row["below"] is None else f"{row['below']} of {row['seeds']}"))
    return cells


def _cell(text: object, more: str = "") -> dict[str, str]:
    return {"text": str(text), "more": more}


def _saving(row: Row, name: str) -> dict[str, str]:
    if row[name] is None:
        return _cell("")
    error = row[f"{name}_error"]
    return _cell(f"{100 * row[name]:.1f}{'' if error is None else f' ± {100 * error:.1f}'} %")


def _gain(row: Row, name: str) -> dict[str, str]:
    verdict = _verdict(row, name)
    return _cell(f"{row[f'{name}_gain']:+.3g}", f"{_range(row, f'{name}_gain')} {verdict}")


def _range(row: Row, name: str) -> str:
    return "" if row[name] is None else f"{row[f'{name}_low']:.3g} to {row[f'{name}_high']:.3g}"


def _verdict(row: Row, name: str) -> str:
    """`above`, `below` or `within noise`: where the interval of the difference to PPO lies."""
    if row[f"{name}_gain_low"] > 0:
        return "above"
    return "below" if row[f"{name}_gain_high"] < 0 else WITHIN_NOISE


def _differences(rows: Sequence[Row]) -> dict[str, Any] | None:
    if not rows:
        return None
    said = "; ".join(
        f"{row['arm']}: final return {_verdict(row, 'final')}, area {_verdict(row, 'area')}" for row in rows
    )
    return {
        "svg": Markup(figures.differences(rows, _GAINS)),
        "alt": f"Differences to PPO with 95 % intervals. {said}.",
        "caption": "Differences to PPO with 95 % intervals. A hollow dot: within noise (for the probability, of one half).",
    }


def _findings(results: Results, rows: Sequence[Row]) -> list[str]:
    """What can be said, and what can't, in sentences."""
    compared = [row for row in rows if row["arm"] != STANDARD and row["final_gain"] is not None]
    lines = []
    for name, title in (("final", "Final return"), ("area", "Area under the curve")):
        groups = {v: [r["arm"] for r in compared if _verdict(r, name) == v] for v in ("above", "below", WITHIN_NOISE)}
        said = [
            f"{verdict}{'' if verdict == WITHIN_NOISE else ' PPO'}: {_list(arms)}"
            for verdict, arms in groups.items()
            if arms
        ]
        if said:
            lines.append(f"{title}: " + "; ".join(said) + ".")
    best = _best_p(rows)
    if best is not None:
        grid = ", ".join(
            f"p = {row['arm'].removeprefix('iif ')}: {row['se_ave']:.1%}"
            for row in rows
            if row["arm"].startswith("iif") and row["se_ave"] is not None
        )
        lines.append(
            f"Choice of p by SE_ave: {best['arm'].removeprefix('iif ')} ({grid}). It was chosen on the same seeds that it is "
            "reported on, which flatters it."
        )
    for row in compared:
        if row["below"]:
            lines.append(f"{row['arm']}: {row['below']} of {row['seeds']} seeds end below PPO's worst seed.")
    for row in compared:
        if row["arm"] == "random" and _verdict(row, "area") != "below":
            lines.append(f"The random filter is not clearly worse than PPO here (area: {_verdict(row, 'area')}).")
    if not results.complete:
        planned, done = sum(map(len, results.seeds.values())), sum(map(len, results.finished.values()))
        lines.append(f"{done} of {planned} tasks are finished.")
    if compared and min(row["seeds"] for row in rows) < 5:
        lines.append("Fewer than five seeds: the intervals say little.")
    return lines


def _best_p(rows: Sequence[Row]) -> Row | None:
    """IIF's row with the highest SE_ave, where several values of p can be compared."""
    iif = [row for row in rows if row["arm"].startswith("iif") and row["se_ave"] is not None]
    return max(iif, key=lambda row: row["se_ave"]) if len(iif) > 1 else None


def _beside(shown: Mapping[str, Results], rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """SE_ave, SE_peak and RT_peak of every experiment beside the paper's."""
    lines = []
    for name, results in shown.items():
        by_arm = {row["arm"]: row for row in rows[name]}
        best, paper = _best_p(rows[name]), results.experiment.paper
        for column, title in zip(EFFICIENCIES, ("SE_ave", "SE_peak", "RT_peak"), strict=True):
            cells = [_cell(results.experiment.env_id if column == "se_ave" else ""), _cell(title)]
            cells.append(_cell("" if paper is None else f"{getattr(paper, column):.1f} %"))
            cells.append(_saving(by_arm["iif 0.5"], column) if "iif 0.5" in by_arm else _cell(""))
            cells.append({**_saving(best, column), "more": best["arm"]} if best is not None else _cell(""))
            cells.append(_saving(by_arm["guarded"], column) if "guarded" in by_arm else _cell(""))
            lines.append(_plain(cells))
    caption = "Best p: the one with the highest SE_ave on these seeds. Mean ± standard error over seeds."
    columns = ("environment", "fewer rounds or less time", "the paper's IIF", "iif 0.5", "iif, best p", "guarded")
    return {"columns": columns, "rows": lines, "caption": caption}


def _overall(rows: Sequence[Row]) -> dict[str, Any]:
    lines = [_plain([*_savings(row)[:2], _cell(row["environments"]), *_savings(row)[2:5]]) for row in rows]
    savings = {"columns": ("arm", "seeds", "environments", *_SAVINGS[2:5]), "rows": lines}
    returns = {"columns": _RETURNS[:-2], "rows": [_plain(_returns(row)[:-2]) for row in rows]}
    return {
        "picture": _differences([row for row in rows if row["arm"] != STANDARD]),
        "savings": {**savings, "caption": "Mean ± standard error over environments."},
        "returns": {
            **returns,
            "caption": "Normalised per environment: 0 is PPO's worst evaluation there, 1 its best. An arm that was not run "
            "everywhere is compared with PPO on the environments that it has.",
        },
    }


def _commands(campaign: Campaign) -> list[dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for results in campaign.experiments.values():
        for made in results.made:
            software = ", ".join(
                f"{name} {made['fingerprint'][name]}" for name in ("python", "numpy", "torch", "gymnasium")
            )
            found[f"{made['when']} {made['command']}"] = {
                "command": made["command"],
                "about": f"{made['when']}: {software}",
            }
    return [found[key] for key in sorted(found)]


def _list(words: Any) -> str:
    return ", ".join(words)

"""The report of a campaign: one HTML file that needs nothing else, and the summary as Parquet beside it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import pyarrow as pa
from markupsafe import Markup

from engine.errors import BadInputError
from engine.experiments import figures, report_tables
from engine.experiments.findings import FAMILIES, Row, best, compared, evaluation, family, findings, verdict
from engine.experiments.pages import commands, page, seeds_in_words
from engine.experiments.plans import EXPERIMENTS, STANDARD
from engine.experiments.results import Campaign, Results
from engine.experiments.summary import ALL, summary
from engine.store.files import Files
from engine.store.results_table import write_results

_GAINS = (
    ("se_sym", "SE_sym, share of rounds saved", 0.0),
    ("final_gain", "final return − PPO's", 0.0),
    ("area_gain", "area − PPO's", 0.0),
)


def write_report(campaign: Campaign) -> tuple[Path, pa.Table]:
    """Write `report.html` and `summary.parquet` into the campaign's folder; those that were there are replaced.

    Returns:
        The path of the report, and the summary.

    Raises:
        BadInputError: no experiment of it can be read; an older report stays as it is.
        StorageError: the disk refused.
    """
    if not campaign.experiments:
        raise BadInputError(f"{campaign.folder} holds no experiment that can be read; there is nothing to report")
    table, files = summary(campaign), Files()
    write_results(campaign.folder / "summary.parquet", table, files)
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
    return page(
        "report.html",
        notes=[
            *([f"Unfinished: {', '.join(unfinished)}. What is finished is shown."] if unfinished else []),
            *(f"Not shown: {problem}" for problem in campaign.damaged.values()),
        ],
        beside=report_tables.beside_the_paper(shown, rows),
        overall=_overall(rows[ALL]) if rows[ALL] else None,
        parts=[_part(results, rows[name]) for name, results in shown.items()],
        commands=commands(made for results in campaign.experiments.values() for made in results.made),
    )


def _part(results: Results, rows: Sequence[Row]) -> dict[str, Any]:
    experiment, arms = results.experiment, ", ".join(row["arm"] for row in rows)
    return {
        "name": experiment.name,
        "title": experiment.env_id,
        "about": _about(results),
        "curves": {
            "svg": Markup(figures.curves(results, _panels(rows))),
            "alt": f"Learning curves of {experiment.env_id}: test return over rounds for {arms}. The tables below have the "
            "figures.",
            "caption": "Test return after each round: mean over seeds; the band is one standard error of the mean.",
        },
        "savings": report_tables.savings(results, rows),
        "returns": report_tables.returns(rows),
        "differences": _differences(rows),
        "findings": findings(results, rows),
    }


def _overall(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "differences": _differences(rows),
        "savings": report_tables.savings_over_all(rows),
        "returns": report_tables.returns_over_all(rows),
    }


def _differences(rows: Sequence[Row]) -> dict[str, Any] | None:
    arms = compared(rows)
    if not arms:
        return None
    titles = {"se_sym": "rounds saved", "final": "final return", "area": "area"}
    said = [
        f"{row['arm']}: {', '.join(f'{title} {verdict(row, name)}' for name, title in titles.items())}" for row in arms
    ]
    return {
        "svg": Markup(figures.differences(arms, _GAINS)),
        "alt": f"Against PPO, with 95 % intervals. {'; '.join(said)}.",
        "caption": "Against PPO, with 95 % intervals. A hollow dot: within noise.",
    }


def _panels(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """PPO beside the best arm of each family; each family over p; the controls."""
    arms = [row["arm"] for row in rows]
    first = [STANDARD] if STANDARD in arms else []
    families = {title: [row["arm"] for row in family(rows, name)] for name, title in FAMILIES.items()}
    panels = [("filters", [*first, *(row["arm"] for name in FAMILIES if (row := best(rows, name)))])]
    panels += [(f"{title}, by p", [*first, *own]) for title, own in families.items() if len(own) > 1]
    controls = [arm for arm in arms if arm != STANDARD and not any(arm in own for own in families.values())]
    return [*panels, ("controls", [*first, *controls])] if controls else panels


def _about(results: Results) -> str:
    experiment, config = results.experiment, results.config
    every = "each round" if experiment.evaluate_every == 1 else f"every {experiment.evaluate_every} rounds"
    text = (
        f"{seeds_in_words(results.finished)}, {experiment.rounds} rounds of {config.records_per_round} records. "
        f"Evaluated after {every}: {evaluation(results)}. "
        f"Preset {results.preset}: {config.optimizer} {config.learning_rate:g}, "
        f"{'no gradient clip' if config.max_grad_norm == inf else f'gradients clipped at {config.max_grad_norm:g}'}, "
        f"minibatches of {config.batch_size}, {config.n_epochs} epochs. "
    )
    planned = EXPERIMENTS.get(experiment.name, experiment)
    if planned.preset != results.preset:
        planned = experiment
    if planned.rounds != experiment.rounds:
        text += f"Planned are {planned.rounds} rounds. "
    if planned.episodes != experiment.episodes and not planned.exact:
        text += f"Planned are {planned.episodes} evaluation episodes. "
    if results.experiment.settings:
        text += f"Changed: {', '.join(f'{k}={v}' for k, v in experiment.settings.items())}. "
    return text + experiment.note

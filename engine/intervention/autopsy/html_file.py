"""The report of an autopsy: one HTML file that needs nothing else, runs nothing, and sends nothing anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from engine.intervals import Interval
from engine.intervention.autopsy import wording
from engine.intervention.autopsy.autopsy_result import Autopsy, Change
from engine.store.read import Run

MARGIN = 0.06
"""Of the width of a picture, at either end."""


def render(run: Run, found: Autopsy) -> str:
    """The report as HTML, light or dark as its reader has it; all texts of the run are escaped.

    Args:
        run: the run.
        found: its autopsy.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("engine.intervention.autopsy", "."),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    real = found.real
    return environment.get_template("report.html").render(
        title=f"Autopsy of round {found.round} of {run.name}",
        found=found,
        facts=_facts(run, found),
        answers=wording.ANSWERS,
        causes=wording.CAUSES,
        signed=wording.signed,
        shown=wording.shown,
        was_it_real="" if real is None else wording.was_it_real(real, found.round),
        change=None if real is None else _picture(_changes(real), [("no change", 0.0)]),
        arms=_arms(found) if found.arms else None,
        why_no_arms=wording.why_no_arms(found),
        on_records=wording.rows_on_records(found),
        columns_on_records=wording.ON_RECORDS,
        about_records=wording.ABOUT_RECORDS,
        texts=_texts(run, found),
        whose_doing=wording.whose_doing(found.round),
        how=wording.how_played(found),
        how_compared=wording.how_compared(found),
    )


def _facts(run: Run, found: Autopsy) -> list[tuple[str, str]]:
    commit = next((info.hash for info in run.rounds if info.round == found.round), "")
    return [
        ("run", f"{run.name} ({run.manifest.env_id}, training seed {run.config.seed})"),
        ("update", f"of round {found.round}, from theta({found.round}) to theta({found.round + 1})"),
        ("verdict", found.verdict),
        ("commit", commit),
    ]


def _texts(run: Run, found: Autopsy) -> dict[int, list[tuple[str, str]]]:
    """Prompt and response of the sequences that are to be read."""
    if not found.read:
        return {}
    buffer = run.snapshot(found.round).buffer
    return {
        each.record: [("prompt", buffer.prompt[each.record]), ("response", buffer.response[each.record])]
        for each in found.read
    }


@dataclass(frozen=True)
class _Row:
    """An interval in a picture; places are percent of its width."""

    name: str
    text: str
    at: float
    low: float
    high: float


def _changes(real: Change) -> list[tuple[str, Interval, str]]:
    trained = wording.training_change(real)
    rows = [] if trained is None else [("return of training", trained, wording.signed(trained))]
    return [*rows, (f"{real.episodes} common seeds", real.change, wording.signed(real.change))]


def _arms(found: Autopsy) -> dict[str, Any]:
    rows = [(arm.name, arm.mean, wording.shown(arm.mean)) for arm in found.arms]
    return _picture(rows, [(each.name, each.mean.value) for each in found.recorded])


def _picture(rows: Sequence[tuple[str, Interval, str]], lines: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Intervals and the lines that they are held against, in percent of the width."""
    every = [*(number for _, interval, _ in rows for number in interval), *(value for _, value in lines)]
    finite = [number for number in every if math.isfinite(number)]
    low, high = min(finite), max(finite)
    width = (high - low) * (1 + 2 * MARGIN) or 1.0

    def place(number: float, otherwise: float) -> float:
        return (
            round(100 * ((number - low) / width + MARGIN / (1 + 2 * MARGIN)), 2) if math.isfinite(number) else otherwise
        )

    return {
        "rows": [
            _Row(name, text, place(each.value, 50.0), place(each.low, 0.0), place(each.high, 100.0))
            for name, each, text in rows
        ],
        "lines": [{"name": name, "at": place(value, 50.0), "value": f"{value:.4g}"} for name, value in lines],
    }

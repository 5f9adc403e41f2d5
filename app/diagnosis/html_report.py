"""A whole diagnosis as one HTML file that needs nothing else and sends nothing anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from numpy.typing import NDArray
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from app.charts import diagnosis as bottom_charts
from app.charts import records as record_charts
from app.charts.comparison import arm_names, difference_names
from app.diagnosis import in_common, loaders
from app.records import ranking
from app.removal import on_records
from app.scores import trust_badge
from engine.core.estimators.registry import ESTIMATORS
from engine.core.faithfulness.kept_validations import read_validation
from engine.core.gradients.attribution import top_and_bottom
from engine.core.replays.replay import mode_name
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.core.targets.question import averaged_name
from engine.errors import EngineError
from engine.intervention.comparison import meaning, verdict_name
from engine.intervention.notes import read_note
from engine.intervention.unplayed import means_on_records, not_played
from engine.jobs.interventions import InterventionJob, damaged_jobs, list_jobs
from engine.jobs.series import damaged_series, list_series
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

FORMATS = {"influence": "{:+.3g}", "advantage": "{:.3f}", "reward": "{:.3f}", "value": "{:.2f}", "action": "{:.3g}"}
"""As the tables on the page show them."""
HEADS = {"step in episode": "step"}
TEXT = {False: "#1b1f24", True: "#e6e9ee"}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the page shows."""

    run: Run
    snapshot: ControlSnapshot
    target: Target
    described: str
    """The target in words."""
    scores: Scores
    fields: Mapping[str, NDArray[Any]]
    """The records' columns, with their influence."""
    axes: tuple[str, str]
    action_names: Sequence[str]
    rows: int
    """Of the tables of top and bottom records."""
    fraction: float
    """Share of the records that are the bottom."""
    source: str
    """Where the numbers come from, in one line."""
    dark: bool


def render(shown: Shown) -> bytes:
    """The report, in the theme of the page."""
    run, snapshot, scores = shown.run, shown.snapshot, shown.scores
    x, y = shown.axes
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("app.diagnosis", "."),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    top, bottom = top_and_bottom(scores.influence, shown.rows)
    return (
        environment.get_template("report.html")
        .render(
            title=f"{run.name}, round {snapshot.round}",
            theme="dark" if shown.dark else "light",
            plotly=Markup(get_plotlyjs()),
            source=shown.source,
            facts=_facts(shown),
            scatter=_chart(
                record_charts.scatter(shown.fields, x, y, shown.dark),
                f"Scatter of {len(scores.influence)} records, {y} against {x}, coloured by influence",
                shown.dark,
            ),
            rankings=[
                {"title": title, **_table(ranking.table(records, shown.fields, shown.action_names))}
                for title, records in (("Top records", top), ("Bottom records", bottom))
            ],
            common=_in_common(shown),
            trust=_trust(shown),
            interventions=[*_interventions(run, snapshot.round), *_series(run, snapshot.round), *_damaged(run)],
            estimator_note=f"{scores.estimator} is {ESTIMATORS[scores.estimator].note}",
        )
        .encode()
    )


def _facts(shown: Shown) -> list[tuple[str, str]]:
    run, snapshot, scores = shown.run, shown.snapshot, shown.scores
    returned = snapshot.metrics.get("mean_return")
    return [
        ("run", f"{run.name} ({run.manifest.env_id}, training seed {run.config.seed})"),
        ("round", f"{snapshot.round} of {run.config.rounds}, {len(snapshot.buffer)} records"),
        ("mean training return", "-" if returned is None else f"{returned:.4g}"),
        ("target", shown.described),
        ("estimator", f"{scores.estimator}, {scores.orders} minibatch order{'s' * (scores.orders > 1)}"),
        ("summed influence", f"{float(scores.influence.sum()):+.4g}"),
        ("commit", snapshot.hash),
    ]


def _chart(figure: go.Figure, alt: str, dark: bool) -> dict[str, Any]:
    """The figure as HTML; `plotly.js` is in the page already."""
    figure = go.Figure(figure)
    figure.update_layout(template="plotly_dark" if dark else "plotly_white", font_color=TEXT[dark])
    drawn = to_html(
        figure,
        include_plotlyjs=False,
        full_html=False,
        config={"displaylogo": False, "showSendToCloud": False},
        default_height=f"{figure.layout.height}px",
    )
    return {"html": Markup(drawn), "alt": alt}


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    """Columns and lines; influence in the colour of its side."""
    lines = []
    for row in frame.to_dict("records"):
        side = "helps" if row["influence"] > 0 else "hurts"
        lines.append([_cell(_text(name, value), side if name == "influence" else "") for name, value in row.items()])
    return {"columns": [HEADS.get(name, name) for name in frame.columns], "lines": lines}


def _text(column: Any, value: Any) -> str:
    return FORMATS[column].format(value) if column in FORMATS and not isinstance(value, str) else str(value)


def _cell(text: str, side: str = "") -> dict[str, str]:
    return {"text": text, "side": side}


def _in_common(shown: Shown) -> dict[str, Any]:
    """The section about the bottom records, with what is known of A-bar by now."""
    nothing: dict[str, Any] = {"sentences": [], "charts": [], "notes": [], "about": ""}
    try:
        estimates = loaders.load_estimates(shown.snapshot, loaders.ROLLOUTS)
        found = loaders.load_diagnosis(shown.snapshot, shown.target, shown.scores, shown.fraction, estimates)
    except EngineError as error:
        return {**nothing, "head": f"{error}."}
    n, m = len(shown.scores.influence), len(found.bottom)
    if m == 0:
        return {**nothing, "head": "No record of this round lowered the target, so there are no bottom records."}
    traits, certain = in_common.shown(found), len(found.in_common)
    head = f"The {m} bottom records, compared with the other {n - m}:"
    if not certain:
        head = f"Nothing tells the {m} bottom records from the other {n - m} with certainty. The largest differences:"
    dark = shown.dark
    return {
        "head": head,
        "sentences": [
            f"{trait.sentence} (effect size {trait.delta:+.2f}"
            + ("" if np.isnan(trait.low) else f", {trait.low:+.2f} to {trait.high:+.2f}")
            + ")"
            for trait in traits
        ],
        "charts": [
            {"title": "Effect sizes", **_chart(bottom_charts.effect_sizes(traits, dark), "Effect sizes", dark)},
            {
                "title": "Influence goes with",
                **_chart(bottom_charts.rank_correlations(found.correlations, dark), "Rank correlations", dark),
            },
        ],
        "notes": [f"{note[:1].upper()}{note[1:]}." for note in found.notes],
        "about": "Effect size: Cliff's delta; its interval counts episodes and holds at 95 % for all "
        f"{len(found.traits)} fields at once; {len(found.traits) - certain} of them do not tell the bottom records from the "
        "rest. Correlations: Spearman, 95 % intervals by resampling episodes.",
    }


def _trust(shown: Shown) -> dict[str, Any] | None:
    estimator = averaged_name(shown.scores.estimator, shown.scores.orders)
    found = read_validation(shown.snapshot, shown.target, estimator)
    if found is None:
        return None
    rows = trust_badge.rows(found)
    return {
        "sentence": found.sentence(estimator),
        "columns": list(rows[0]),
        "lines": [[_cell(text) for text in row.values()] for row in rows],
        "about": trust_badge.measured(found),
    }


def _interventions(run: Run, round: int) -> Iterable[dict[str, Any]]:
    for job in list_jobs(run):
        if job.plan.round == round:
            yield {**_outcome(job), "note": _note(job.folder)}


def _damaged(run: Run) -> Iterable[dict[str, Any]]:
    """Those of which nobody can tell any more whether they are in this round."""
    for line in (*damaged_jobs(run), *damaged_series(run)):
        yield {"title": line, **_compared(None), "note": ""}


def _note(folder: Path) -> str:
    """The note beside an intervention; where it can't be read, why."""
    try:
        return read_note(folder)
    except EngineError as error:
        return str(error)


def _outcome(job: InterventionJob) -> dict[str, Any]:
    plan = job.plan
    done, how = plan.in_words(), "TD errors" if plan.repair else mode_name(plan.mode)
    title = f"{done[0].upper()}{done[1:]} ({how}, {plan.orders} minibatch orders, {job.id}): {job.state}"
    return {"title": title, **_compared(job.result)}


def _compared(result: Mapping[str, Any] | None) -> dict[str, Any]:
    """Verdict and arms of a result."""
    if result is None:
        return {"verdict": "", "words": "", "columns": [], "lines": []}
    if "unplayed" in result:
        return _compared_on_records(result)
    repair, lines = bool(result.get("repair")), []
    for key, title in (arm_names(repair) | difference_names(repair)).items():
        mean, low, high = (result[key][name] for name in ("mean", "low", "high"))
        interval = "-" if low is None else f"{low:.4g} to {high:.4g}"
        lines.append([_cell(text) for text in (title, f"{mean:.4g}", interval, str(result[key]["episodes"]))])
    return {
        "verdict": verdict_name(result["verdict"]),
        "words": meaning(result["verdict"], repair),
        "columns": ["", "mean return", "95 % interval", "episodes"],
        "lines": lines,
    }


def _compared_on_records(result: Mapping[str, Any]) -> dict[str, Any]:
    """The same where nothing was played."""
    numbers = on_records.table(result)
    return {
        "verdict": verdict_name(result["verdict"]),
        "words": f"{means_on_records(result)} {not_played(result)}",
        "columns": list(numbers.columns),
        "lines": [[_cell(str(text)) for text in row] for row in numbers.itertuples(index=False)],
    }


def _series(run: Run, round: int) -> Iterable[dict[str, Any]]:
    """What the interventions across training found in this round."""
    for job in list_series(run):
        for found in job.finished:
            if found["round"] == round:
                series = job.series
                title = (
                    f"Across training: without the bottom {series.drop_bottom:.0%} of the records with negative "
                    f"{series.estimator} influence on the return, by this round's advantages ({mode_name(series.mode)}, "
                    f"{series.orders} minibatch orders, {job.id})"
                )
                skipped = found.get("skipped")
                outcome = _compared(None if skipped else found)
                yield {"title": title + (f": {skipped}" if skipped else ""), **outcome, "note": _note(job.folder)}

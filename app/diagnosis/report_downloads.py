"""What can be downloaded from Diagnose: the records with their influence, and a report of all that is on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from app.diagnosis.html_report import Shown, render
from app.shell import downloads, loaders, page, state
from engine.analysis.diagnosis import FRACTION
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run


def draw(
    run: Run,
    snapshot: ControlSnapshot,
    target: Target,
    described: str,
    named: str,
    scores: Scores,
    axes: tuple[str, str],
    rows: int,
    source: str,
) -> None:
    """The choice; files are made when they are asked for.

    Args:
        run: the run.
        snapshot: its round.
        target: what the scores are about.
        described: the target in words.
        named: the target as files are called.
        scores: influence of its records.
        axes: names of the fields across and up.
        rows: of the tables of top and bottom records.
        source: where the numbers come from, in one line.
    """
    shown = Shown(
        run=run,
        snapshot=snapshot,
        target=target,
        described=described,
        scores=scores,
        fields={**loaders.load_fields(snapshot), "influence": scores.influence},
        axes=axes,
        action_names=page.action_names(run) if run.manifest.action_space.kind == "discrete" else (),
        rows=rows,
        fraction=float(state.get("fraction", FRACTION)),
        source=source,
        dark=state.is_dark(),
    )
    name = f"{run.name}-round-{snapshot.round}-{named}-{scores.estimator}"
    downloads.choice(
        {name: lambda: records_table(shown.fields, source)},
        {f"{name}.html": ("HTML report of this diagnosis", lambda: render(shown))},
    )


def records_table(fields: Mapping[str, NDArray[Any]], source: str) -> pd.DataFrame:
    """One row a record; Parquet keeps in its metadata where the numbers come from."""
    table = pd.DataFrame(dict(fields))
    table.attrs = {"source": source}
    return table

"""The report of a campaign."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from engine.experiments.results import Campaign
from engine.experiments.summary import summary
from engine.store.files import Files
from engine.store.parquet import to_parquet


def write_report(campaign: Campaign) -> tuple[Path, pa.Table]:
    """Write `summary.parquet` into the campaign's folder.

    Returns:
        The path of what was written, and the summary.
    """
    table = summary(campaign)
    path = campaign.folder / "summary.parquet"
    Files().replace(path, to_parquet(table))
    return path, table

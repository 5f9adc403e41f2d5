"""Cached reads of campaigns. Cached values are shared between sessions: treat them as read-only."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from app.shell.cached import cached
from app.shell.loaders import ROOT, default_folders, run_folders
from engine.demos.courtesy.experiment.results import find_results
from engine.errors import EngineError
from engine.experiments.results import Campaign, experiment_names, find_campaigns, read_campaign
from engine.experiments.summary import summary
from engine.store.files import Files, inside


def campaign_paths() -> dict[str, Path]:
    """Campaign id -> folder: under the folders of the runs, and without `--runs` also the results that ship."""
    shipped = ROOT / "benchmarks" / "results"
    folders = run_folders()
    if folders == default_folders():
        folders = [shipped, *folders]
    paths: dict[str, Path] = {}
    for folder in folders:
        for path in sorted({*find_campaigns(folder), *find_results(folder)}):
            name = path.relative_to(folder).as_posix() if path != folder else folder.resolve().name
            paths.setdefault(name if name not in paths else f"{folder.name}/{name}", path)
    return paths


def _as_it_is_now(path: Path) -> tuple[Any, ...]:
    """A campaign's experiments, and when their files were written."""
    return path, tuple((name, *_stamps(path, name)) for name in experiment_names(path))


@cached(max_entries=8, show_spinner="reading the results …", by=_as_it_is_now)
def load_campaign(path: Path) -> tuple[Campaign, pd.DataFrame]:
    """A campaign as it is now, and its summary, one row an arm; both empty where there is only the demonstration's.

    What can't be read of it is in `Campaign.damaged`.
    """
    if not experiment_names(path):
        return Campaign(path, {}), pd.DataFrame()
    campaign = read_campaign(path)
    return campaign, summary(campaign).to_pandas()


def _stamps(path: Path, name: str) -> list[tuple[str, int]]:
    """An experiment's files with the times they were written; nothing is looked at through a link."""
    files = Files()
    stamps = []
    with suppress(EngineError, FileNotFoundError):  # gone by now, or what reading it complains about
        for below in ("", "tasks"):
            folder = inside(path, name, below)
            for file in files.names(folder):
                with suppress(FileNotFoundError):
                    stamps.append((f"{below}/{file}", (folder / file).lstat().st_mtime_ns))
    return stamps

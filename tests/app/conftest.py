"""A folder of runs, and its pages."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import ROOT, Open
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest, app_test, local_script_runner

import engine
from app.shell import state
from engine.intervention.plan import Intervention
from engine.jobs.interventions import create_job, predicted
from engine.jobs.work import work
from engine.store.read import Run


@pytest.fixture(scope="session", autouse=True)
def _packages_are_scanned_once() -> Iterator[None]:
    """Streamlit looks for components in every installed package for each page that is tested, which takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            manifest_scanner, "scan_component_manifests", functools.cache(manifest_scanner.scan_component_manifests)
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def _scripts_are_compiled_once() -> Iterator[None]:
    """As a server does it; Streamlit's own tester compiles the entry file and the page anew for every run."""
    cache = ScriptCache()
    with pytest.MonkeyPatch.context() as patch:
        for module in (app_test, local_script_runner):
            patch.setattr(module, "ScriptCache", lambda: cache)
        yield


@pytest.fixture(autouse=True)
def _nothing_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested without a browser hears of everything at once."""
    monkeypatch.setattr(state, "LAG_SECONDS", 0.0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cartpole: Run) -> Path:
    """A folder with one run that has a finished intervention."""
    folder = tmp_path_factory.mktemp("shown")
    shutil.copytree(cartpole.path, folder / "cartpole")
    run = engine.open_run(folder / "cartpole")
    plan = Intervention(round=1, removed=(3, 5, 8), orders=2, episodes=4, continue_rounds=1)
    job, _ = create_job(run, run.snapshot(1), plan, predicted(run.snapshot(1), plan))
    work(job.folder)
    return folder


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, runs: Path) -> Iterator[Open]:
    """Open a page of the app on `runs` (or another folder) with query parameters."""

    def opened(page: str, folder: Path = runs, **query: str) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", str(folder)])
        app = AppTest.from_file(str(ROOT / "app" / "streamlit_app.py"), default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        if page != "runs":
            app.switch_page(f"views/{page}.py")
        return app.run()

    return opened


@pytest.fixture
def shown(runs: Path, tmp_path: Path) -> Run:
    """A run that a test may change, in a folder of its own."""
    shutil.copytree(runs / "cartpole", tmp_path / "cartpole")
    return engine.open_run(tmp_path / "cartpole")

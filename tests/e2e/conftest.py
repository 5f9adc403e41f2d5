"""A real server, a real Chromium, and copies of runs that a test may change."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import messages, patient_page
from playwright.sync_api import BrowserContext, Page, sync_playwright
from serving import served
from stable_baselines3 import PPO

import engine
from engine.recording import sb3

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of an installed Chromium."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium found: install one with `apt-get install chromium` (Debian) or put chromium on the PATH")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a sample run, and small runs on which retraining takes seconds: one of our own, one of Stable-Baselines3."""
    folder = tmp_path_factory.mktemp("e2e-runs")
    shutil.copytree(ROOT / "sample_runs" / "FrozenLake-v1", folder / "FrozenLake-v1")
    engine.train(engine.preset("CartPole-v1", "default", rounds=4, n_steps=512), folder / "small")
    with sb3.Recorder(folder / "theirs") as recorder:
        PPO("MlpPolicy", "MountainCar-v0", n_steps=512, seed=0, device="cpu").learn(4 * 512, callback=recorder)
    return folder


@pytest.fixture(scope="session")
def url(runs: Path) -> Iterator[str]:
    """Address of a running dashboard."""
    streamlit = [str(Path(sys.executable).with_name("streamlit")), "run", "app", "--server.headless=true"]
    command = [*streamlit, "--server.port=PORT", "--", "--runs", str(runs)]
    with served(command, ROOT, runs / "server.log", os.environ) as dashboard:
        yield f"http://127.0.0.1:{dashboard.port}"


@pytest.fixture(scope="session")
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=chromium,
            args=FLAGS,
            viewport={"width": 1280, "height": 900},
        )
        yield context
        context.close()


@pytest.fixture
def page(browser: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = patient_page(browser)
    said = messages(page)
    yield page
    request.node.add_report_section("teardown", "browser", "\n".join([page.url, *said]))
    page.close()

"""A round of 65,536 records in a real browser: the chart draws some of them, a lasso takes all."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from browsing import idle, lasso
from playwright.sync_api import Page, expect

import engine
from app.charts.records import MOST_MARKS
from engine.intervention.record_sets import read_sets

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_lasso_takes_records_that_are_not_drawn(page: Page, url: str, runs: Path) -> None:
    sizes = {"rounds": 1, "n_envs": 32, "n_steps": 2048, "batch_size": 8192, "n_epochs": 1}
    engine.train(engine.preset("CartPole-v1", "default", **sizes), runs / "large")
    page.goto(f"{url}/diagnose?run=large&round=0")
    expect(page.locator(".st-key-records_scatter .nsewdrag").first).to_be_visible()
    expect(page.locator(".st-key-records_scatter")).to_contain_text(f"{MOST_MARKS:,} of 65,536 records drawn")
    idle(page)
    lasso(page, 0.02, 0.02, 0.4, 0.98)
    line = page.locator(".st-key-selection")
    expect(line).to_contain_text(re.compile(r"Selection: \d+ of 65536 records"))
    idle(page)
    chosen = np.array(read_sets(engine.open_run(runs / "large"), 0).selection)
    expect(line).to_contain_text(f"Selection: {len(chosen)} of 65536 records")
    step = chosen // 32
    assert np.array_equal(np.unique(step), np.arange(step.max() + 1)), "every step up to the right side of the lasso"
    assert (np.bincount(step)[:-1] == 32).all(), "and of it every record, though not a fifth of them is drawn"
    expect(page.locator(".st-key-add_to_basket")).to_contain_text(f"Add {len(chosen)} selected")

"""A run that is being trained while somebody looks at it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browsing import idle
from playwright.sync_api import Page, expect

import engine

pytestmark = pytest.mark.browser


def test_new_rounds_come_by_themselves_to_who_asked_for_them(page: Page, url: str, runs: Path) -> None:
    settings = engine.preset("CartPole-v1", "default", rounds=4, n_steps=128, batch_size=64, n_epochs=2)
    training = engine.rounds(settings, runs / "growing")
    for _ in range(3):  # rounds 0 and 1 are committed
        next(training)
    page.goto(f"{url}/diagnose?run=growing&round=1&inspect=9")
    line = page.locator(".st-key-live")
    expect(line).to_contain_text("As of round 1")
    next(training)
    page.wait_for_timeout(2500)
    expect(line).to_contain_text("As of round 1")  # not asked to follow

    page.reload()
    expect(line).to_contain_text("As of round 2")
    line.get_by_test_id("stCheckbox").locator("label").click()
    expect(page).to_have_url(re.compile("refresh=True"))
    list(training)  # the reader stands on a round in between, and stays there
    expect(line).to_have_count(0)
    expect(page.locator(".st-key-source")).to_contain_text("round 1 ")
    idle(page)
    expect(page.locator(".st-key-inspect input")).to_have_value("9")
    expect(page.get_by_test_id("stException")).to_have_count(0)

"""From Timeline's strip or the sentence on Runs to the verdict on an update, in a real browser and in both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browsing import idle
from playwright.sync_api import Page, expect

import engine
from engine.store.commit import RunWriter

pytestmark = pytest.mark.browser

FELL = [{"episodes": 8, "mean_return": 200.0 if k < 6 else 20.0, "std_return": 20.0} for k in range(9)]


def record_with_a_fall(path: Path, scratch: Path) -> None:
    """A run whose commits tell of a fall at round 6."""
    run = engine.train(
        engine.preset("CartPole-v1", "default", rounds=len(FELL), n_steps=128, n_epochs=2), scratch / "trained"
    )
    with RunWriter.create(path, run.manifest) as writer:
        for info, metrics in zip(run.rounds, FELL, strict=True):
            writer.commit_round(run.snapshot(info.round), {**info.metrics, **metrics})
        writer.commit_final(len(FELL), run.checkpoint(len(FELL)))


def test_a_fall_is_examined_and_the_verdict_stays(page: Page, url: str, runs: Path, tmp_path: Path) -> None:
    record_with_a_fall(runs / "fell", tmp_path)
    page.emulate_media(color_scheme="light")
    page.goto(f"{url}/timeline?run=fell&round=2")
    page.locator(".st-key-incidents").get_by_role("link", name="Autopsy of update 5").click()
    expect(page).to_have_url(re.compile(r"autopsy\?.*round=5"))
    told = page.locator(".st-key-autopsy_verdict")
    expect(told).to_contain_text("The return of round 6 is played by what update 5 made")
    page.goto(url)
    expect(page.get_by_text("what would have happened without them?")).to_be_visible()
    page.locator(".st-key-doors").get_by_role("link", name="A round went wrong").click()
    expect(page).to_have_url(re.compile(r"autopsy\?.*round=5"))
    verdict = page.locator(".st-key-autopsy_verdict")
    expect(verdict).to_contain_text("Not played yet")
    page.locator(".st-key-play_autopsy button").click()
    expect(page.locator(".st-key-autopsy_progress")).to_contain_text("done: ")
    expect(verdict).to_contain_text("on 64 common seeds")
    expect(page.locator(".st-key-autopsy_change .main-svg").first).to_be_visible()
    expect(page.locator(".st-key-autopsy_arms")).to_be_visible()
    said = verdict.locator("p").first.inner_text()
    expect(page.locator(".st-key-autopsy_watch").get_by_role("button", name="Watch")).to_have_count(3)
    page.locator(".st-key-watch_1 button").click()
    expect(page.locator(".st-key-autopsy_watch video")).to_have_count(2)

    page.emulate_media(color_scheme="dark")
    page.reload()
    expect(verdict.locator("p").first).to_have_text(said)
    expect(page.locator(".st-key-autopsy_watch video")).to_have_count(2)
    background = page.get_by_test_id("stApp").evaluate("app => getComputedStyle(app).backgroundColor")
    assert sum(int(part) for part in re.findall(r"\d+", background)[:3]) < 200
    idle(page)
    page.locator(".st-key-download button").first.click()
    with page.expect_download() as waiting:
        page.locator(".st-key-html_0 button").click()
    waiting.value.save_as(tmp_path / "report.html")
    assert waiting.value.suggested_filename == "fell-round-5-autopsy.html"
    assert said.partition(". ")[2] in (tmp_path / "report.html").read_text()

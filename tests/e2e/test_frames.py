"""The episode of a record in a real browser: the scrubber, playing, and taking up the record that is shown."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from browsing import idle
from playwright.sync_api import Page, expect

import engine

pytestmark = pytest.mark.browser

SHOWN = re.compile(r"Record (\d+), step (\d+): influence ([+-][\d.e-]+)")


def shown(page: Page) -> tuple[int, float]:
    """Number and influence of the record whose frame is shown."""
    found = SHOWN.search(page.locator(".st-key-inspector").inner_text())
    assert found is not None
    return int(found[1]), float(found[3])


def frame(page: Page) -> str:
    """Address of the large picture; another picture has another."""
    return str(page.locator(".st-key-inspector img").last.get_attribute("src"))


def test_the_scrubber_shows_the_episode_and_takes_up_a_record(page: Page, url: str, runs: Path) -> None:
    snapshot = engine.open_run(runs / "FrozenLake-v1").snapshot(12)
    influence = engine.influence(snapshot).influence
    lengths = np.bincount(snapshot.buffer.episode)
    episode = np.flatnonzero(snapshot.buffer.episode == np.flatnonzero(lengths == lengths[1:-1].max())[0])
    start, end = int(episode[0]), int(episode[-1])
    page.goto(f"{url}/diagnose?run=FrozenLake-v1&round=12&inspect={start}&show=Frames")
    thumb = page.get_by_role("slider", name="Step in the episode")
    expect(thumb).to_be_visible()
    idle(page)
    assert shown(page)[0] == start
    first = frame(page)

    thumb.focus()
    page.keyboard.press("End")
    expect(page.locator(".st-key-inspector")).to_contain_text(f"Record {end}, step ")
    number, score = shown(page)
    assert score == pytest.approx(influence[number], rel=0.01)
    assert frame(page) != first, "another state, another picture"
    expect(page.locator(".st-key-inspect input").first).to_have_value(str(start))  # looking is not choosing

    page.locator(".st-key-play button").click()  # from the end it begins anew, and plays on by itself
    expect(page.locator(".st-key-play")).to_contain_text("Stop")
    expect(page.locator(".st-key-inspector")).to_contain_text(f"Record {episode[2]}, step ")
    page.locator(".st-key-play button").click()
    expect(page.locator(".st-key-play")).to_contain_text("Play")
    idle(page)
    stopped = shown(page)[0]
    page.wait_for_timeout(1000)
    assert shown(page)[0] == stopped

    page.locator(".st-key-inspect_frame button").click()
    expect(page.locator(".st-key-inspect input").first).to_have_value(str(stopped))
    expect(page).to_have_url(re.compile(f"inspect={stopped}(&|$)"))

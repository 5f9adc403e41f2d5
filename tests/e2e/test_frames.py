"""The episode of a record in a real browser: the scrubber, the film, and taking up the record that is shown."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from browsing import idle
from playwright.sync_api import Page, expect

import engine
from engine.store.snapshot import Snapshot

pytestmark = pytest.mark.browser

SHOWN = re.compile(r"Record (\d+), step (\d+): influence ([+-][\d.e-]+)")


def shown(page: Page) -> tuple[int, float]:
    """Number and influence of the record whose frame is shown."""
    found = SHOWN.search(page.locator(".st-key-inspector").inner_text())
    assert found is not None
    return int(found[1]), float(found[3])


def still(page: Page) -> str:
    """Address of the large picture; another picture has another."""
    return str(page.locator(".st-key-inspector img").last.get_attribute("src"))


def longest_episode(runs: Path) -> tuple[Snapshot, np.ndarray]:
    """A round, and the records of its longest episode that begins and ends in it."""
    snapshot = engine.open_run(runs / "FrozenLake-v1").snapshot(12)
    lengths = np.bincount(snapshot.buffer.episode)
    return snapshot, np.flatnonzero(snapshot.buffer.episode == np.flatnonzero(lengths == lengths[1:-1].max())[0])


def test_the_scrubber_shows_the_episode_takes_up_a_record_and_moves_while_the_film_is_played(
    page: Page, url: str, runs: Path
) -> None:
    snapshot, episode = longest_episode(runs)
    influence = engine.influence(snapshot).influence
    start, end = int(episode[0]), int(episode[-1])
    page.goto(f"{url}/diagnose?run=FrozenLake-v1&round=12&inspect={start}&show=Frames&estimator=first_order")
    thumb = page.get_by_role("slider", name="Step in the episode")
    expect(thumb).to_be_visible()
    idle(page)
    assert shown(page)[0] == start
    first = still(page)

    thumb.focus()
    page.keyboard.press("End")
    expect(page.locator(".st-key-inspector")).to_contain_text(f"Record {end}, step ")
    number, score = shown(page)
    assert score == pytest.approx(influence[number], rel=0.01)
    assert still(page) != first, "another state, another picture"
    expect(page.locator(".st-key-inspect input").first).to_have_value(str(start))  # looking is not choosing

    page.locator(".st-key-inspect_frame button").click()
    expect(page.locator(".st-key-inspect input").first).to_have_value(str(end))
    expect(page).to_have_url(re.compile(f"inspect={end}(&|$)"))

    film = page.locator(".st-key-inspector video")
    expect(page.locator(".st-key-play_episode")).to_be_visible()
    idle(page)
    expect(film).to_have_count(0)

    page.locator(".st-key-play_episode label").click()
    expect(film).to_be_visible()
    is_moving = "video => video.readyState >= 2 && video.currentTime > 0.5 && !video.error"
    page.wait_for_function(f"({is_moving})(document.querySelector('.st-key-inspector video'))")
    assert film.evaluate("video => video.duration") == pytest.approx(0.4 * len(episode), abs=0.05)

    film.evaluate("video => { video.pause(); video.currentTime = 0.9; }")
    thumb.focus()
    page.keyboard.press("Home")
    expect(page.locator(".st-key-inspector")).to_contain_text(f"Record {start}, step ")
    idle(page)
    assert film.evaluate("video => video.currentTime") == pytest.approx(0.9), "it stays where it was"
    film.evaluate("video => video.play()")
    page.wait_for_function("document.querySelector('.st-key-inspector video').currentTime > 1.1")

"""What one sees of Diagnose without scrolling: the answer, the main picture and the head of what is inspected."""

from __future__ import annotations

import re

import pytest
from browsing import idle
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

Box = dict[str, float]


NOTHING_CUT = """() => [...document.querySelectorAll('.st-key-controls, .st-key-controls button')]
    .every(one => one.scrollWidth <= one.clientWidth + 2 && one.scrollHeight <= one.clientHeight + 4)"""
"""Whether the row of controls, and the words of its buttons, have room."""


def box(page: Page, key: str) -> Box:
    """Where what has this key is in the window."""
    found = page.locator(f".st-key-{key}").first.bounding_box()
    assert found is not None, key
    return {**found, "bottom": found["y"] + found["height"]}


def boxes(page: Page, picture: str, width: int, height: int) -> tuple[Box, ...]:
    """Answer, controls, picture, inspector and basket in a window of this size."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(700)
    found = tuple(box(page, key) for key in ("answer", "controls", picture, "inspector", "basket"))
    answer, controls, main, _, basket = found
    assert answer["bottom"] <= controls["y"] < controls["bottom"] <= main["y"], "the answer comes first"
    assert controls["height"] < 80, "one row of controls"
    assert page.evaluate(NOTHING_CUT)
    assert basket["height"] < 50, "one slim row for the basket"
    assert basket["bottom"] <= height
    return found


@pytest.mark.parametrize(
    ("run", "picture"),
    [("small", "records_scatter"), pytest.param("FrozenLake-v1", "influence_map", marks=pytest.mark.slow)],
)
def test_the_answer_comes_first(page: Page, url: str, run: str, picture: str) -> None:
    page.goto(f"{url}/diagnose?run={run}&round=3")
    expect(page.locator(f".st-key-{picture} .js-plotly-plot .main-svg").first).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        idle(page)
        expect(page.locator(".st-key-answer")).to_contain_text(
            re.compile(r"[\d,]+ of [\d,]+ records lowered the target")
        )
        expect(page.locator(".st-key-trust_check")).to_contain_text(re.compile(r"Check, \d+ (s|min)"))
        expect(page.locator(".st-key-retrain button").first).to_be_disabled()

        _, _, main, inspector, basket = boxes(page, picture, 1280, 900)
        assert main["bottom"] <= basket["y"], "the whole picture"
        head = page.locator(".st-key-inspector").get_by_text(re.compile(r"Round 3, episode \d+, step \d+: ")).first
        expect(head).to_be_in_viewport()
        assert inspector["y"] < basket["y"] - 100

        _, _, main, _, basket = boxes(page, picture, 1600, 1000)
        assert main["bottom"] <= basket["y"], "the whole picture"
        expect(head).to_be_in_viewport()

        _, _, main, _, basket = boxes(page, picture, 1024, 768)
        assert (basket["y"] - main["y"]) / main["height"] > 0.7, "most of the picture"

    page.goto(f"{url}/diagnose?run={run}&round=3&target=action&of=state")
    expect(page.locator(".st-key-state input")).to_be_visible()
    expect(page.locator(f".st-key-{picture} .js-plotly-plot .main-svg").first).to_be_visible()
    idle(page)
    _, _, main, _, basket = boxes(page, picture, 1280, 900)
    assert main["bottom"] <= basket["y"], "the whole picture, also with the most controls that there are"
    boxes(page, picture, 1024, 768)

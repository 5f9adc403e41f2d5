"""From a mark on the Timeline to the update that it is the doing of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browsing import idle
from made_up_metrics import write
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
PLACE = """round => {
    const plot = document.querySelector('.st-key-returns .js-plotly-plot'), layout = plot._fullLayout;
    const line = plot._fullData.find(trace => trace.yaxis === 'y3' && trace.customdata), axis = layout.yaxis3;
    const i = Array.from(line.customdata).indexOf(round), box = plot.getBoundingClientRect();
    return [box.left + layout.xaxis._offset + layout.xaxis.d2p(line.x[i]), box.top + axis._offset + axis.d2p(line.y[i])];
}"""
"""Where a round is on the curve below the marks, which has no marks of its own."""


def test_a_mark_says_why_and_chooses_the_update(page: Page, url: str, runs: Path) -> None:
    write(runs / "falls", [{}] * 6 + [{"mean_return": 20.0}] * 3)
    page.goto(f"{url}/timeline?run=falls&round=2")
    expect(page.locator(".st-key-incidents")).to_contain_text("1 incident in 9 rounds")
    idle(page)
    mark = page.locator(".st-key-returns .subplot.xy2 .point")
    mark.hover(force=True)
    expect(page.locator(".st-key-returns .hoverlayer")).to_contain_text("the return fell from 200 to 20 at round 6")
    cursor = page.locator(".st-key-returns .hoverlayer")
    expect(cursor).to_contain_text("mean return 20")  # one cursor reads every curve at this round
    expect(cursor).to_contain_text("entropy 0.6")
    box = mark.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page).to_have_url(re.compile("round=5"))
    link = page.locator(".st-key-incidents").get_by_role("link", name="Diagnose round 5")
    expect(link).to_have_attribute("href", re.compile(r"diagnose\?run=falls&round=5$"))
    idle(page)
    page.mouse.click(*page.evaluate(PLACE, 3))
    expect(page).to_have_url(re.compile("round=3(&|$)"))

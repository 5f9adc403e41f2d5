"""Selecting in a real browser: one selection in all charts and tables, and the keys that work with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browsing import idle, lasso
from playwright.sync_api import Page, expect

import engine
from engine.intervention.record_sets import change_basket, read_sets

pytestmark = pytest.mark.browser

DRAWN_SELECTED = """key => {
    const plot = document.querySelector(`.st-key-${key} .js-plotly-plot`);
    return plot._fullData.filter(trace => trace.name === 'selected')
        .reduce((sum, trace) => sum + Array.from(trace.y).reduce((a, b) => a + b, 0), 0);
}"""
"""Sum over the heights of a chart's bars that stand for selected records."""


def open_round(page: Page, url: str, round: int) -> None:
    page.goto(f"{url}/diagnose?run=small&round={round}&estimator=first_order")
    expect(page.locator(".st-key-records_scatter .nsewdrag").first).to_be_visible()
    expect(page.locator(".st-key-influence_histogram .js-plotly-plot .main-svg").first).to_be_visible()
    idle(page)


def selected(page: Page) -> int:
    """How many records the line below the chart says are selected."""
    line = page.locator(".st-key-selection")
    expect(line).to_contain_text(re.compile(r"Selection: \d+ of 512 records"))
    found = re.search(r"Selection: (\d+) of", line.inner_text())
    assert found is not None
    return int(found[1])


def test_a_lasso_is_seen_by_every_chart_and_a_bar_selects_as_well(page: Page, url: str, runs: Path) -> None:
    open_round(page, url, 3)
    lasso(page, 0.02, 0.02, 0.4, 0.98)
    count = selected(page)
    idle(page)
    run = engine.open_run(runs / "small")
    chosen = read_sets(run, 3).selection
    assert count == len(chosen) > 50
    influence = engine.influence(run.snapshot(3)).influence
    assert page.evaluate(DRAWN_SELECTED, "influence_histogram") == count
    assert page.evaluate(DRAWN_SELECTED, "influence_over") == pytest.approx(influence[chosen].sum(), rel=1e-3)
    expect(page.locator(".st-key-composition .legendtext").filter(has_text="selected")).to_be_visible()

    page.locator(".st-key-composition").evaluate("chart => chart.scrollIntoView({block: 'center'})")
    page.wait_for_timeout(500)
    bar = page.locator(".st-key-composition .bars .point path").last.bounding_box()
    assert bar is not None
    middle = bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2
    page.mouse.move(*middle)
    page.wait_for_timeout(300)
    page.mouse.click(*middle)
    expect(page.locator(".st-key-selection")).not_to_contain_text(f"Selection: {count} of")
    idle(page)
    below = (run.snapshot(3).buffer.advantage < 0).nonzero()[0].tolist()
    assert read_sets(run, 3).selection == below, "the last bar: records whose advantage is below 0"
    drawn = "Array.from(document.querySelector('.st-key-records_scatter .js-plotly-plot').data[0].selectedpoints)"
    assert page.evaluate(drawn) == below, "the scatter shows what was picked elsewhere"


def test_the_keys(page: Page, url: str, runs: Path) -> None:
    run = engine.open_run(runs / "small")
    open_round(page, url, 1)
    lasso(page, 0.02, 0.02, 0.3, 0.98)
    count = selected(page)
    basket = page.locator(".st-key-basket")
    idle(page)
    tab = page.context.new_page()
    open_round(tab, url, 1)
    elsewhere = tab.locator(".st-key-basket")

    page.keyboard.press("b")
    expect(basket).to_contain_text(f"Basket of round 1: {count} records")
    expect(elsewhere).to_contain_text(f"Basket of round 1: {count} records")
    expect(tab.locator(".st-key-clear_basket button").first).to_be_enabled()
    idle(page)
    idle(tab)
    tab.locator(".st-key-undo button").first.click()
    expect(elsewhere).to_contain_text("Basket of round 1: 0 records")
    expect(basket).to_contain_text("Basket of round 1: 0 records")
    tab.close()
    idle(page)
    page.keyboard.press("Shift+U")
    expect(basket).to_contain_text(f"Basket of round 1: {count} records")
    idle(page)
    assert read_sets(run, 1).basket == read_sets(run, 1).selection

    page.keyboard.press("n")
    expect(page).to_have_url(re.compile("round=2(&|$)"))
    expect(basket).to_contain_text("Basket of round 2")
    idle(page)
    page.keyboard.press("p")
    expect(page).to_have_url(re.compile("round=1(&|$)"))
    expect(basket).to_contain_text(f"Basket of round 1: {count} records")
    idle(page)

    page.keyboard.press("p")
    expect(page).to_have_url(re.compile("round=0(&|$)"))
    idle(page)
    for _ in range(3):  # faster than the server hears of them
        page.keyboard.press("n")
    expect(page).to_have_url(re.compile("round=3(&|$)"))
    expect(basket).to_contain_text("Basket of round 3")
    idle(page)
    page.go_back()
    expect(page).not_to_have_url(re.compile("round=3(&|$)"))
    page.goto(f"{url}/diagnose?run=small&round=1")
    expect(basket).to_contain_text(f"Basket of round 1: {count} records")
    idle(page)

    expect(page.locator(".st-key-open_inspector button").first).to_be_visible()
    page.keyboard.press("i")
    inspector = page.get_by_role("dialog")
    expect(inspector.locator(".st-key-inspector")).to_be_visible()
    idle(page)
    page.keyboard.press("Escape")
    expect(inspector).to_have_count(0)
    idle(page)

    page.locator(".st-key-groups button").first.click()  # who types a name presses no keys
    page.locator(".st-key-group_name input").type("bun pi")
    page.locator(".st-key-save_group button").click()
    idle(page)
    assert list(read_sets(run, 1).groups) == ["bun pi"]
    assert len(read_sets(run, 1).basket) == count
    assert "round=1" in page.url


def test_every_press_moves_the_round_however_fast(page: Page, url: str) -> None:
    page.goto(f"{url}/diagnose?run=FrozenLake-v1&round=3")
    source = page.locator(".st-key-source")
    expect(source).to_contain_text("round 3 ")
    expect(page.get_by_role("button", name="Next recorded round")).to_be_enabled()
    for _ in range(5):  # while the rest of the page is being drawn
        page.keyboard.press("n")
        page.wait_for_timeout(50)
    expect(page).to_have_url(re.compile("round=8(&|$)"))
    expect(source).to_contain_text("round 8 ")
    back = page.get_by_role("button", name="Previous recorded round")
    for press in (back.click, lambda: page.keyboard.press("p"), lambda: back.press("Enter")):
        press()
    expect(page).to_have_url(re.compile("round=5(&|$)"))
    expect(source).to_contain_text("round 5 ")


def test_every_undo_counts_however_fast_and_whoever_changed_the_basket(page: Page, url: str, runs: Path) -> None:
    run = engine.open_run(runs / "small")
    (run.path / "basket" / "000000.json").unlink(missing_ok=True)  # what other tests did there
    for record in range(6):
        change_basket(run, 0, add=[record])
    open_round(page, url, 0)
    basket, undo, redo = (page.locator(f".st-key-{key}") for key in ("basket", "undo button", "redo button"))
    expect(basket).to_contain_text("Basket of round 0: 6 records")
    expect(redo).to_be_disabled()

    def press(*keys: str) -> None:
        for key in keys:  # two in less than 100 ms
            page.keyboard.press(key)
            page.wait_for_timeout(40)

    press("u", "u", "u")
    expect(basket).to_contain_text("Basket of round 0: 3 records")
    idle(page)
    assert read_sets(run, 0).basket == [0, 1, 2]
    press("Shift+U", "Shift+U")
    expect(basket).to_contain_text("Basket of round 0: 5 records")
    idle(page)

    change_basket(run, 0, add=[100, 101])  # another tab, before this one has heard of it
    press("u", "u", "Shift+U", "u", "u")
    expect(basket).to_contain_text("Basket of round 0: 3 records")
    undo.click()
    redo.click()
    press("u", "u", "u", "u", "u")  # more than there are
    expect(basket).to_contain_text("Basket of round 0: 0 records")
    expect(undo).to_be_disabled()
    press("u", "Shift+U")
    expect(basket).to_contain_text("Basket of round 0: 1 record")
    idle(page)
    assert read_sets(run, 0).basket == [0]
    press("u")
    expect(basket).to_contain_text("Basket of round 0: 0 records")

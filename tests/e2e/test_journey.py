"""One person's way through the dashboard in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browsing import idle, lasso
from playwright.sync_api import Page, expect

import engine
from engine.intervention.record_sets import read_sets
from engine.jobs.interventions import list_jobs

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("name", [pytest.param("small", marks=pytest.mark.slow), "theirs"])
def test_from_a_link_to_a_verdict(page: Page, url: str, runs: Path, name: str) -> None:
    page.goto(f"{url}/diagnose?run={name}&round=2")
    expect(page.locator(".st-key-records_scatter .nsewdrag").first).to_be_visible()
    idle(page)
    lasso(page, 0.02, 0.02, 0.55, 0.98)
    add = page.locator(".st-key-add_to_basket button").first
    expect(add).to_contain_text(re.compile(r"Add \d+ selected"))
    add.click()
    expect(page.locator(".st-key-basket")).to_contain_text(re.compile(r"Basket of round 2: [1-9]\d* records"))
    basket = read_sets(engine.open_run(runs / name), 2).basket
    assert 50 < len(basket) < 512

    page.reload()  # nothing is lost
    expect(page.locator(".st-key-basket")).to_contain_text(f"Basket of round 2: {len(basket)} records")

    page.locator(".st-key-retrain button").first.click()
    page.locator(".st-key-retrain_confirm button").first.click()
    expect(page).to_have_url(re.compile(r"/interventions\?.*iv=[0-9a-f]{12}"))
    jobs = page.locator(".st-key-jobs")
    expect(jobs).to_contain_text(re.compile("queued|running"))
    assert f"run={name}" in page.url
    page.reload()  # the work goes on
    expect(jobs).to_contain_text("done")
    job = list_jobs(engine.open_run(runs / name))[0]
    assert job.plan.removed == tuple(basket)

    page.locator(".st-key-jobs").get_by_role("link", name="Outcome").first.click()
    expect(page).to_have_url(re.compile(r"/compare\?"))
    expect(page.locator(".st-key-verdict")).to_contain_text(re.compile("helps|hurts|within noise"))
    expect(page.locator(".st-key-compare_return .js-plotly-plot")).to_be_visible()
    assert job.result is not None
    expect(page.locator(".st-key-verdict")).to_contain_text(job.result["verdict"])


def test_cancel_stops_the_worker_and_leaves_no_branch(page: Page, url: str, runs: Path) -> None:
    page.goto(f"{url}/diagnose?run=FrozenLake-v1&round=3&picture=scatter")
    expect(page.locator(".st-key-records_scatter .nsewdrag").first).to_be_visible()
    idle(page)
    lasso(page, 0.02, 0.02, 0.3, 0.98)
    page.locator(".st-key-add_to_basket button").first.click()
    idle(page)
    page.locator(".st-key-retrain button").first.click()
    further = page.locator(".st-key-continue_rounds input")
    expect(further).to_be_visible()
    idle(page)
    further.fill("200")  # it would take minutes
    further.press("Enter")
    expect(further).to_have_value("200")
    expect(page.locator(".st-key-seeds input")).to_be_enabled()
    page.locator(".st-key-retrain_confirm button").first.click()
    expect(page).to_have_url(re.compile(r"/interventions\?.*iv="))
    id = re.search(r"iv=([0-9a-f]{12})", page.url)
    assert id is not None
    page.locator(".st-key-cancel_job button").first.click()
    expect(page.locator(".st-key-jobs")).to_contain_text("cancelled")
    folder = runs / "FrozenLake-v1" / "interventions" / id[1]
    assert not (folder / "branch").exists()
    assert not list(folder.glob(".*partial"))


def click_a_record(page: Page) -> int:
    """Click the record with the most room around its mark of those not selected; returns its number."""
    expect(page.locator(".st-key-records_scatter .nsewdrag").first).to_be_visible()
    idle(page)
    page.evaluate("document.querySelector('.st-key-records_scatter').scrollIntoView({block: 'center'})")
    page.wait_for_timeout(1000)
    x, y, record = page.evaluate(
        """() => {
            const plot = document.querySelector('.st-key-records_scatter .js-plotly-plot');
            const layout = plot._fullLayout, trace = plot._fullData[0], box = plot.getBoundingClientRect();
            const marks = Array.from(trace.customdata, (record, i) => [box.left + layout.xaxis._offset
                + layout.xaxis.d2p(trace.x[i]), box.top + layout.yaxis._offset + layout.yaxis.d2p(trace.y[i]), record]);
            const room = marks.map(([x, y], i) => Math.min(...marks.map(([u, v], j) => i === j ? 99 : Math.hypot(u - x, v - y))));
            for (const i of trace.selectedpoints ?? []) room[i] = 0; // a click on it would unselect it
            return marks[room.indexOf(Math.max(...room))];
        }"""
    )
    assert f"inspect={record}" not in page.url
    page.mouse.move(x, y)
    expect(page.locator(".st-key-records_scatter .hoverlayer .hovertext")).to_be_visible()  # it is under the pointer
    page.mouse.click(x, y)
    expect(page).to_have_url(re.compile(rf"inspect={record}(&|$)"))
    expect(page.locator(".st-key-inspect input")).to_have_value(str(record))
    return int(record)


def test_a_click_inspects_the_record(page: Page, url: str) -> None:
    page.goto(f"{url}/diagnose?run=FrozenLake-v1&round=12&tool=click&picture=scatter")
    click_a_record(page)
    expect(page.locator(".st-key-source")).to_contain_text("return, by this round's advantages")


def test_a_click_asks_about_the_record_where_the_target_follows(page: Page, url: str) -> None:
    page.goto(
        f"{url}/diagnose?run=FrozenLake-v1&round=12&tool=click&picture=scatter&target=action&about=3&inspect=3&follow=True"
    )
    expect(page.locator(".st-key-source")).to_contain_text("action target, record 3 ")
    record = click_a_record(page)
    expect(page.locator(".st-key-source")).to_contain_text(f"action target, record {record} ")
    expect(page).to_have_url(re.compile(rf"about={record}(&|$)"))


@pytest.mark.slow
def test_a_mark_of_two_rankings_inspects_its_record(page: Page, url: str) -> None:
    page.goto(f"{url}/diagnose?run=small&round=2&other_estimator=tracin&inspect=3")
    expect(page.locator(".st-key-records_scatter .nsewdrag").first).to_be_visible()
    idle(page)
    page.locator(".st-key-compare_estimators summary").click()
    marks = page.locator(".st-key-rank_scatter .scatterlayer .point")
    expect(marks).to_have_count(512)
    idle(page)
    expect(page.locator(".st-key-compare_estimators")).to_contain_text(re.compile(r"Rank correlation [+-]\d"))
    page.locator(".st-key-rank_scatter").evaluate("chart => chart.scrollIntoView({block: 'center'})")
    page.wait_for_timeout(500)
    x, y, record = page.evaluate(
        """() => {
            const plot = document.querySelector('.st-key-rank_scatter .js-plotly-plot'), box = plot.getBoundingClientRect();
            const layout = plot._fullLayout, {x, y} = plot._fullData[0], all = [...x.keys()];
            const room = i => Math.min(...all.map(j => j === i ? Infinity : Math.hypot(x[i] - x[j], y[i] - y[j])));
            const rooms = all.map(room), i = rooms.indexOf(Math.max(...rooms));  // no other mark lies on this one
            return [box.left + layout.xaxis._offset + layout.xaxis.d2p(x[i]),
                    box.top + layout.yaxis._offset + layout.yaxis.d2p(y[i]), plot._fullData[0].customdata[i]];
        }"""
    )
    page.mouse.move(x, y)
    page.wait_for_timeout(300)
    page.mouse.click(x, y)
    expect(page.locator(".st-key-inspect input")).to_have_value(str(record))


def test_the_url_is_the_view(page: Page, url: str) -> None:
    """Round 0, another page and back, a reload, and the Back button."""
    page.goto(f"{url}/diagnose?run=FrozenLake-v1&round=0")
    trust = page.locator(".st-key-source")
    expect(trust).to_contain_text("round 0 ")
    page.reload()
    expect(trust).to_contain_text("round 0 ")
    page.locator(".st-key-next_round button").first.click()
    expect(trust).to_contain_text("round 1 ")
    expect(page).to_have_url(re.compile("round=1(&|$)"))

    page.get_by_role("link", name="Timeline", exact=True).first.click()
    expect(page).to_have_url(re.compile(r"/timeline\?.*run=FrozenLake-v1"))
    expect(page).to_have_url(re.compile("round=1(&|$)"))
    idle(page)
    page.get_by_role("link", name="Diagnose", exact=True).first.click()
    expect(trust).to_contain_text("round 1 ")

    page.goto(f"{url}/diagnose?run=small&round=2")
    expect(trust).to_contain_text("round 2 ")
    idle(page)
    page.go_back()
    expect(trust).to_contain_text("round 1 ")
    expect(page).to_have_url(re.compile("run=FrozenLake-v1"))


@pytest.mark.slow
def test_a_link_may_spell_out_defaults_and_mistakes(page: Page, url: str) -> None:
    page.goto(f"{url}/diagnose?run=FrozenLake-v1&round=12&target=return&tool=lasso&x=bad")
    expect(page.get_by_test_id("stAlert")).to_contain_text("is not here")
    idle(page)
    page.locator(".st-key-target button").filter(has_text="action").click()
    expect(page.locator(".st-key-source")).to_contain_text("action target")
    expect(page.get_by_test_id("stAlert")).to_have_count(0)
    expect(page).to_have_url(re.compile("target=action"))
    assert "x=bad" not in page.url


@pytest.mark.slow
def test_quick_clicks_all_count(page: Page, url: str) -> None:
    page.goto(f"{url}/diagnose?run=small&round=2&inspect=100")
    more = page.locator(".st-key-inspect").get_by_test_id("stNumberInputStepUp")
    more.wait_for()
    idle(page)
    for _ in range(8):
        more.click()
        page.wait_for_timeout(250)
    expect(page).to_have_url(re.compile("inspect=108(&|$)"))
    expect(page.locator(".st-key-inspect input")).to_have_value("108")


def test_a_link_to_the_branch_opens_it(page: Page, url: str, runs: Path) -> None:
    job = next(
        job for job in list_jobs(engine.open_run(runs / "FrozenLake-v1")) if job.result and job.plan.continue_rounds
    )
    page.goto(f"{url}/compare?iv={job.id}")
    expect(page.locator(".st-key-verdict")).to_be_visible()
    idle(page)
    page.get_by_text("The branch's timeline").click()
    expect(page).to_have_url(re.compile(r"/timeline\?"))
    expect(page.get_by_role("combobox", name="Run")).to_have_value(re.compile(rf"^without .* \({job.id[:4]}\)$"))
    assert page.url.count("run=") == 1
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(str(1 + job.plan.continue_rounds))

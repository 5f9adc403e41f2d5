"""The report of a diagnosis: the numbers of the page in one file, with nothing in it that a person or a run could inject."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import engine
from app.diagnosis.html_report import Shown, render
from engine.core.gradients.attribution import top_and_bottom
from engine.core.targets.functions import Target
from engine.intervention.across import series_of
from engine.intervention.notes import write_note
from engine.intervention.plan import Intervention
from engine.jobs.interventions import create_job, list_jobs
from engine.jobs.series import create_series
from engine.jobs.work import work
from engine.kinds.control.fields import record_fields
from engine.store.read import Run


@pytest.fixture
def run(tmp_path: Path, cartpole: Run) -> Run:
    shutil.copytree(cartpole.path, tmp_path / "cartpole")
    return engine.open_run(tmp_path / "cartpole")


def shown(run: Run, target: Target | None = None, **changes: Any) -> Shown:
    snapshot = run.snapshot(1)
    target = target or engine.return_target(snapshot)
    scores = engine.influence(snapshot, target, cache=False)
    given = {
        "run": run,
        "snapshot": snapshot,
        "target": target,
        "described": "return target",
        "scores": scores,
        "fields": {**record_fields(snapshot), "influence": scores.influence},
        "axes": ("step in round", "advantage"),
        "action_names": ["left", "right"],
        "rows": 5,
        "fraction": 0.1,
        "source": "first_order, return target · round 1",
        "dark": False,
    }
    return Shown(**{**given, **changes})


class Words(HTMLParser):
    """What a reader sees of a page, and the tags it is made of."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.hidden = False
        self.feed(page.decode())
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = False

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(data)


def test_it_has_the_numbers_of_the_page(run: Run) -> None:
    view = shown(run)
    page = Words(render(view))
    influence = view.scores.influence
    for records in top_and_bottom(influence, 5):
        for record in records:
            assert f"{record} {influence[record]:+.3g} " in page.text
    for trait in engine.diagnose(view.snapshot, rollouts=0).in_common:
        assert trait.sentence in page.text
    for words in (
        "first_order, return target · round 1",
        view.snapshot.hash,
        "training seed",
        "Not measured",
        "None yet.",
    ):
        assert words in page.text


def test_interventions_of_the_round_have_their_verdict_and_their_note(run: Run) -> None:
    for round in (0, 1):
        plan = Intervention(round=round, removed=(3, 5), orders=2, episodes=4)
        work(create_job(run, run.snapshot(round), plan, {})[0].folder)
    for job in list_jobs(run):
        write_note(job.folder, f"round {job.plan.round}: <img src=x onerror=alert(1)> & done")
    page = Words(render(shown(run)))
    job = next(job for job in list_jobs(run) if job.plan.round == 1)
    result = job.result
    assert result is not None
    assert job.id in page.text
    assert f"{result['verdict']} :" in page.text
    assert f"{result['counterfactual']['mean']:.4g}" in page.text
    assert "round 1: <img src=x onerror=alert(1)> & done" in page.text, "as it was typed"
    assert "round 0:" not in page.text, "that of another round"
    assert "img" not in {tag for tag, _ in page.tags}


def test_interventions_that_can_not_be_read_are_said(run: Run) -> None:
    job, _ = create_job(run, run.snapshot(1), Intervention(round=1, removed=(3, 4), orders=2, episodes=4), {})
    series, _ = create_series(run, series_of(run, [1], orders=2, episodes=4))
    (job.folder / "intervention.json").write_text("<b>")
    (series.folder / "series.json").write_text("<b>")
    page = Words(render(shown(run)))
    assert f"{job.id}/intervention.json is damaged" in page.text
    assert f"{series.id}/series.json is damaged" in page.text


def test_nothing_is_fetched_and_nothing_is_sent(run: Run) -> None:
    data = render(shown(run))
    page = Words(data)
    assert not [tag for tag, attrs in page.tags if {"src", "href"} & attrs.keys()]
    assert b"default-src 'none'" in data
    assert data.count(b"plotly.js v") == 1
    charts = data.count(b"Plotly.newPlot(")
    assert charts == data.count(b'"showSendToCloud": false') >= 3


def test_a_name_of_a_run_is_no_markup(run: Run) -> None:
    odd = run.path.parent / "<script>alert(1)<"
    shutil.copytree(run.path, odd)
    page = Words(render(shown(engine.open_run(odd))))
    assert "<script>alert(1)<" in page.text
    assert all("alert" not in str(tag) for tag in page.tags)


def test_a_target_that_can_not_be_asked_leaves_the_rest(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.diagnosis import loaders

    def refuse(*_: Any) -> None:
        raise engine.EngineError("the policy never takes that action")

    monkeypatch.setattr(loaders, "load_diagnosis", refuse)
    page = Words(render(shown(run, dark=True)))
    assert "the policy never takes that action." in page.text
    assert "Top records" in page.text

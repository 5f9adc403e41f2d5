"""What came of a removal in one sentence, where its records came from, and the buttons that try something else with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pages import Open, errors, figure, words
from streamlit.testing.v1 import AppTest

import engine
from app.removal import start
from app.shell.branch_names import branch_name
from engine.core.targets.question import Question, TargetName
from engine.intervention.origin import Chosen, Origin
from engine.intervention.plan import Intervention
from engine.intervention.record_sets import read_sets
from engine.intervention.target_and_return import joined, to_try
from engine.jobs.interventions import InterventionJob, create_job, list_jobs, predicted
from engine.jobs.work import work
from engine.store.read import Run
from engine.store.run_notes import change_run_notes

WORST = Origin.shown(Question(target=TargetName(), estimator="tracin"), "worst", share=0.5)


def removed(run: Run, **settings: int) -> InterventionJob:
    """A removal of the worst half that is done."""
    snapshot = run.snapshot(1)
    worst = engine.influence(snapshot).influence.argsort()[:30].tolist()
    plan = Intervention(round=1, removed=tuple(worst), orders=2, episodes=4, **settings)
    job, _ = create_job(run, snapshot, plan, predicted(snapshot, plan), (Chosen(records=30, origin=WORST),))
    work(job.folder)
    return next(each for each in list_jobs(run) if each.id == job.id)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of the jobs that a page begins; none is worked on."""
    folders: list[Path] = []
    monkeypatch.setattr(start, "launch", folders.append)
    return folders


def said(app: AppTest) -> str:
    return words(app) + " ".join(box.value for kind in (app.success, app.warning, app.info) for box in kind)


def test_outcome_and_interventions_say_what_was_removed_and_what_came_of_it(open_page: Open, shown: Run) -> None:
    job = removed(shown)
    assert job.result is not None
    sentence = joined(job.result, job.metadata["summed_influence"])
    app = open_page("compare", shown.path.parent, iv=job.id)
    assert errors(app) == []
    assert f"**{sentence}**" in said(app)
    assert "return, by this round's advantages" in words(app)
    assert "chosen: the worst half by tracin, return target" in words(app)
    app = open_page("interventions", shown.path.parent, run="cartpole")
    assert errors(app) == []
    assert "Round 1 without 30 records" in words(app)
    assert "Chosen: the worst half by tracin, return target · target: return, by this round's advantages" in words(app)
    assert "Chosen: not kept" in words(app), "of the older one, which does not say it"


def test_what_is_tried_takes_the_records_along(open_page: Open, shown: Run, begun: list[Path]) -> None:
    job = removed(shown)
    assert job.result is not None
    attempts = to_try(job.result, job.metadata["summed_influence"])
    app = open_page("compare", shown.path.parent, iv=job.id)
    keys = {"another estimator": "try_estimator", "train on": "try_training", "more orders": "try_orders"}
    assert [button.key for button in app.button if str(button.key).startswith("try_")] == [
        *(keys[one] for one in attempts),
        "try_repair",
    ]
    again = [key for key in (keys[one] for one in attempts) if key != "try_estimator"]
    app.button(key=again[0]).click().run()
    assert errors(app) == []
    [new] = [each for each in list_jobs(shown) if each.folder in begun]
    assert new.plan.removed == job.plan.removed
    assert (new.chosen, new.metadata["summed_influence"]) == (job.chosen, job.metadata["summed_influence"])
    assert (new.plan.orders, new.plan.continue_rounds) in [(4, 0), (2, 5)]


def test_the_same_records_are_repaired_instead(open_page: Open, shown: Run, begun: list[Path]) -> None:
    job = removed(shown)
    app = open_page("compare", shown.path.parent, iv=job.id)
    app.button(key="try_repair").click().run()
    assert errors(app) == []
    [new] = [each for each in list_jobs(shown) if each.folder in begun]
    assert new.plan == replace(job.plan, repair=True)
    assert (new.chosen, new.metadata["summed_influence"]) == (job.chosen, None)


def test_the_basket_hands_on_where_its_records_came_from(open_page: Open, shown: Run, begun: list[Path]) -> None:
    app = open_page("diagnose", shown.path.parent, run="cartpole", round="1", estimator="tracin")
    assert app.selectbox(key="estimator").value == "tracin", "an address counts"
    app.button(key="worst_half").click().run()
    assert errors(app) == []
    count = len(read_sets(shown, 1).basket)
    assert read_sets(shown, 1).chosen == (Chosen(records=count, origin=WORST),)
    app.button(key="retrain").click().run()
    assert (
        "Chosen: the worst half by tracin, return target. Measured beside the return: return, by this round's"
        in words(app)
    )
    assert "24 replays of the update, and 8 episodes of each policy after it. Time: about " in words(app)
    app.number_input(key="orders").set_value(2).run()
    assert "6 replays of the update" in words(app)
    app.button(key="retrain_confirm").click().run()
    [job] = [each for each in list_jobs(shown) if each.folder in begun]
    assert job.chosen == (Chosen(records=count, origin=WORST),)


def test_branch_and_control_can_be_told_apart(open_page: Open, shown: Run) -> None:
    [job] = list_jobs(shown)
    app = open_page("timeline", shown.path.parent)
    short = job.id[:4]
    assert {f"without 3 of round 1 · cartpole ({short})", f"random 3 of round 1 · cartpole ({short})"} <= set(
        app.selectbox(key="run").options
    )
    run = f"cartpole/interventions/{job.id}/branch"
    change_run_notes(shown.path, lambda notes: replace(notes, name="the best"), shown.path.parent)
    page = open_page("compare_runs", shown.path.parent, runs=f"cartpole,{run},{run}/control")
    assert errors(page) == []
    names = {trace["name"] for trace in figure(page, "runs_curves")["data"] if "name" in trace}
    assert names == {"the best (cartpole)", f"without 3 of round 1 · cartpole ({short})",
                     f"random 3 of round 1 · cartpole ({short})"}  # fmt: skip
    (job.folder / "intervention.json").write_text("{")
    assert branch_name(run, job.folder / "branch") == f"without some records · cartpole ({short})"
    assert branch_name("cartpole", shown.path) is None

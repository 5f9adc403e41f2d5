"""The dialog that retrains a round: records are left out or repaired, and what came of it is said as it was done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pages import Open, errors, figure, words

import engine
from app.removal import start
from engine.intervention.plan import Intervention
from engine.intervention.record_sets import change_basket
from engine.jobs.interventions import create_job, list_jobs
from engine.jobs.work import work
from engine.store.read import Run


@pytest.fixture(autouse=True)
def _nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "launch", lambda folder: None)


def test_records_are_repaired_in_the_place_of_being_left_out(open_page: Open, shown: Run) -> None:
    """From the dialog over the job to Outcome, Interventions and the names of the branches."""
    change_basket(shown, 1, add=[3, 5, 8, 13])
    folder = shown.path.parent
    app = open_page("diagnose", folder, run="cartpole", round="1", estimator="first_order")
    app.button(key="retrain").click().run()
    assert "is replayed without **4** of 140 records" in words(app)
    app.segmented_control(key="done").set_value("repair").run()
    assert "is replayed with **4** of 140 records repaired" in words(app)
    assert "the repair of as many random records" in words(app)
    assert app.segmented_control(key="mode").disabled
    app.number_input(key="orders").set_value(2)
    app.number_input(key="episodes").set_value(4)
    app.button(key="retrain_confirm").click().run()
    assert errors(app) == []
    job = next(each for each in list_jobs(shown) if each.plan.repair)
    assert (job.plan.removed, job.metadata["summed_influence"]) == ((3, 5, 8, 13), None)
    result = work(job.folder)

    app = open_page("compare", folder, iv=job.id)
    assert errors(app) == []
    said = words(app) + " ".join(box.value for kind in (app.success, app.warning, app.info) for box in kind)
    assert "Return with them repaired: " in said
    assert "with these records repaired" in said or "a random repair of the same size" in said
    assert "Round 1 of cartpole with 4 of 140 records repaired" in said
    assert "so nothing is predicted" in said
    assert "difference from the random repair" in said.lower()
    assert "The chosen records repaired" in said
    table = next(frame.value for frame in app.dataframe if "TD error" in frame.value.columns)
    expected = engine.replay(shown.snapshot(1), repair=[3, 5, 8, 13]).snapshot.buffer.advantage[[3, 5, 8, 13]]
    np.testing.assert_array_equal(table["TD error"], expected)
    names = [trace["name"] for trace in figure(app, "compare_return")["data"] if "name" in trace]
    assert names == ["original", "the chosen records repaired", "as many random records repaired"]

    app = open_page("interventions", folder, run="cartpole")
    assert errors(app) == []
    assert "Round 1 with 4 records repaired" in words(app)
    assert "TD errors in the place of advantages, 2 minibatch orders" in words(app)
    app = open_page("timeline", folder, run="cartpole")
    assert f"repaired 4 of round 1 · cartpole ({job.id[:4]})" in app.selectbox(key="run").options
    assert result["repair"] is True


def test_what_can_not_be_repaired_is_left_out(open_page: Open, shown: Run, tmp_path: Path) -> None:
    """The branch of a repair is a run whose records are repaired already."""
    plan = Intervention(round=1, removed=(3, 5), orders=2, episodes=4, repair=True)
    job, _ = create_job(shown, shown.snapshot(1), plan, {})
    work(job.folder)
    branch = engine.open_run(job.folder / "branch")
    change_basket(branch, 1, add=[3, 5])
    app = open_page("diagnose", shown.path.parent, run=f"cartpole/interventions/{job.id}/branch", round="1")
    app.button(key="retrain").click().run()
    assert "They can't be repaired, only left out: the update of this round went without these records" in words(app)
    assert app.segmented_control(key="done").disabled
    app.button(key="retrain_confirm").click().run()
    assert errors(app) == []
    [begun] = list_jobs(branch)
    assert begun.plan == replace(begun.plan, repair=False, removed=(3, 5))

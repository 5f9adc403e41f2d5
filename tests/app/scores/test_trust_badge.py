"""The trust badge: not measured, then measured by a check in the background."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from deadlines import wait_until
from streamlit.testing.v1 import AppTest

import engine
from app.scores.check import CHECKED, Check, measured_estimators
from app.shell import loaders
from engine.core.chosen_targets import named_target
from engine.core.draws import random_removals
from engine.core.effort import Effort
from engine.core.estimators.registry import ESTIMATORS, REPLAY_REGRESSION
from engine.core.faithfulness.cost import finished
from engine.core.faithfulness.kept_validations import keep_validation
from engine.core.faithfulness.measure import Measurement
from engine.core.targets.of_records import return_target
from engine.core.targets.question import TargetName
from engine.jobs.calculations import Calculation
from engine.jobs.questions import Validate
from engine.kinds.control.kind import ControlKind
from engine.store.read import Run

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def run(tmp_path: Path, cartpole: Run) -> Run:
    shutil.copytree(cartpole.path, tmp_path / "runs" / "cartpole")
    return engine.open_run(tmp_path / "runs" / "cartpole")


def diagnose(monkeypatch: pytest.MonkeyPatch, run: Run, **query: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", str(run.path.parent)])
    app = AppTest.from_file(str(ROOT / "app" / "streamlit_app.py"), default_timeout=60)
    for key, value in {"run": "cartpole", "round": "1", **query}.items():
        app.query_params[key] = value
    app.switch_page("views/diagnose.py")
    app.run()
    assert not app.exception
    return app


def badge(app: AppTest) -> str:
    return next(m.value for m in app.markdown if "trust:" in m.value)


def test_not_measured_then_measured(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    assert "trust: not measured" in badge(diagnose(monkeypatch, run))
    measured = engine.validate(run, round=1, estimators=CHECKED, subsets=8, orders=2, executor="inline")
    for estimator in CHECKED:
        shown = badge(diagnose(monkeypatch, run, estimator=estimator))
        assert f"trust: LDS {measured.estimators[estimator].lds:.2f} of {measured.ceiling:.2f}" in shown
    assert "trust: not measured" in badge(diagnose(monkeypatch, run, round="0")), "another round"
    assert "trust: not measured" in badge(diagnose(monkeypatch, run, target="action")), "another target"


def test_what_was_foretold_is_no_measurement(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(ControlKind, "effort", Effort(subsets=8, orders=2, pairs=64))
    told = engine.influence(run.snapshot(1), "return", REPLAY_REGRESSION).expected
    assert told is not None
    app = diagnose(monkeypatch, run, estimator=REPLAY_REGRESSION)
    expected = f"{told.value:.2f} ({told.low:.2f} to {told.high:.2f})"
    assert f"trust: expected LDS {expected}, not measured" in badge(app)
    assert f"Not measured here: expected LDS {told.value:.2f}" in "".join(each.value for each in app.markdown)
    measured = engine.validate(run, round=1, estimators=[REPLAY_REGRESSION], executor="inline")
    shown = badge(diagnose(monkeypatch, run, estimator=REPLAY_REGRESSION))
    assert f"trust: LDS {measured.estimators[REPLAY_REGRESSION].lds:.2f} of" in shown
    assert "expected" not in shown


def test_the_badge_is_about_the_orders_that_the_scores_are_averaged_over(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    settings = {"round": 1, "estimators": ["tracin_adam"], "subsets": 8, "orders": 2, "executor": "inline"}
    alone = engine.validate(run, **settings)
    together = engine.validate(run, **settings, score_orders=4)
    assert list(together.estimators) == ["tracin_adam over 4 orders"]
    scores = engine.influence(run.snapshot(1), "return", "tracin_adam", orders=4).influence
    removed = random_removals(run.snapshot(1), 0.5, 8)
    predicted = together.estimators["tracin_adam over 4 orders"].predicted
    assert predicted == pytest.approx((-(removed @ scores.astype(float))).tolist(), rel=1e-5)
    assert predicted != alone.estimators["tracin_adam"].predicted
    assert together.actual == alone.actual, "the replays are the same"
    for orders, name, found in (("1", "tracin_adam", alone), ("4", "tracin_adam over 4 orders", together)):
        app = diagnose(monkeypatch, run, estimator="tracin_adam", average_orders=orders)
        assert f"LDS {found.estimators[name].lds:.2f} of" in badge(app)
    started = begun(monkeypatch)
    app = diagnose(monkeypatch, run, estimator="tracin_adam", average_orders="8")
    assert "trust: not measured" in badge(app)
    app.button(key="trust_check").click().run()
    assert started[0].score_orders == 8


def test_few_subsets_are_said_to_be_few(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    engine.validate(run, round=1, subsets=8, orders=2, executor="inline")
    assert "(few subsets)" in badge(diagnose(monkeypatch, run, estimator="first_order"))
    engine.validate(run, round=1, subsets=10, orders=2, executor="inline")
    assert "(few subsets)" not in badge(diagnose(monkeypatch, run, estimator="first_order"))


def test_every_estimator_is_offered_where_the_update_can_be_replayed(run: Run) -> None:
    snapshot = run.snapshot(1)
    assert list(ESTIMATORS.of(snapshot)) == list(ESTIMATORS)
    assert list(ESTIMATORS.of(snapshot.changed(minibatches=snapshot.minibatches[:0]))) == ["first_order"]


def test_progress_of_a_check_counts_all_its_replays(run: Run) -> None:
    """Those that replay_regression is fitted to as well, and after a reload, too."""
    snapshot = run.snapshot(1)
    question = Check(run, snapshot, return_target(snapshot), Measurement(subsets=2000, orders=50))
    check = question.job([*CHECKED, REPLAY_REGRESSION])
    check.start()
    again = question.job()
    estimators = measured_estimators(again)
    assert estimators == (*CHECKED, REPLAY_REGRESSION)
    _, few = finished(snapshot, return_target(snapshot), CHECKED, Measurement(subsets=4, orders=2))
    _, many = finished(snapshot, return_target(snapshot), estimators, Measurement(subsets=4, orders=2))
    assert many > few == 10
    again.stop()
    wait_until(lambda: not check.running)


def test_a_check_runs_in_the_background_and_can_be_stopped(run: Run) -> None:
    snapshot = run.snapshot(1)
    question = Check(run, snapshot, return_target(snapshot), Measurement(subsets=2000, orders=50))
    check = question.job()
    assert not check.running
    question.job(["first_order"]).start()
    assert check.running
    question.job(["tracin"]).start()  # no second one
    assert measured_estimators(check) == ("first_order",)
    wait_until(lambda: list((run.path / "derived").glob("*.parquet")))
    check.stop()
    wait_until(lambda: not check.running)
    assert check.complaint == "cancelled; finished replays are kept"


def test_a_check_that_fails_says_why(run: Run) -> None:
    check = Calculation(run, Validate(round=77, target={"target": "return"}, estimators=("first_order",)))
    check.start()
    wait_until(lambda: not check.running)
    assert "77" in check.complaint


def begun(monkeypatch: pytest.MonkeyPatch) -> list[Validate]:
    """The questions of checks that would have been started."""
    questions: list[Validate] = []
    monkeypatch.setattr(Calculation, "start", lambda self: questions.append(self.question))
    return questions


def button(app: AppTest, key: str) -> str:
    return next((b.label for b in app.button if b.key == key), "")


def test_a_ranking_that_was_not_measured_offers_the_check_and_its_time(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    started = begun(monkeypatch)
    app = diagnose(monkeypatch, run)
    assert button(app, "trust_check").startswith("Check, ")
    app.button(key="trust_check").click().run()
    assert [question.estimators for question in started] == [CHECKED]
    app = diagnose(monkeypatch, run, estimator=REPLAY_REGRESSION)
    assert not app.exception


def test_a_check_that_runs_is_seen_at_the_badge(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(Calculation, "running", property(lambda self: isinstance(self.question, Validate)))
    assert "trust: being measured, 0%" in badge(diagnose(monkeypatch, run))


@pytest.mark.slow
def test_what_was_measured_here_recommends_the_better_estimator(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    measured = engine.validate(run, round=1, estimators=CHECKED, subsets=12, orders=2, executor="inline")
    assert measured.verdict(measured.best) in ("predicts", "weakly", "does not")
    for estimator in CHECKED:
        worse = measured.estimators[measured.best].lds > measured.estimators[estimator].lds + 0.05
        expected = f"{measured.best} did better, measured here" if worse else ""
        assert button(diagnose(monkeypatch, run, estimator=estimator), "use_recommended") == expected
    best = replace(measured.estimators[measured.best], lds=0.99, low=0.9, high=1.0)
    for orders in (8, 2):
        found = {f"tracin over {orders} orders": replace(best, estimator="tracin", orders=orders)}
        keep_validation(run.snapshot(1), return_target(run.snapshot(1)), replace(measured, estimators=found))
    app = diagnose(monkeypatch, run, estimator="first_order")
    assert button(app, "use_recommended") == "tracin over 8 orders did better, measured here", (
        "2 orders are not offered on the page"
    )
    app.button(key="use_recommended").click().run()
    assert (app.selectbox(key="estimator").value, app.selectbox(key="average_orders").value) == ("tracin", 8)
    assert "LDS 0.99" in badge(app)


def test_the_study_recommends_where_nothing_was_measured(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    advice = loaders.recommendation(run, run.snapshot(1), "return")
    assert advice is not None, "the study ships with the project"
    assert "not CartPole-v1, which it has not" in advice.sentence
    app = diagnose(monkeypatch, run, estimator="replay_gradient", trust_panel="True")
    if advice.estimator != "replay_gradient":
        assert button(app, "use_recommended") == f"{advice.estimator} may do better ({advice.briefly})"
        app.button(key="use_recommended").click().run()
        assert app.selectbox(key="estimator").value == advice.estimator
    assert button(app, "use_recommended") == ""


def test_the_ranking_of_a_behaviour_has_a_badge_too(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", str(run.path.parent)])

    def behaviour() -> AppTest:
        app = AppTest.from_file(str(ROOT / "app" / "streamlit_app.py"), default_timeout=60)
        for key, value in {"run": "cartpole", "record": "1:7", "shown_round": "2"}.items():
            app.query_params[key] = value
        app.switch_page("views/behaviour.py")
        return app.run()

    started = begun(monkeypatch)
    app = behaviour()
    assert not app.exception
    assert "trust: not measured" in badge(app)
    app.button(key="behaviour_check").click().run()
    (question,) = started
    assert question.round == 2
    # The job that was started asks about the very target of the page, also once it was written down.
    snapshot = run.snapshot(2)
    written = json.loads(json.dumps(question.target))
    asked = named_target(snapshot, TargetName(**written))
    assert asked.describe() == engine.action_target(run.snapshot(1), record=7).describe()
    measured = engine.validate(snapshot, asked, subsets=6, orders=2, executor="inline")
    assert f"trust: LDS {measured.estimators['first_order'].lds:.2f}" in badge(behaviour())

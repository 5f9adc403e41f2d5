"""The answer line: what it says of a round, whether that can be trusted, and how what is not measured looks."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from pages import FIRST, SEEN, Open, button, errors, figure, words

import engine
from app.charts.theme import PALE
from app.scores import answer
from app.scores.trust import Trust
from engine.analysis.concentration import Concentration, concentration_of
from engine.core.faithfulness.kept_validations import keep_validation
from engine.core.faithfulness.result import Validation
from engine.core.targets.of_records import return_target
from engine.store.read import Run

FOUND = Concentration(lowered=2, ranked=5, below=-1500.0, above=3.0)


@pytest.fixture(scope="module")
def measured(cartpole: Run, tmp_path_factory: pytest.TempPathFactory) -> Validation:
    """A real check of a few subsets, as if they had been many."""
    copy = shutil.copytree(cartpole.path, tmp_path_factory.mktemp("measured") / "cartpole")
    snapshot = engine.open_run(copy).snapshot(2)
    found = engine.validate(snapshot, "return", [FIRST], subsets=10, orders=2, executor="inline")
    return replace(found, ceiling=0.9, null_exact=True)


def with_interval(measured: Validation, low: float) -> Validation:
    found = replace(measured.estimators[FIRST], lds=0.8, low=low, high=0.9)
    return replace(measured, estimators={FIRST: found})


def test_how_many_and_that_nobody_measured_it() -> None:
    assert answer.sentence(FOUND, Trust(FIRST)) == (
        "**2 of 5 records lowered the target, by -1,500 in sum; the others raised it by &#43;3.** Whether removing them would "
        "do what the scores say was not measured here."
    ).replace("&#43;", "+")


def test_what_a_check_found_is_said_to_be_measured_here(measured: Validation) -> None:
    sure, wrong = (Trust(FIRST, with_interval(measured, low)) for low in (0.6, -0.2))
    assert (sure.word, wrong.word) == ("", "measured: does not predict removal")
    assert (
        sure.sentence == "Measured here: tracin_adam predicts removal here: LDS 0.80 (0.60 to 0.90) of a possible 0.90."
    )
    assert "Don't trust these scores: another one." in answer.sentence(FOUND, Trust(FIRST, sure.found, "another one"))
    assert Trust(FIRST, sure.found, "another one").word == "another policy's"
    assert "can't be measured" in Trust(FIRST, can_be_measured=False).sentence


def test_the_page_begins_with_it_and_looks_sure_only_once_it_was_measured(
    open_page: Open, shown: Run, measured: Validation
) -> None:
    snapshot = shown.snapshot(2)
    app = open_page("diagnose", shown.path.parent, **SEEN)
    assert errors(app) == []
    for sentence in concentration_of(snapshot, engine.influence(snapshot, "return", FIRST)).sentences:
        assert sentence in words(app).replace("**", "")
    assert button(app, "trust_check").startswith("Check, ")
    scatter = figure(app, "records_scatter")
    assert scatter["data"][0]["marker"]["opacity"] == PALE
    assert "pale: not measured" in scatter["layout"]["annotations"][0]["text"]
    assert figure(app, "influence_over")["data"][0]["opacity"] == PALE
    assert [tab.label for tab in app.tabs][:2] == ["Bottom records (not measured)", "Top records (not measured)"]

    keep_validation(snapshot, return_target(snapshot), with_interval(measured, 0.6))
    app = open_page("diagnose", shown.path.parent, **SEEN)
    assert "tracin_adam predicts removal here: LDS 0.80" in words(app)
    scatter = figure(app, "records_scatter")
    assert scatter["data"][0]["marker"]["opacity"] > PALE
    assert "annotations" not in scatter["layout"]
    assert figure(app, "influence_over")["data"][0]["opacity"] == 1
    assert [tab.label for tab in app.tabs][:2] == ["Bottom records", "Top records"]

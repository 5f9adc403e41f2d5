"""What the demonstration's results say, from made-up curves."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from courtesy_curves import CURVES, FAST, made_up, rows

from engine.demos.courtesy.experiment.detection import auc
from engine.demos.courtesy.experiment.findings import detection, mean_over_seeds, ratio, reached, sentences
from engine.demos.courtesy.experiment.plan import CONDITIONS, Plan
from engine.demos.courtesy.experiment.report import render, write_courtesy_report
from engine.demos.courtesy.experiment.results import (
    CourtesyResults,
    begin,
    find_results,
    read_results,
)
from engine.errors import BadInputError, DamagedRunError

pytestmark = pytest.mark.long


@pytest.fixture
def results() -> CourtesyResults:
    return made_up()


def test_when_a_rude_rate_was_reached_in_rounds_sequences_and_seconds(results: CourtesyResults) -> None:
    ppo, iif = reached(results, "flipped", "ppo"), reached(results, "flipped", "iif")
    assert ppo.costs["rounds"].tolist() == [4, 4]
    assert iif.costs["rounds"].tolist() == [2, 2]
    assert iif.costs["sequences"].tolist() == [256, 256]
    assert iif.costs["seconds"].tolist() == [4, 4]
    half = ratio(iif, ppo, "rounds")
    assert half is not None
    assert (half.value, half.low, half.high) == pytest.approx((0.5, 0.5, 0.5))
    even = ratio(iif, ppo, "sequences")
    assert even is not None
    assert even.value == pytest.approx(1)


def test_what_is_never_reached_counts_one_round_more_and_says_so(results: CourtesyResults) -> None:
    random = reached(results, "flipped", "random")
    assert (random.never, random.costs["rounds"].tolist(), random.costs["seconds"].tolist()) == (1, [4, 5], [8, 10])
    (line,) = [line for line in sentences(results) if line.startswith("Flipped rewards, random")]
    assert "1 of 2 seeds never" in line
    assert "fluency at the end 0.50, at its lowest after any round 0.50: the text has suffered" in line


def test_the_findings_name_ratio_interval_and_both_aucs(results: CourtesyResults) -> None:
    said = sentences(results)
    assert any("Flipped rewards, iif" in line and "0.50 (0.50 to 0.50) of PPO's rounds" in line for line in said)
    found = detection(results)
    assert found is not None
    assert found["influence"].value == pytest.approx(0.85)
    assert (found["influence"].low, found["influence"].high) == (pytest.approx(0.2147, abs=1e-3), 1)
    assert found["reward"].value == 0.5
    assert any("AUC 0.85" in line and "by the reward" in line for line in said)
    assert not any(line.startswith("Clean rewards, random") for line in said)


def test_the_interval_of_three_seeds_is_the_t_interval() -> None:
    found = mean_over_seeds(np.array([1.0, 2.0, 3.0]))
    assert (found.value, found.low, found.high) == pytest.approx((2, 2 - 2.4841, 2 + 2.4841), abs=1e-3)
    assert math.isnan(mean_over_seeds(np.array([1.0])).low)


def test_auc_is_the_chance_of_the_right_order() -> None:
    assert auc([0.9, 0.8, 0.3, 0.1], np.array([True, False, True, False])) == 0.75
    assert auc([1, 1], np.array([True, False])) == 0.5
    assert math.isnan(auc([1, 2], np.array([False, False])))


def test_the_report_says_what_iif_saw_and_that_it_is_synthetic(results: CourtesyResults, tmp_path: Path) -> None:
    page = render(results)
    assert "IIF saw clean validation rewards" in page
    assert "synthetic" in page
    assert "This campaign is not finished" in page
    assert page.count("<svg") == 3
    (tmp_path / "courtesy").mkdir()
    assert write_courtesy_report(tmp_path, results).read_text() == page


def test_nothing_finished_can_be_reported() -> None:
    page = render(begin(Plan(rounds=2)))
    assert "No run of IIF" in page


def test_results_are_read_as_they_were_written_and_damage_is_named(results: CourtesyResults, tmp_path: Path) -> None:
    results.write_definition(tmp_path / "courtesy")
    for key, curves in CURVES.items():
        for seed, curve in enumerate(curves):
            CourtesyResults.write_task(tmp_path / "courtesy", rows(*key, seed, curve))
    found = read_results(tmp_path)
    assert found is not None
    assert found.table.equals(results.table)
    assert not found.complete
    assert find_results(tmp_path) == [tmp_path]
    assert json.loads((tmp_path / "courtesy" / "plan.json").read_text())["language"]["kl_coef"] > 0
    CourtesyResults.write_task(tmp_path / "courtesy", rows("clean", "ppo", 0, FAST).slice(0, 3))
    with pytest.raises(DamagedRunError, match="does not have the rounds 0 to 4"):
        read_results(tmp_path)
    (tmp_path / "courtesy" / "plan.json").write_text("{}")
    with pytest.raises(DamagedRunError, match="does not define a campaign"):
        read_results(tmp_path)
    assert read_results(tmp_path / "elsewhere") is None


def test_a_plan_refuses_what_is_not_a_setting_of_all_arms() -> None:
    assert Plan().changed(["iif", "ppo"]).arms == ("ppo", "iif")
    config, language = Plan().changed(settings={"kl_coef": 0.5, "learning_rate": 1e-3}).configs("flipped", "iif", 3)
    assert (language.kl_coef, language.flip, config.learning_rate, config.seed) == (0.5, CONDITIONS["flipped"], 1e-3, 3)
    assert Plan().configs("clean", "ppo", 0)[1].validation_prompts == 0
    for changes, words in (
        ({"arms": ["advantage"]}, "no arm 'advantage'; it has ppo, iif"),
        ({"rounds": 0}, "rounds is 0"),
        ({"settings": {"flip": 0.1}}, "flip is not a setting of all arms"),
        ({"settings": {"seed": 1}}, "choose it with --seeds"),
        ({"settings": {"speed": 1}}, "unknown setting 'speed'"),
    ):
        with pytest.raises(BadInputError, match=words):
            Plan().changed(**changes)

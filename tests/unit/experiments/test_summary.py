"""The summary of a campaign: the metrics of its seeds, by hand."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from made_up_results import BETTER, LAKE, PPO, WORSE, campaign, results

from engine.experiments.metrics import area, final_return, log_ratios, sample_efficiency
from engine.experiments.report import render
from engine.experiments.summary import SCHEMA as SUMMARY_SCHEMA
from engine.experiments.summary import per_seed, summary


def row(table: pa.Table, experiment: str, arm: str) -> dict[str, Any]:
    (found,) = [r for r in table.to_pylist() if (r["experiment"], r["arm"]) == (experiment, arm)]
    return found


def test_the_summary_is_the_metrics_of_the_seeds() -> None:
    table = summary(campaign(LAKE))
    assert table.schema.equals(SUMMARY_SCHEMA)
    assert table["experiment"].unique().to_pylist() == ["frozenlake"], "nothing is averaged over one environment"
    found = row(table, "frozenlake", "iif 0.5")
    savings = [sample_efficiency(a, b) for a, b in zip(PPO, BETTER, strict=True)]
    assert found["se_ave"] == pytest.approx(np.mean([s.ave for s in savings]))
    assert found["se_ave_error"] == pytest.approx(np.std([s.ave for s in savings], ddof=1) / np.sqrt(3))
    assert found["se_peak_median"] == pytest.approx(np.median([s.peak for s in savings]))
    assert found["rt_peak"] == pytest.approx(found["se_peak"]), "every round takes as long"
    assert found["final"] == pytest.approx(np.mean([final_return(c) for c in BETTER])), (
        "of three seeds, none is trimmed"
    )
    assert found["area_gain"] == pytest.approx(np.mean([area(c) for c in BETTER]) - np.mean([area(c) for c in PPO]))
    assert (found["final_better"], found["never"], found["below"], found["dropped"]) == (1, 0, 0, 0.25)
    assert found["final_gain_low"] > 0

    standard = row(table, "frozenlake", "ppo")
    assert (standard["final_gain"], standard["below"], standard["seeds"]) == (None, 0, 3)
    pairs = list(permutations(PPO, 2))
    assert standard["se_ave"] == pytest.approx(np.mean([sample_efficiency(a, b).ave for a, b in pairs]))
    assert standard["se_peak"] == pytest.approx(np.mean([sample_efficiency(a, b).peak for a, b in pairs]))
    assert standard["se_ave"] < standard["se_sym"] == 0
    assert standard["se_sym_low"] < 0 < standard["se_sym_high"]
    assert found["se_sym"] == pytest.approx(1 - np.exp(log_ratios(PPO, BETTER).mean()))
    assert 0 < found["se_sym_low"] < found["se_sym"] < found["se_sym_high"] < 1
    worse = row(table, "frozenlake", "random")
    assert worse["never"] == pytest.approx((3 + 4 + 3) / (4 + 6 + 4))
    assert (worse["below"], worse["final_better"]) == (3, 0)
    assert worse["area_gain_high"] < 0
    assert row(table, "frozenlake", "iif 0.25")["se_ave"] == 0


def test_metrics_of_every_seed() -> None:
    table = per_seed(LAKE).to_pylist()
    assert len(table) == 15
    assert (table[0]["arm"], table[0]["seed"], table[0]["se_ave"], table[0]["final"]) == (
        "ppo",
        0,
        None,
        final_return(PPO[0]),
    )
    assert table[3]["levels"] == 4


def test_numbers_do_not_depend_on_what_else_there_is() -> None:
    more = results("acrobot", {"ppo": PPO, "iif 0.5": WORSE})
    alone, together = summary(campaign(LAKE)), summary(campaign(more, LAKE))
    for arm in LAKE.finished:
        assert row(alone, "frozenlake", arm) == row(together, "frozenlake", arm)
    assert summary(campaign(LAKE)).equals(alone)


def test_over_all_environments_scores_are_normalised_by_ppos_range() -> None:
    """The same curves on another scale: the normalised scores are equal, so the mean over both is that of one."""
    scaled = {"ppo": PPO, "iif 0.5": BETTER}
    acrobot = results("acrobot", {arm: [[1000 * x - 500 for x in c] for c in curves] for arm, curves in scaled.items()})
    both = summary(campaign(acrobot, LAKE))
    found = row(both, "all", "iif 0.5")
    assert (found["environments"], found["seeds"]) == (2, 6)
    assert found["final_better"] == 1
    assert found["final"] == pytest.approx(0.9 / 0.6, abs=0.02)  # PPO's best evaluation is 0.6
    for name in ("se_ave", "se_sym"):
        assert found[name] == pytest.approx(row(both, "frozenlake", "iif 0.5")[name])
    assert row(both, "all", "ppo")["se_sym"] == 0
    assert row(both, "all", "random")["environments"] == 1


def test_an_unfinished_campaign_has_what_is_there() -> None:
    part = results("frozenlake", {"ppo": PPO[:2], "iif 0.5": BETTER[:1], "random": []}, planned_seeds=5)
    table = summary(campaign(part))
    assert table["arm"].to_pylist() == ["ppo", "iif 0.5"]
    assert row(table, "frozenlake", "iif 0.5")["se_ave_error"] is None
    page = render(campaign(part), table)
    assert "3 of 15 tasks are finished" in page
    assert "Final return: one seed: iif 0.5." in page, "one seed has none"
    assert "Unfinished: frozenlake" in page
    without_ppo = results("frozenlake", {"iif 0.5": BETTER})
    found = row(summary(campaign(without_ppo)), "frozenlake", "iif 0.5")
    assert (found["se_sym"], found["se_ave"], found["final_gain"], found["below"]) == (None, None, None, None)
    assert "FrozenLake-v1" in render(campaign(without_ppo), summary(campaign(without_ppo)))

"""What counts as a result of an intervention: everything that pages and reports read from it fits together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.charts.across import changes_in_return
from engine.errors import DamagedRunError
from engine.intervention.comparison import changes, target_verdict
from engine.intervention.outcome import check_outcome, is_round_outcome, outcome_of
from engine.intervention.plan import Intervention
from engine.intervention.recollect import summarize
from engine.intervention.replayed_arms import carried_out
from engine.intervention.retrain import compared

Change = Callable[[dict[str, Any]], object]

PLAN = Intervention(round=3, removed=(1, 4), orders=2, episodes=4, continue_rounds=2, seeds=2)
RETURNS = {name: np.arange(4.0).reshape(2, 2) + i for i, name in enumerate(("original", "counterfactual", "control"))}


def a_result() -> dict[str, Any]:
    """As `retrain` makes it, of a plan that trains on with two seeds."""
    values = compared(PLAN, 10, {name: (returns, [0.5, 0.7]) for name, returns in RETURNS.items()})
    curves = {name: [{"round": 4 + i, "mean_return": None} for i in range(2)] for name in RETURNS}
    again = summarize({name: [[1.0, None], [2.0, 3.0]] for name in RETURNS}, 3, RETURNS)
    about = {"run": "branch", "parent": "run", "env_id": "CartPole-v1", "same_machine": True}
    return {**about, **values, "curves": curves, "recollected": again}


def a_round() -> dict[str, Any]:
    values = compared(PLAN, 10, {name: (returns, [0.5, 0.7]) for name, returns in RETURNS.items()})
    return {**values, "removed_count": len(values.pop("removed")), "same_machine": True}


def on_records() -> dict[str, Any]:
    """Of an intervention in which nothing was played."""
    values = {"original": [0.5, 0.7], "counterfactual": [0.4, 0.7], "control": [0.5, 0.6]}
    rounds = [{"round": k, "records": 10, "return_target": changes(**values), "kl": changes(**values)} for k in (3, 4)]
    about = {"run": "branch", "parent": "run", "env_id": "CartPole-v1", "same_machine": True}
    judged = changes(**values) | {"rounds": [4]}
    said = {"unplayed": "it is elsewhere", "verdict": target_verdict(**values), "left_out": []}
    return {**about, **carried_out(PLAN, 10, values), **said, "judged": judged, "by_round": rounds}


COMPARISON: list[Change] = [
    lambda values: values.update(order_means={}),
    lambda values: values["order_means"].pop("control"),
    lambda values: values["order_means"]["control"].append(1.0),
    lambda values: values["order_means"]["original"].clear(),
    lambda values: values.update(orders=1, order_means={name: [1.0] for name in RETURNS}),
    lambda values: values["order_means"].update(control=[1e308, -1e308]),
    lambda values: values["difference"].update(high=None),
    lambda values: values["original"].update(low=None),
    lambda values: values["control"].update(mean=None),
    lambda values: values["counterfactual"].update(high="high"),
    lambda values: values.update(control=[]),
    lambda values: values.update(records=1),
]
"""What a whole result and a round of a series have in common."""
WHOLE: list[Change] = [
    lambda values: values["target"]["counterfactual"].update(mean=None),
    lambda values: values["target"]["control"].update(low=None),
    lambda values: values["target"]["order_values"].pop("original"),
    lambda values: values["target"]["order_values"]["original"].pop(),
    lambda values: values.update(removed=[1, 10]),
    lambda values: values["curves"].pop("control"),
    lambda values: values.pop("curves"),
    lambda values: values.update(curves=None, recollected=None),
    lambda values: values.update(recollected=None),
    lambda values: values["target"].update(order_values=None),
    lambda values: values["recollected"].update(curves={}),
    lambda values: values["recollected"]["curves"]["control"].pop(),
    lambda values: values["recollected"]["curves"]["control"][0].update(high=None),
    lambda values: values["recollected"]["seed_means"]["control"].pop(),
    lambda values: values["recollected"]["training"]["control"].update(low=None),
]


ON_RECORDS: list[Change] = [
    lambda values: values.update(unplayed=None),
    lambda values: values.update(verdict="helps"),
    lambda values: values.update(by_round=[]),
    lambda values: values["by_round"].pop(0),
    lambda values: values["by_round"][1].update(kl=None),
    lambda values: values["by_round"][1]["kl"]["order_values"]["control"].pop(),
    lambda values: values["by_round"][1]["kl"]["control"].update(low=None),
    lambda values: values["by_round"][1].pop("return_target"),
    lambda values: values["judged"]["order_values"]["original"].append(1.0),
    lambda values: values["judged"].pop("rounds"),
    lambda values: values.update(removed=[1, 10]),
]


def test_what_was_written_is_a_result() -> None:
    check_outcome(a_result(), "result.json")
    assert outcome_of(on_records()).by_round[1].kl.control.mean == pytest.approx(-0.05)
    assert is_round_outcome(a_round())
    assert is_round_outcome({"round": 3, "skipped": "no record has negative influence"})


def test_what_a_later_version_may_say_more_is_passed_over() -> None:
    later = a_result()
    later["order_means"]["placebo"] = None
    assert check_outcome(later, "result.json").order_means.original == later["order_means"]["original"]


@pytest.mark.parametrize(
    ("made", "change"),
    [*((a_result, each) for each in (*COMPARISON, *WHOLE)), *((on_records, each) for each in ON_RECORDS)],
)
def test_parts_that_do_not_fit_together_are_no_result(made: Callable[[], dict[str, Any]], change: Change) -> None:
    values = copy.deepcopy(made())
    change(values)
    with pytest.raises(
        DamagedRunError, match=r"^branch/result\.json is damaged: it is no result of an intervention \("
    ):
        check_outcome(values, "branch/result.json")


@pytest.mark.parametrize("change", COMPARISON)
def test_parts_that_do_not_fit_together_are_no_round_of_a_series(change: Change) -> None:
    values = a_round()
    change(values)
    assert not is_round_outcome(values)


def test_a_round_without_intervals_has_its_marks() -> None:
    values = a_round()
    for name in ("difference", "difference_from_control"):
        values[name].update(low=None, high=None)
    assert is_round_outcome(values)
    figure = changes_in_return([values], dark=False)
    assert any("change +1<br>" in text for trace in figure.data for text in trace.text or ())

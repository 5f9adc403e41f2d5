"""The removal at every round, each by itself, of a language model's run, judged by the run's own reward model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command
from languages import record_language

import engine
from engine.core.filtering import bottom_fraction
from engine.executors import INLINE
from engine.intervention.across import carry_out_series, series_of
from engine.store.read import Run

pytest.importorskip("transformers")
pytestmark = pytest.mark.long
ORDERS, EPISODES = 2, 4
GRPO: dict[str, Any] = {"algorithm": "grpo", "group_size": 4}


@pytest.fixture(scope="module", params=["ppo", "grpo"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record_language(tmp_path_factory.mktemp("series"), **(GRPO if request.param == "grpo" else {}))


def test_every_round_is_what_retraining_it_alone_says(run: Run, command: Command, tmp_path: Path) -> None:
    options = ("--drop-bottom", 0.5, "--orders", ORDERS, "--evaluate", EPISODES, "--executor", "inline")
    outcome = command("interventions", run.path, *options, "--json")
    assert outcome.code == 0, outcome.err
    found = outcome.json["rounds"]
    assert [each["round"] for each in found] == run.stored_rounds == [0, 1]
    for each in found:
        drop = bottom_fraction(engine.influence(run.snapshot(each["round"])).influence, 0.5)
        alone = engine.retrain(
            run, each["round"], drop, tmp_path / str(each["round"]), orders=ORDERS, episodes=EPISODES
        ).to_json()
        assert each["removed_count"] == len(drop) > 0
        assert each["target"]["name"] == "sequence"
        for name in ("order_means", "difference", "control", "verdict", "target"):
            assert each[name] == alone[name], name
    printed = command("interventions", run.path, *options)
    assert printed.code == 0
    assert "Of 2 rounds the removal helps in" in printed.out


def test_the_same_from_python_and_again_from_what_is_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rounds").mkdir()
    series = series_of(run, drop_bottom=0.5, orders=ORDERS, episodes=EPISODES)
    told: list[str] = []

    def again() -> dict[str, Any]:
        told.clear()
        return carry_out_series(
            run, series, tmp_path, lambda doing, *_: told.append(doing), cancel=tmp_path / "cancel", pool=INLINE
        )

    first = again()
    assert told == ["beginning", "round 0 is finished", "round 1 is finished"]
    assert again()["rounds"] == first["rounds"]
    assert told == ["2 of 2 rounds are finished"]
    assert all(np.isfinite(each["difference"]["mean"]) for each in first["rounds"])

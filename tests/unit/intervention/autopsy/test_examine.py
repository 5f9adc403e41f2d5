"""What an autopsy says, by what it rests on."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import planted_run

import engine
from engine.analysis.checks.checked import Check
from engine.analysis.checks.round_checks import check_round
from engine.errors import BadInputError, CancelledError
from engine.intervals import Interval
from engine.intervention.autopsy import advantage_arms
from engine.intervention.autopsy.arm import DATA_ANEW
from engine.intervention.autopsy.arms import possible
from engine.intervention.autopsy.autopsy_result import AS_FAULT, WORDS, Autopsy, Change
from engine.intervention.autopsy.examine import autopsy, kept_autopsy, verdict_of
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, Returns
from engine.intervention.autopsy.played_arms import FIRST, PlayedArm
from engine.store.read import Run

FINE = [Check("numbers", True, "fine")]
WRONG = [
    Check("advantages", False, "gamma is another one", "advantages"),
    Check("numbers", False, "not finite", "numbers"),
]
SAMPLES = Path(__file__).resolve().parents[4] / "sample_runs"


def change(value: float, low: float, high: float) -> Change:
    return Change(Interval(value, low, high), 100.0, 100 + value, 64, (0, 63))


FELL = change(-40, -60, -20)


def arm(cause: str, value: float, low: float) -> PlayedArm:
    difference = Interval(value, low, 2 * value - low)
    return PlayedArm(f"by {cause}", cause, Interval(60 + value), difference, 4, lead=True, needed=20.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("checks", "real", "arms", "verdict"),
    [
        (FINE, change(-5, -20, 10), [], "not real"),
        (FINE, change(9, 2, 16), [], "not real"),
        (FINE, FELL, [arm("order", 30, 10), arm("data", 35, 20), arm("step", 40, 30)], "order"),
        (FINE, FELL, [arm("order", 5, -30), arm("data", 35, 20), arm("step", 40, 30)], "data"),
        (FINE, FELL, [arm("order", 5, -30), arm("data", 2, -20), arm("step", 40, 30)], "step"),
        (FINE, FELL, [arm("order", 5, 1), arm("data", 10, 2), arm("step", 19, 3)], "unexplained"),
        (FINE, None, [], "unexplained"),
        (WRONG, change(30, 20, 40), [], "numbers"),
        (WRONG[:1], FELL, [arm("order", 30, 10)], "advantages"),
    ],
)
def test_the_verdict(checks: list[Check], real: Change | None, arms: list[PlayedArm], verdict: str) -> None:
    assert verdict_of(checks, real, arms) == verdict
    assert verdict in WORDS


@pytest.mark.parametrize(
    ("verdict", "left_out", "said"),
    [
        ("step", {DATA_ANEW: "another trainer made this run"}, True),
        ("unexplained", {DATA_ANEW: "another trainer made this run"}, True),
        ("order", {DATA_ANEW: "another trainer made this run"}, False),
        ("not real", {DATA_ANEW: "another trainer made this run"}, False),
        ("step", {"fewer epochs": "there is one"}, False),
    ],
)
def test_that_luck_of_the_data_was_not_asked_is_said_of_what_comes_after_it(
    verdict: Any, left_out: dict[str, str], said: bool
) -> None:
    arms = (arm("order", 30, 10), arm("step", 40, 30))
    found = Autopsy("run", 3, tuple(FINE), FELL, "", arms, left_out, verdict, "")
    assert found.sentence.endswith(" Luck of the data could not be asked here.") == said
    assert replace(found, checks=tuple(WRONG)).sentence.count("Luck of the data") == 0


def test_a_fall_that_was_luck_of_its_episodes() -> None:
    """Training episodes went from 226 to 99 here; on common seeds nothing was lost."""
    found = autopsy(SAMPLES / "LunarLander-v3", 49, episodes=16)
    assert found.verdict == "not real"
    assert found.real is not None
    assert found.real.training[0] - found.real.training[1] > 100
    assert found.real.training_noise > 30
    assert found.real.change.low < 0 < found.real.change.high
    assert found.arms == ()
    assert json.loads(json.dumps(found.to_json()))["real"]["change"] == found.real.change.value


def test_a_step_that_was_too_large_is_named_whether_the_policy_fell_or_not(tmp_path: Path) -> None:
    """Thirty times too large, and the record says so of itself."""
    config = engine.preset("CartPole-v1", "default", rounds=7, n_envs=2, n_steps=512, n_epochs=4, batch_size=64, seed=3)
    run = planted_run(tmp_path / "run", "rate", 100.0, config, k=5)
    seen: list[str] = []
    found = autopsy(run, 5, episodes=16, progress=lambda doing, done, total: seen.append(doing))
    assert found.verdict == "step"
    assert found.meaning == AS_FAULT["step"]
    assert found.real is not None
    assert seen[0] == "checking the record"
    assert not math.isnan(found.real.change.value)


def test_a_fall_is_played_in_all_arms_once(cartpole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a fall from far above what the policies of this run reach to far below: all arms take a little of it back."""
    monkeypatch.setattr(advantage_arms, "MOST_PLAYED", 3)
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    run = engine.open_run(tmp_path / "run")
    returns = Returns(run, 1, 4)
    returns.keep(BEFORE, np.array([500.0, 500, 499, 500]))
    returns.keep(AFTER, np.array([1.0, 1, 1, 2]))
    played: list[str] = []

    def stop(doing: str, done: int, total: int) -> None:
        if doing not in played:
            played.append(doing)
        if len(played) > 20:
            raise CancelledError

    with pytest.raises(CancelledError):
        autopsy(run, 1, episodes=4, executor="inline", progress=stop)
    assert len(Returns(run, 1, 4)) == 2 + len(played) - 2, "all but the check and the one that was cancelled"
    snapshot = run.snapshot(1)
    first = kept_autopsy(run, snapshot, check_round(run, 1), episodes=4)
    assert first.waits
    assert first.sentence.startswith("A real fall; what would have prevented it is not known yet.")
    more: list[str] = []
    found = autopsy(run, 1, episodes=4, executor="inline", progress=lambda doing, done, total: more.append(doing))
    assert set(more) & set(played) == {"checking the record", played[-1]}
    assert found.verdict == "unexplained"
    assert not found.waits
    assert {arm.name for arm in found.arms} | set(found.left_out) == {arm.name for arm in possible(snapshot)}
    assert all(arm.replicates >= FIRST for arm in found.arms)
    rows = json.loads(json.dumps(found.to_json(), allow_nan=False))["arms"]
    assert [row["name"] for row in rows[:2]] == [BEFORE, "as recorded"]


def test_a_round_without_an_end_is_refused(cartpole: Run) -> None:
    with pytest.raises(BadInputError, match="round 9"):
        autopsy(cartpole, 9)

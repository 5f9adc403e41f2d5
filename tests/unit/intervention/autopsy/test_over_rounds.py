"""An autopsy of many rounds: its verdict by what it rests on, and runs whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import engine
from engine.errors import BadInputError
from engine.intervals import Interval
from engine.intervention.autopsy import over_rounds
from engine.intervention.autopsy.over_rounds import autopsy_rounds, long_verdict, possible_arms
from engine.intervention.autopsy.over_rounds_result import LONG_WORDS, LongArm, LongChange
from engine.store.read import Run

SAMPLES = Path(__file__).resolve().parents[4] / "sample_runs"
FEW = {"seeds": 2, "points": 2, "episodes": 16, "executor": "inline"}


def change(value: float, reach: float) -> LongChange:
    return LongChange(Interval(value, value - reach, value + reach), 100.0, 100 + value, 64, (0, 63))


def arm(cause: str, value: float, reach: float, over: float | None = None) -> LongArm:
    """Its end lies that far above the recorded one, and above the arm of other luck."""
    over_luck = None if over is None else Interval(over, over - reach, over + reach)
    return LongArm(cause, cause, {9: Interval()}, Interval(value, value - reach, value + reach), over_luck, 3)  # type: ignore[arg-type]


FELL, STILL = change(-80, 20), change(-3, 20)
NO_LUCK = arm("luck", 5, 30)


@pytest.mark.parametrize(
    ("real", "arms", "verdict"),
    [
        (change(30, 20), [], "rose"),
        (FELL, [arm("luck", 60, 20), arm("step", 90, 20, 30)], "luck"),
        (FELL, [arm("luck", 30, 20), arm("step", 90, 20, 60)], "step"),
        (FELL, [NO_LUCK, arm("step", 90, 20, 10), arm("records", 50, 20, 45)], "records"),
        (FELL, [NO_LUCK, arm("step", 20, 10, 15)], "unexplained"),
        (STILL, [arm("luck", 30, 20), arm("step", 90, 20, 60)], "luck"),
        (STILL, [NO_LUCK, arm("step", 30, 20, 25)], "step"),
        (STILL, [NO_LUCK, arm("step", 30, 20, 10)], "settled"),
    ],
)
def test_the_verdict(real: LongChange, arms: list[LongArm], verdict: str) -> None:
    assert long_verdict(real, arms) == verdict
    assert (real.moved, verdict) in LONG_WORDS


def test_a_run_that_got_better_is_not_trained_on() -> None:
    found = autopsy_rounds(SAMPLES / "FrozenLake-v1", 2, 29, **FEW, cache=False)  # type: ignore[arg-type]
    assert (found.verdict, found.arms, found.next) == (
        "rose",
        (),
        f"python -m engine incidents {SAMPLES / 'FrozenLake-v1'}",
    )
    assert found.real.after - found.real.before == pytest.approx(found.real.change.value)
    assert found.recorded == {2: found.real.before, 29: found.real.after}


def test_a_decay_that_the_settings_do_not_lead_to(pair: tuple[Run, Run]) -> None:
    """The settings don't say that steps of round 6 were too large: trained on with them the policy does not decay."""
    run, told = pair[1], list[str]()
    found = autopsy_rounds(run, 6, 8, **FEW, progress=lambda doing, done, total: told.append(doing))  # type: ignore[arg-type]
    assert (found.real.moved, found.verdict) == ("decayed", "luck")
    assert [each.cause for each in found.arms] == ["luck", "step", "step", "records", "records"]
    assert found.next.startswith("python -m engine train CartPole-v1 ")
    assert f"--seed {run.config.seed + 1} " in found.next
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["arms"][1]["over_luck"]["low"] is not None
    assert any("other luck, 2" in each for each in told)
    again: list[str] = []
    kept = autopsy_rounds(run, 6, 8, **FEW, progress=lambda doing, done, total: again.append(doing))  # type: ignore[arg-type]
    assert (kept.to_json(), set(again)) == (found.to_json(), {"training on"})


def test_arms_that_can_not_be_had(cartpole: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = cartpole.snapshot(1)
    assert [why for _, why in possible_arms(snapshot)] == [""] * 5
    filtered = snapshot.changed(config=engine.preset("CartPole-v1", "default", filter="random"))
    assert {arm.cause: why for arm, why in possible_arms(filtered) if why} == {"records": over_rounds.WHY_FILTERED}


@pytest.mark.parametrize(
    ("first", "last", "line"),
    [(2, 1, "run backwards"), (1, 9, "the policy of round 9 was not recorded"), (7, 9, "round"), (3, 3, "backwards")],
)
def test_rounds_that_are_not_there(cartpole: Run, first: int, last: int, line: str) -> None:
    with pytest.raises(BadInputError, match=line):
        autopsy_rounds(cartpole, first, last)


def test_a_run_of_another_trainer_is_refused() -> None:
    run = engine.open_run(SAMPLES / "CliffWalking-v1")
    with pytest.raises(BadInputError, match="another trainer made this run"):
        autopsy_rounds(run, run.stored_rounds[0], run.checkpoint_rounds[-1])


@pytest.mark.parametrize(("few", "line"), [({"seeds": 1}, "seeds is 1"), ({"points": 1}, "points is 1")])
def test_numbers_that_say_nothing(cartpole: Run, few: dict[str, int], line: str) -> None:
    with pytest.raises(BadInputError, match=line):
        autopsy_rounds(cartpole, 0, 2, **few)  # type: ignore[arg-type]

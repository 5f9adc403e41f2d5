"""Where two runs parted, in runs whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from worlds import record

from engine.errors import BadInputError
from engine.intervals import Interval
from engine.intervention.autopsy.two_runs import autopsy_against
from engine.intervention.autopsy.two_runs_result import Recovery
from engine.store.read import Run

PLANTED = 6
"""The round of the fixture `pair` whose steps were too large."""
FEW = {"seeds": 2, "rounds": 1, "episodes": 32, "executor": "inline"}


def test_the_round_after_the_fault_is_where_they_part(pair: tuple[Run, Run]) -> None:
    sound, planted = pair
    found = autopsy_against(planted, sound, **FEW)  # type: ignore[arg-type]
    assert found.parted is not None
    assert (found.lower, found.parted.round, found.parted.before) == ("planted", PLANTED + 1, PLANTED)
    assert found.parted.until is None
    assert found.parted.difference is not None
    assert found.parted.difference.high < 0
    assert found.differs == {}
    assert "approx_kl" in {each.name for each in found.looked_at if each.beyond_noise}, "of the update before"
    assert found.next == f"python -m engine autopsy {planted.path} --round {PLANTED}"
    assert found.recovery is not None
    assert found.recovery.luck == ("the other run's", "drawn anew")
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["parted"]["round"] == PLANTED + 1
    turned = autopsy_against(sound, planted, **FEW)  # type: ignore[arg-type]
    assert turned.lower == "planted"
    assert turned.parted == found.parted
    assert turned.recovery == found.recovery


@pytest.mark.parametrize(
    ("difference", "reach", "verdict"),
    [(80, 20, "luck"), (30, 15, "policy"), (30, 40, "parted"), (80, 90, "parted"), (-20, 10, "policy")],
)
def test_whether_it_recovers(difference: float, reach: float, verdict: str) -> None:
    """It lacks 100 to the other run: half of that, for certain."""
    by = Interval(difference, difference - reach, difference + reach)
    found = Recovery(3, 8, ("drawn anew",) * 2, (0.0, 0.0), Interval(), by, recorded=50.0, higher=150.0)
    assert found.verdict == verdict


def test_the_same_run_twice_never_parted(pair: tuple[Run, Run]) -> None:
    found = autopsy_against(pair[0], pair[0], progress=lambda doing, done, total: pytest.fail("nothing is played"))
    assert (found.verdict, found.parted, found.stretches, found.left_out) == ("never parted", None, (), {})


def test_too_few_episodes_are_said(tmp_path: Path) -> None:
    run = record(tmp_path / "run", "CartPole-v1", rounds=2, n_steps=32, batch_size=16, n_epochs=1)
    assert "Too few episodes" in autopsy_against(run, run).sentence


def test_runs_of_two_environments_are_refused(cartpole: Run, lander: Run) -> None:
    with pytest.raises(BadInputError, match="name two runs of one environment"):
        autopsy_against(cartpole, lander)

"""`python -m engine diagnose`: what it prints, its JSON, and bad input in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commands import Command, Listing, refused

DIAGNOSE = ("--round", 1, "--rollouts", 2, "--executor", "inline")


def test_diagnose(command: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("7 3")
    found = command("diagnose", run, *DIAGNOSE, "--rollouts-of", tmp_path / "ids.txt", "--json").json
    assert (found["run"], found["round"], found["target"]) == (str(run), 1, "return")
    assert (found["estimator"], found["fraction"], len(found["bottom"])) == ("first_order", 0.1, 14)
    assert found["monte_carlo"]["record"] == [3, 7]
    assert found["monte_carlo"]["rollouts"] == [2, 2]
    assert found["not_restored"] == []
    assert set(found["correlations"]["advantage"]) == {"value", "low", "high"}
    assert set(found["traits"][0]) == {"name", "sentence", "certain", "delta", "low", "high", "bottom", "rest"}
    action = command("diagnose", run, *DIAGNOSE, "--rollouts", 0, "--target", "action", "--record", 5, "--json").json
    assert action["target"] == "action"
    assert action["monte_carlo"] is None
    assert action["bottom"] != found["bottom"]


def test_diagnose_for_people(command: Command, run: Path) -> None:
    outcome = command("diagnose", run, *DIAGNOSE)
    assert outcome.code == 0, outcome
    for words in (
        "14 bottom records",
        "what they have in common",
        "effect size",
        "A-bar x advantage",
        "features at once",
    ):
        assert words in outcome.out
    assert "playing rollouts (0/" in outcome.err


def test_a_stopped_diagnosis_keeps_its_rollouts(command: Command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.analysis import rollout_advantages

    real = rollout_advantages.run_rollouts

    def interrupted(policy: Any, task: Any) -> Any:
        if task.number:
            raise KeyboardInterrupt
        return real(policy, task)

    monkeypatch.setattr(rollout_advantages, "run_rollouts", interrupted)
    outcome = command("diagnose", run, *DIAGNOSE)
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1].endswith("continue with the same command")
    played: list[Any] = []
    monkeypatch.setattr(
        rollout_advantages, "run_rollouts", lambda policy, task: played.extend(task.starts) or real(policy, task)
    )
    assert command("diagnose", run, *DIAGNOSE).code == 0
    assert 0 < len(played) < 140


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fraction", 0), "fraction is 0; the bottom is a part above 0 and at most 0.5"),
        (("--rollouts", 1), "rollouts is 1; it must be at least 2"),
        (("--target", "regret"), "unknown target 'regret'"),
        (("--estimator", "guess"), "unknown estimator 'guess'"),
        (("--target", "action"), "needs either a record"),
        (("--record", 3), "belong to the action target (--target action)"),
        (("--rollouts-of", "missing.txt"), "missing.txt can't be read"),
        (("--round", 7), "round 7 is not in this run"),
    ],
)
def test_bad_diagnoses(
    command: Command, run: Path, arguments: tuple[object, ...], message: str, listing: Listing
) -> None:
    before = listing(run)
    refused(command("diagnose", run, *DIAGNOSE, *arguments), message)
    assert listing(run) == before


def test_a_round_whose_records_were_left_out_can_not_be_diagnosed(command: Command, run: Path, tmp_path: Path) -> None:
    assert command("export", run, "--rounds", 0, "--out", tmp_path / "thin").code == 0
    refused(command("diagnose", tmp_path / "thin", *DIAGNOSE), "rounds with records are 0")

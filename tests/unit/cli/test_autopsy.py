"""`python -m engine autopsy`: what it prints, its JSON, and bad input in one line."""

from __future__ import annotations

from pathlib import Path

from commands import Command, refused

from engine.store.read import Run


def test_for_people(command: Command, cartpole: Run) -> None:
    outcome = command("autopsy", cartpole.path, "--round", 1, "--episodes", 8)
    assert outcome.code == 0
    first, second, *_ = outcome.out.splitlines()
    assert first.startswith("update of round 1: ")
    assert "on 8 common seeds" in second
    text = " ".join(outcome.out.split())
    assert "the replay of round 1 lands on theta(2), bit for bit" in text
    assert "playing the policy after the update" in outcome.err


def test_as_json(command: Command, cartpole: Run) -> None:
    found = command("autopsy", cartpole.path, "--round", 1, "--episodes", 8, "--json").json
    assert found["round"] == 1
    assert {each["name"]: each["ok"] for each in found["checks"]}["policy"] is True
    assert found["real"]["low"] <= found["real"]["change"] <= found["real"]["high"]
    assert found["real"]["seeds"] == [10_000_000, 10_000_007]
    assert set(found) >= {"run", "round", "checks", "real", "verdict", "arms", "next"}


def test_the_report_is_written_where_it_can_be(command: Command, cartpole: Run, tmp_path: Path) -> None:
    asked = ("autopsy", cartpole.path, "--round", 1, "--episodes", 8, "--report")
    outcome = command(*asked, tmp_path / "report.html")
    assert outcome.out.splitlines()[1] in (tmp_path / "report.html").read_text()
    assert "playing the policy" not in outcome.err, "what was played before is kept"
    refused(command(*asked, tmp_path / "nowhere" / "report.html"), "name a file in a folder that is there")


def test_a_round_that_is_not_there(command: Command, cartpole: Run) -> None:
    refused(command("autopsy", cartpole.path, "--round", 9), "round 9")


def test_one_episode_has_no_interval(command: Command, cartpole: Run) -> None:
    refused(command("autopsy", cartpole.path, "--round", 1, "--episodes", 1, "--json"), "it must be at least 2")

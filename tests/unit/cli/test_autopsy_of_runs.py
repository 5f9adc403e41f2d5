"""`python -m engine autopsy` over many rounds and against another run: what it prints, its JSON, bad input in one line."""

from __future__ import annotations

from commands import Command, refused

from engine.store.read import Run

FEW = ("--episodes", 8, "--seeds", 2, "--executor", "inline")


def test_many_rounds(command: Command, cartpole: Run) -> None:
    outcome = command("autopsy", cartpole.path, "--rounds", "1:3", *FEW)
    assert outcome.code == 0
    first, second, *_ = outcome.out.splitlines()
    assert first.startswith("rounds 1 to 3: ")
    assert "on 8 common seeds" in second
    found = command("autopsy", cartpole.path, "--rounds", "1:3", *FEW, "--json").json
    assert set(found) >= {"run", "rounds", "real", "recorded", "arms", "left_out", "verdict", "sentence", "next"}
    assert found["sentence"] == second
    assert first == f"rounds 1 to 3: {found['verdict']}"


def test_against_another_run(command: Command, cartpole: Run) -> None:
    outcome = command("autopsy", cartpole.path, "--against", cartpole.path)
    assert outcome.code == 0
    assert outcome.out.splitlines()[0].endswith(": never parted")
    found = command("autopsy", cartpole.path, "--against", cartpole.path, "--json").json
    assert found["verdict"] == "never parted"
    assert set(found) >= {"run", "other", "lower", "differs", "parted", "looked_at", "recovery", "next"}


def test_what_can_not_be_asked(command: Command, cartpole: Run, lander: Run) -> None:
    refused(command("autopsy", cartpole.path), "one of --round K, --rounds A:B and --against OTHER")
    refused(command("autopsy", cartpole.path, "--round", 1, "--rounds", "1:2"), "one of --round K")
    refused(command("autopsy", cartpole.path, "--rounds", "1-2"), "--rounds is '1-2'")
    refused(command("autopsy", cartpole.path, "--rounds", "2:1"), "run backwards")
    refused(command("autopsy", cartpole.path, "--rounds", "1:2", "--report", "x.html"), "--report is for")
    refused(command("autopsy", cartpole.path, "--against", lander.path), "two runs of one environment")

"""`python -m engine reproduce`: what it prints, its JSON, what it refuses, and what it leaves where a task fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command


@pytest.mark.parametrize(
    "setting", ["seed=3", "filter=iif", "rounds=7", "drop=1", "filter_mode=mask", "filter_estimator=tracin"]
)
def test_reproduce_refuses_settings_that_arms_and_seeds_decide(command: Command, tmp_path: Path, setting: str) -> None:
    outcome = command("reproduce", "frozenlake", "--set", setting, "--out", tmp_path / "c")
    assert outcome.code == 2
    assert f"{setting.partition('=')[0]} is not a setting of all arms" in outcome.err
    assert not (tmp_path / "c").exists()


def test_a_failing_task_leaves_a_report_of_the_others(command: Command, tmp_path: Path) -> None:
    """At p = 1 IIF leaves less than two minibatches of so small a buffer, so its task fails; PPO's does not."""
    small = ("--rounds", 2, "--episodes", 2, "--set", "n_steps=64", "--set", "batch_size=32", "--executor", "inline")
    outcome = command(
        "reproduce", "frozenlake", "--arms", "ppo", "iif 1", "--seeds", 1, *small, "--out", tmp_path / "c"
    )
    assert outcome.code == 2
    assert "would keep" in outcome.err
    assert (tmp_path / "c" / "report.html").exists()


SMALL = ("--rounds", 2, "--episodes", 2, "--seeds", 1, "--executor", "inline", "--set", "n_steps=64")


def test_reproduce_prints_the_table_and_where_the_report_is(command: Command, tmp_path: Path) -> None:
    code, out, err = command(
        *("reproduce", "FrozenLake-v1", "--arms", "ppo", "IIF  1", *SMALL, "--first-seed", 3, "--set", "batch_size=8"),
        *("--out", tmp_path),
    )
    assert code == 0
    assert "iif 1" in out
    assert "ppo against ppo" in out
    assert out.splitlines()[-1] == f"report: {tmp_path / 'report.html'}"
    assert [line.split(" (")[0] for line in err.splitlines()] == [
        "0 of 2 tasks are finished",
        "frozenlake, ppo, seed 3: task 1 of 2",
        "frozenlake, iif 1, seed 3: task 2 of 2",
    ]
    about = json.loads((tmp_path / "frozenlake" / "campaign.json").read_text())
    assert "reproduce FrozenLake-v1 --arms ppo 'IIF  1' --rounds 2" in about["made"][0]["command"]


def test_reproduce_as_json(command: Command, tmp_path: Path) -> None:
    code, out, _ = command("reproduce", "frozenlake", "acrobot", "--arms", "ppo", *SMALL, "--json", "--out", tmp_path)
    found = json.loads(out)
    assert code == 0
    assert found["report"] == str(tmp_path / "report.html")
    assert [(r["experiment"], r["arm"]) for r in found["summary"]] == [
        ("acrobot", "ppo"),
        ("frozenlake", "ppo"),
        ("all", "ppo"),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lake",), ("'lake'", "frozenlake, acrobot, minigrid, highway, lunarlander, bipedalwalker")),
        (("frozenlake", "--seeds", 0), ("--seeds is 0", "at least 1")),
        (("frozenlake", "--first-seed", -1), ("--first-seed is -1", "at least 0")),
        (
            ("acrobot", "--preset", "paper-adam"),
            ("Acrobot-v1 has no preset 'paper-adam'", "paper, default, v0.1, tuned"),
        ),
        (("courtesy", "--preset", "paper"), ("courtesy takes no --preset",)),
        (("frozenlake", "--rounds", 0), ("rounds is 0", "at least 1")),
        (("frozenlake", "--episodes", -1), ("episodes is -1", "at least 1")),
        (("frozenlake", "--evaluate-every", 0), ("evaluate_every is 0", "at least 1")),
        (("frozenlake", "--workers", 0), ("workers is 0", "at least 1")),
        (("frozenlake", "--executor", "threads"), ("'threads'", "inline, processes, ray")),
        (("frozenlake", "--arms", "iif 0.3"), ("'iif 0.3'", "iif 0.125")),
        (
            ("highway", "--arms", "td_error"),
            ("highway has no arm 'td_error'", "ppo, iif 0.0625, iif 0.125, iif 0.5, guarded 0.5, guarded 1"),
        ),
        (("frozenlake", "--arms", "ppo", "--set", "gama=1"), ("'gama'",)),
        ((), ("NAME",)),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    command: Command, tmp_path: Path, arguments: tuple[object, ...], words: tuple[str, ...]
) -> None:
    code, out, err = command("reproduce", *arguments, "--out", tmp_path / "out")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    for word in words:
        assert word in err
    assert not (tmp_path / "out").exists()

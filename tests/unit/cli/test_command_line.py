"""Every command: what it prints, its JSON contract, and bad input in one line with exit code 2."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command, Listing, refused
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from worlds import record

import engine
from engine.envs import CATALOGUE
from engine.intervention.record_sets import change_basket

# What the commands print.


def test_envs(command: Command) -> None:
    found = command("envs", "--json").json
    assert [entry["env_id"] for entry in found] == list(CATALOGUE)
    assert all(entry["description"] and "paper" in entry["presets"] for entry in found)
    table = command("envs")
    assert table.code == 0
    assert "LunarLander-v3" in table.out
    assert "learning_rate=0.001" in table.out


def test_train_records_and_shows_each_round(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "new" / "run"
    settings = ("--set", "n_steps=64", "--set", "n-epochs=2", "--set", "hidden=[16]", "--set", "target_kl=0.5")
    outcome = command("train", "CartPole-v1", "--rounds", 2, "--seed", 3, "--out", out, *settings)
    assert outcome.code == 0
    assert [line.split(":")[0] for line in outcome.err.splitlines()[:2]] == ["round 0", "round 1"]
    run = engine.open_run(out)
    assert run.config == engine.preset(
        "CartPole-v1", rounds=2, seed=3, n_steps=64, n_epochs=2, hidden=[16], target_kl=0.5
    )
    assert run.stored_rounds == [0, 1]
    assert run.final is not None
    assert engine.verify_run(out) == []


def test_train_with_a_preset(command: Command, tmp_path: Path) -> None:
    small = ("--set", "n_steps=16", "--set", "n_envs=2")
    assert (
        command("train", "CartPole-v1", "--preset", "tuned", "--rounds", 1, "--out", tmp_path / "r", *small).code == 0
    )
    config = engine.open_run(tmp_path / "r").config
    assert (config.gae_lambda, config.n_envs, config.n_steps) == (0.8, 2, 16)


def test_train_resumes(command: Command, tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", rounds=3, n_steps=32)
    snapshots = engine.rounds(config, tmp_path / "run")
    next(snapshots), next(snapshots)
    snapshots.close()
    arguments = ("train", "CartPole-v1", "--rounds", 3, "--set", "n_steps=32", "--out", tmp_path / "run")
    refused(command(*arguments), "holds a run already", "--resume")
    outcome = command(*arguments, "--resume")
    assert outcome.code == 0
    assert "round 0" not in outcome.err
    assert engine.open_run(tmp_path / "run").stored_rounds == [0, 1, 2]


def test_runs(command: Command, run: Path) -> None:
    found = command("runs", run.parent, "--json").json
    shown = command("show", run, "--json").json
    rounds = shown.pop("rounds")
    assert found == [shown]
    assert found[0]["run"] == str(run)
    assert found[0]["committed_rounds"] == 3
    assert found[0]["finished"] is True
    assert found[0]["final_return"] == rounds[-1]["mean_return"]
    table = command("runs", run.parent)
    assert table.code == 0
    assert "CartPole-v1" in table.out


def test_runs_of_an_empty_folder(command: Command, tmp_path: Path) -> None:
    assert command("runs", tmp_path, "--json").json == []
    outcome = command("runs", tmp_path)
    assert outcome.code == 0
    assert "python -m engine train" in outcome.out


def test_runs_passes_a_damaged_one_by(command: Command, run: Path) -> None:
    shutil.copytree(run, run.parent / "broken")
    (run.parent / "broken" / "run.json").write_text("{")
    outcome = command("runs", run.parent, "--json")
    assert [found["run"] for found in outcome.json] == [str(run)]
    assert "broken" in outcome.err
    assert "Traceback" not in outcome.err


def test_show(command: Command, run: Path) -> None:
    shown = command("show", run, "--json").json
    assert {"run", "env_id", "schema_version", "config", "rounds"} <= set(shown)
    assert (shown["env_id"], shown["schema_version"]) == ("CartPole-v1", 2)
    assert engine.TrainConfig.from_json(shown["config"]) == engine.open_run(run).config
    assert [r["round"] for r in shown["rounds"]] == [0, 1, 2]
    for r in shown["rounds"]:
        assert {"records", "episodes", "mean_return"} <= set(r)
        assert r["records"] == 140
    table = command("show", run)
    assert table.code == 0
    assert "mean_return" in table.out


def test_show_says_where_it_was_recorded(command: Command, run: Path) -> None:
    fingerprint = engine.open_run(run).manifest.fingerprint
    assert (
        f"fingerprint: {', '.join(f'{name}={value}' for name, value in fingerprint.items())}"
        in command("show", run).out
    )


def test_show_a_round_without_finished_episodes_is_json(command: Command, tmp_path: Path) -> None:
    record(tmp_path / "r", "Acrobot-v1", rounds=1, n_steps=20)
    (only,) = command("show", tmp_path / "r", "--json").json["rounds"]
    assert (only["episodes"], only["mean_return"]) == (0, None)
    assert command("show", tmp_path / "r").code == 0


def test_verify(command: Command, run: Path) -> None:
    assert command("verify", run, "--json").json == {"ok": True, "damaged": []}
    assert command("verify", run).code == 0
    file = sorted((run / "data").glob("000001-records-*"))[0]
    data = bytearray(file.read_bytes())
    data[100] ^= 4
    file.write_bytes(data)
    outcome = command("verify", run, "--json")
    assert outcome.code == 1
    (damage,) = outcome.json["damaged"]
    assert outcome.json["ok"] is False
    assert damage["file"] == f"data/{file.name}"
    plain = command("verify", run)
    assert plain.code == 1
    assert file.name in plain.out


def test_verify_covers_what_people_made(command: Command, run: Path) -> None:
    opened = engine.open_run(run)
    change_basket(opened, 0, add=[12, 34])
    path = run / "basket" / "000000.json"
    sealed = path.read_text()
    path.write_text(sealed.replace("34", "35"))
    outcome = command("verify", run, "--json")
    assert (outcome.code, [d["file"] for d in outcome.json["damaged"]]) == (1, ["basket/000000.json"])
    path.write_text("[12, 34]")
    outcome = command("verify", run, "--json")
    assert outcome.json == {"ok": True, "damaged": [], "unchecked": ["basket/000000.json"]}
    assert "basket/000000.json has no checksum" in command("verify", run).out


def test_verify_takes_a_campaign(command: Command, tmp_path: Path) -> None:
    small = ("--rounds", 2, "--episodes", 2, "--set", "n_steps=64", "--seeds", 1, "--executor", "inline")
    assert command("reproduce", "frozenlake", "--arms", "ppo", *small, "--out", tmp_path).code == 0
    assert command("verify", tmp_path).code == 0
    for name in ("campaign.json", "results.parquet"):
        path = tmp_path / "frozenlake" / name
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :])
        outcome = command("verify", tmp_path, "--json")
        assert (outcome.code, [d["file"] for d in outcome.json["damaged"]]) == (1, [f"frozenlake/{name}"])
        path.write_bytes(data)


SMALL = ("--orders", 2, "--evaluate", 4)


def test_retrain(command: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("[3, 5\n7 3]")
    arguments = ("--drop-file", tmp_path / "ids.txt", "--out", tmp_path / "without", "--mode", "rebatch")
    found = command("retrain", run, "--round", 1, *arguments, *SMALL, "--continue-rounds", 1, "--json").json
    for arm in ("original", "counterfactual", "control"):
        assert set(found[arm]) == {"mean", "low", "high", "episodes"}
        assert found[arm]["episodes"] == 4
    assert found["verdict"] in ("helps", "hurts", "within noise")
    assert found["removed"] == [3, 5, 7]
    assert found["run"] == str(tmp_path / "without")
    branch = command("show", found["run"], "--json").json
    assert branch["parent"]["removed"] == [3, 5, 7]
    assert [r["round"] for r in branch["rounds"]] == [1, 2]
    assert command("verify", found["run"]).code == 0


def test_retrain_the_bottom_for_people(command: Command, run: Path, tmp_path: Path) -> None:
    outcome = command("retrain", run, "--round", 1, "--drop-bottom", 0.5, "--out", tmp_path / "w", *SMALL)
    assert outcome.code == 0
    negative = (engine.influence(engine.open_run(run).snapshot(1), cache=False).influence < 0).sum()
    assert f"removed {negative // 2} of 140 records" in outcome.out
    assert "counterfactual" in outcome.out
    assert outcome.out.splitlines()[-1].split(":")[0] in ("helps", "hurts", "within noise")


def test_retrain_with_data_collected_anew(command: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("3 5")
    arguments = ("retrain", run, "--round", 1, "--drop-file", tmp_path / "ids.txt", *SMALL, "--seeds", 2)
    outcome = command(*arguments, "--continue-rounds", 1, "--out", tmp_path / "w")
    assert "trained on for 1 rounds with data collected anew, 2 seeds" in outcome.out
    assert outcome.out.count("counterfactual") == 2
    refused(command(*arguments, "--out", tmp_path / "v"), "no rounds to train on", "continue_rounds")


def test_retrain_without_a_folder_keeps_it_beside_the_run(command: Command, run: Path, tmp_path: Path) -> None:
    """The same intervention again is answered at once with the same result."""
    (tmp_path / "ids.txt").write_text("3 5")
    arguments = ("retrain", run, "--round", 1, "--drop-file", tmp_path / "ids.txt", *SMALL, "--json")
    first = command(*arguments)
    assert first.json["removed"] == [3, 5]
    assert (run / "interventions").is_dir()
    assert engine.verify_run(first.json["run"]) == []
    again = command(*arguments)
    assert again.json == first.json
    assert "minibatch order" not in again.err
    assert engine.verify_run(run) == []


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

    def interrupted(task: Any) -> Any:
        if task.number:
            raise KeyboardInterrupt
        return real(task)

    monkeypatch.setattr(rollout_advantages, "run_rollouts", interrupted)
    outcome = command("diagnose", run, *DIAGNOSE)
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1].endswith("continue with the same command")
    played: list[Any] = []
    monkeypatch.setattr(rollout_advantages, "run_rollouts", lambda task: played.extend(task.starts) or real(task))
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


def test_behaviour(command: Command, run: Path) -> None:
    outcome = command("behaviour", run, "--record", "1:7", "--json")
    assert outcome.code == 0
    said = outcome.json
    snapshot = engine.open_run(run).snapshot(1)
    assert said["observation"] == snapshot.buffer.observation[7].tolist()
    assert said["checkpoints"][: len(said["rounds"])] == said["rounds"]
    at = said["checkpoints"].index(1)
    assert said["probability"][at] == pytest.approx(np.exp(snapshot.buffer.log_prob[7]), rel=1e-4)
    assert len(said["roughness"]) == len(said["magnitude"]) == len(said["rounds"])
    assert set(said["make_up"]) == {"same action", "similar state", "positive advantage"}
    assert {"initial association", "semantic clustering", "saturation"} < set(said["phases"])
    typed = command("behaviour", run, "--obs=0.1,0,-0.05,0.2", "--action", "push left", "--json").json
    assert typed["action"] == 0
    assert typed["record"] is None


def test_behaviour_for_people(command: Command, run: Path) -> None:
    outcome = command("behaviour", run, "--record", "1:7", "--action", "push right")
    assert outcome.code == 0
    assert "similar state" in outcome.out
    assert "semantic clustering: " in outcome.out


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ((), "either --record, such as 12:345, or --obs"),
        (("--record", "1:7", "--obs", "1,2,3,4"), "either --record, such as 12:345, or --obs"),
        (("--record", "seven"), "--record 'seven' must be a round and a record number, such as 12:345"),
        (("--record", "1:9999"), "record 9999 is out of range"),
        (("--record", "99:0"), "round 99 is not in this run"),
        (("--obs", "1,2,3,4"), "an observation needs an action beside it"),
        (("--obs", "1,2", "--action", "0"), "must be 4 finite numbers"),
        (("--record", "1:7", "--action", "fly"), "--action 'fly' is none of push left, push right"),
        (("--record", "1:7", "--estimator", "guess"), "unknown estimator 'guess'"),
    ],
)
def test_bad_behaviours(command: Command, run: Path, options: tuple[str, ...], line: str) -> None:
    outcome = command("behaviour", run, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert line in outcome.err


def test_export(command: Command, run: Path, tmp_path: Path) -> None:
    assert command("export", run, "--out", tmp_path / "thin", "--rounds", "0,2").code == 0
    rounds = command("show", tmp_path / "thin", "--json").json["rounds"]
    assert [(r["round"], r["stored"]) for r in rounds] == [(0, True), (1, False), (2, True)]
    refused(command("influence", tmp_path / "thin", "--round", 1), "round 1 keeps only metrics")


# Bad input.


def test_unknown_environment(command: Command, tmp_path: Path, listing: Listing) -> None:
    refused(
        command("train", "CartPole-v0", "--out", tmp_path / "r"), "unknown environment", "did you mean 'CartPole-v1'"
    )
    refused(command("train", "os:system-v0", "--out", tmp_path / "r"), "unknown environment", "the catalogue has")
    assert listing(tmp_path) == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--preset", "fast"), ("no preset 'fast'", "paper")),
        (("--set", "n_stepz=3"), ("unknown setting 'n_stepz'", "n_steps")),
        (("--set", "n_steps"), ("has no value", "NAME=VALUE")),
        (("--set", "n_steps=many"), ("n_steps is 'many'", "number")),
        (("--set", "gamma=2"), ("gamma is 2", "[0, 1]")),
        (("--rounds", 0), ("rounds is 0", "at least 1")),
        (("--rounds", "two"), ("--rounds", "integer", "--help")),
        (("--seed", -1), ("seed is -1", "from 0 to")),
        (("--sed", 1), ("--sed", "--help")),
        (("--resume",), ("does not exist",)),
    ],
)
def test_bad_settings(
    command: Command, arguments: tuple[object, ...], words: tuple[str, ...], tmp_path: Path, listing: Listing
) -> None:
    refused(command("train", "CartPole-v1", "--out", tmp_path / "r", *arguments), *words)
    assert listing(tmp_path) == {}


@pytest.mark.parametrize("setting", ["hidden=64", "env_id=Acrobot-v1", "name=tuned", "hidden=[4.5]"])
def test_settings_that_end_in_a_traceback(command: Command, setting: str, tmp_path: Path, listing: Listing) -> None:
    refused(command("train", "CartPole-v1", "--rounds", 1, "--out", tmp_path / "r", "--set", setting))
    assert listing(tmp_path) == {}


def test_a_seed_that_is_set_counts(command: Command, tmp_path: Path) -> None:
    small = ("--rounds", 1, "--set", "n_steps=16")
    assert command("train", "CartPole-v1", "--out", tmp_path / "r", *small, "--set", "seed=5").code == 0
    assert engine.open_run(tmp_path / "r").config.seed == 5


def every_reader(run: object, tmp_path: Path) -> list[tuple[object, ...]]:
    """Each command that opens a run."""
    (tmp_path / "some.txt").write_text("1")
    return [
        ("show", run),
        ("verify", run),
        ("influence", run, "--round", 0),
        ("retrain", run, "--round", 0, "--drop-bottom", 0.5, "--out", tmp_path / "w"),
        ("retrain", run, "--round", 0, "--drop-file", tmp_path / "some.txt"),
        ("export", run, "--out", tmp_path / "w", "--rounds", "0"),
        ("train", "CartPole-v1", "--out", run, "--resume"),
    ]


def test_folder_that_is_not_a_run(command: Command, tmp_path: Path, listing: Listing) -> None:
    (tmp_path / "plain" / "below").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "plain", tmp_path / "nowhere", tmp_path / "file"):
        commands = every_reader(path, tmp_path)
        before = listing(tmp_path)
        for arguments in commands:
            refused(command(*arguments), str(path), "run")
        assert listing(tmp_path) == before
    refused(command("runs", tmp_path / "nowhere"), "not a folder")


def test_a_folder_of_runs_gets_a_hint(command: Command, run: Path) -> None:
    refused(command("show", run.parent), "is not a run", f"did you mean {run}?")


def test_newer_schema_is_refused_by_name(command: Command, run: Path, tmp_path: Path) -> None:
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    for arguments in every_reader(run, tmp_path):
        refused(command(*arguments), "schema version 99", "update")
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("kind", ["records", "checkpoint", "minibatches"])
def test_damaged_file_is_named(command: Command, run: Path, kind: str, tmp_path: Path, listing: Listing) -> None:
    (file,) = (run / "data").glob(f"000001-{kind}-*")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    before = listing(run)
    refused(command("influence", run, "--round", 1), file.name, "damaged")
    refused(command("retrain", run, "--round", 1, "--drop-bottom", 1, "--out", tmp_path / "w"), file.name, "damaged")
    refused(command("export", run, "--out", tmp_path / "w", "--rounds", "1"), file.name, "damaged")
    assert listing(run) == before
    assert command("influence", run, "--round", 0).code == 0, "the other rounds stay readable"


@pytest.mark.parametrize("damage", ["run.json cut", "commit gone", "commit changed", "data gone"])
def test_damaged_run_is_refused(command: Command, run: Path, damage: str) -> None:
    commit = run / "commits" / "000001.json"
    if damage == "run.json cut":
        (run / "run.json").write_bytes((run / "run.json").read_bytes()[:50])
    elif damage == "commit gone":
        commit.unlink()
    elif damage == "commit changed":
        commit.write_text(commit.read_text().replace('"rows"', '"rowz"'))
    else:
        next((run / "data").glob("000001-records-*")).unlink()
    refused(command("influence", run, "--round", 1))
    outcome = command("verify", run, "--json")
    assert outcome.code == 1
    assert outcome.json["ok"] is False
    assert outcome.json["damaged"]


def test_round_that_is_not_there(command: Command, run: Path, tmp_path: Path, listing: Listing) -> None:
    before = listing(run)
    for arguments in (
        ("influence", run),
        ("retrain", run, "--drop-bottom", 0.5, "--out", tmp_path / "w"),
        ("retrain", run, "--drop-bottom", 0.5),
    ):
        refused(command(*arguments, "--round", 7), "round 7 is not in this run", "rounds 0 to 2")
        refused(command(*arguments, "--round", -1), "round -1 is not in this run")
        refused(command(*arguments, "--round", 3), "3 is the final checkpoint")
        refused(command(*arguments), "--round")
    refused(command("export", run, "--out", tmp_path / "w", "--rounds", "7"), "round 7 is not in this run")
    refused(command("export", run, "--out", tmp_path / "w", "--rounds", "all"), "such as 0-9,20,30-39")
    assert listing(run) == before
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ("", ("choose at least one",)),
        ("\n  ,\n", ("choose at least one",)),
        ("1 2 140", ("record 140 is out of range", "0 to 139")),
        ("-1", ("record -1 is out of range",)),
        ("99999999999999999999999", ("0 to 139",)),
        ("1.5", ("must hold record numbers",)),
        ("one two", ("must hold record numbers",)),
        (" ".join(map(str, range(140))), ("all 140 records would be removed", "keep at least one")),
    ],
)
def test_bad_drop_files(
    command: Command, run: Path, ids: str, words: tuple[str, ...], tmp_path: Path, listing: Listing
) -> None:
    (tmp_path / "ids.txt").write_text(ids)
    before = listing(run)
    arguments = ("--drop-file", tmp_path / "ids.txt", "--out", tmp_path / "w")
    refused(command("retrain", run, "--round", 1, *arguments, *SMALL), *words)
    assert not (tmp_path / "w").exists()
    assert {name for name in listing(run) if not name.startswith("derived")} == set(before)


@pytest.mark.parametrize("ids", ["1 2 140", "99999999999999999999999"])
def test_bad_drop_files_without_a_folder(
    command: Command, run: Path, ids: str, tmp_path: Path, listing: Listing
) -> None:
    (tmp_path / "ids.txt").write_text(ids)
    before = listing(run)
    refused(command("retrain", run, "--round", 1, "--drop-file", tmp_path / "ids.txt", *SMALL), "0 to 139")
    assert {name for name in listing(run) if not name.startswith("derived")} == set(before)


def test_drop_file_that_can_not_be_read(command: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x81")
    for path in (tmp_path / "nowhere.txt", tmp_path, tmp_path / "binary"):
        arguments = ("--drop-file", path, "--out", tmp_path / "w")
        refused(command("retrain", run, "--round", 1, *arguments), str(path), "record numbers")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("either --drop-bottom P or --drop-file",)),
        (("--drop-bottom", 0), ("above 0 and at most 1",)),
        (("--drop-bottom", 1.5), ("above 0 and at most 1",)),
        (("--drop-bottom", "nan"), ("above 0 and at most 1",)),
        (("--drop-bottom", 1e-6), ("no record is in the bottom",)),
        (("--drop-bottom", 0.5, "--mode", "shuffle"), ("must be mask or rebatch",)),
        (("--drop-bottom", 0.5, "--orders", 1), ("orders is 1", "at least 2")),
        (("--drop-bottom", 0.5, "--evaluate", 3), ("episodes is 3", "at least one per order")),
        (("--drop-bottom", 0.5, "--continue-rounds", -1), ("continue_rounds is -1",)),
    ],
)
def test_bad_interventions(
    command: Command, run: Path, arguments: tuple[object, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    refused(command("retrain", run, "--round", 1, "--out", tmp_path / "w", *arguments), *words)
    assert not (tmp_path / "w").exists()


def test_folder_that_can_not_be_written(command: Command, run: Path, tmp_path: Path, listing: Listing) -> None:
    """Below a regular file no folder can be made, not even by root."""
    (tmp_path / "file").write_text("x")
    below = tmp_path / "file" / "run"
    before = listing(tmp_path)
    refused(command("train", "CartPole-v1", "--out", below), "file")
    refused(command("train", "CartPole-v1", "--out", tmp_path / "file"), "file")
    refused(command("retrain", run, "--round", 1, "--drop-file", "nothing", "--out", below), "nothing")
    (tmp_path / "ids.txt").write_text("1")
    for out in (below, tmp_path / "file"):
        refused(command("retrain", run, "--round", 1, "--drop-file", tmp_path / "ids.txt", "--out", out), "file")
    refused(command("export", run, "--out", below, "--rounds", "0"), "file")
    (tmp_path / "ids.txt").unlink()
    assert listing(tmp_path) == before


def test_retrain_over_something_that_is_there(command: Command, run: Path, listing: Listing, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    before = listing(tmp_path)
    for out in (run, tmp_path / "full"):
        (tmp_path / "ids.txt").write_text("1")
        refused(command("retrain", run, "--round", 1, "--drop-file", tmp_path / "ids.txt", "--out", out), str(out))
    (tmp_path / "ids.txt").unlink()
    assert listing(tmp_path) == before


def test_second_writer(command: Command, tmp_path: Path, listing: Listing) -> None:
    config = engine.preset("CartPole-v1", rounds=2, n_steps=32)
    snapshots = engine.rounds(config, tmp_path / "run")
    next(snapshots), next(snapshots)
    before = listing(tmp_path)
    arguments = ("train", "CartPole-v1", "--rounds", 2, "--set", "n_steps=32", "--out", tmp_path / "run")
    refused(command(*arguments, "--resume"), "being written by another process")
    refused(command(*arguments), "holds a run already")
    assert listing(tmp_path) == before
    assert command("show", tmp_path / "run", "--json").json["committed_rounds"] == 1
    assert len(list(snapshots)) == 0
    assert engine.verify_run(tmp_path / "run") == []


def test_no_command_and_an_unknown_one(command: Command) -> None:
    refused(command("attribute"), "attribute", "--help")
    assert command("--help").code == 0


@pytest.mark.long
def test_as_a_process(run: Path, tmp_path: Path) -> None:
    """As people start it: one JSON object on stdout, one line on stderr, exit codes that a shell sees."""

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "engine", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)

    good = call("show", run, "--json")
    assert good.returncode == 0
    assert json.loads(good.stdout)["env_id"] == "CartPole-v1"
    assert good.stderr == ""
    bad = call("influence", run, "--round", 50)
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert len(bad.stderr.splitlines()) == 1
    next((run / "data").glob("000001-*")).unlink()
    assert call("verify", run).returncode == 1


def test_drop_without_a_filter_is_refused(command: Command, tmp_path: Path) -> None:
    outcome = command("train", "CartPole-v1", "--drop", 0.3, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert "name one with --filter" in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["observation", "reward"])
def test_not_a_number_stops_the_training(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """In the second of two rounds of 64 records: the message names round and step, and the first round is whole."""
    honest, steps = CartPoleEnv.step, iter(range(1000))

    def step(env: CartPoleEnv, action: int) -> Any:
        observation, reward, *rest = honest(env, action)
        if next(steps) < 64 + 20:
            return observation, reward, *rest
        return (observation * np.nan, reward, *rest) if kind == "observation" else (observation, np.nan, *rest)

    monkeypatch.setattr(CartPoleEnv, "step", step)
    small = ("--set", "n_steps=64", "--set", "n_epochs=1", "--rounds", 2)
    outcome = command("train", "CartPole-v1", *small, "--out", tmp_path / "run")
    assert outcome.code != 0
    assert "NaN or infinity at step 20 of round 1; earlier rounds are intact" in outcome.err
    assert "Traceback" not in outcome.err
    assert len(engine.open_run(tmp_path / "run").rounds) == 1
    assert engine.verify_run(tmp_path / "run") == []


@pytest.mark.filterwarnings("error")
def test_an_update_that_blows_up_stops_the_training(command: Command, tmp_path: Path) -> None:
    small = ("--set", "n_steps=64", "--set", "max_grad_norm=null", "--set", "optimizer=sgd", "--rounds", 2)
    outcome = command("train", "CartPole-v1", *small, "--set", "learning_rate=1e30", "--out", tmp_path / "run")
    assert outcome.code != 0
    assert "the update of round 0 made parameters NaN or infinite; earlier rounds are intact" in outcome.err
    assert "Traceback" not in outcome.err
    assert engine.open_run(tmp_path / "run").rounds == []


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

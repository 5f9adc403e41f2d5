"""`python -m engine runs`, `show` and `verify`: what they print, and their JSON."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from commands import Command
from worlds import record

import engine
from engine.intervention.record_sets import change_basket
from engine.store import sound_files
from engine.store.run_notes import RunNotes, change_run_notes


def test_runs(command: Command, run: Path) -> None:
    found = command("runs", run.parent, "--json").json
    shown = command("show", run, "--json").json
    rounds = shown.pop("rounds")
    assert found == [{**shown, "name": "", "tags": [], "archived": False}]
    assert found[0]["run"] == str(run)
    assert found[0]["committed_rounds"] == 3
    assert found[0]["finished"] is True
    assert found[0]["final_return"] == rounds[-1]["mean_return"]
    table = command("runs", run.parent)
    assert table.code == 0
    assert "CartPole-v1" in table.out


def test_runs_shows_names_and_tags_and_archived_ones_when_asked(command: Command, run: Path) -> None:
    assert "tags" not in command("runs", run.parent).out.partition("\n")[0]
    change_run_notes(run, lambda _: RunNotes("the good one", ("slow", "seeds")))
    assert all(word in command("runs", run.parent).out for word in ("the good one", "slow, seeds"))
    change_run_notes(run, lambda notes: replace(notes, archived=True))
    outcome = command("runs", run.parent)
    assert "the good one" not in outcome.out
    assert "1 archived run not shown" in outcome.out
    assert "the good one" in command("runs", run.parent, "--archived").out
    (found,) = command("runs", run.parent, "--json").json
    assert (found["name"], found["tags"], found["archived"]) == ("the good one", ["slow", "seeds"], True)
    (run / "notes" / "about.json").write_text("{")
    outcome = command("runs", run.parent)
    assert "CartPole-v1" in outcome.out
    assert "notes/about.json is damaged" in outcome.err


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
    replayed = command("verify", run, "--replay", "--json").json["replay"]
    assert [each["equal"] for each in replayed] == [True] * len(replayed)
    assert all(0 <= each["log_prob"] < 1e-5 for each in replayed)
    assert "; log-probabilities differ by " in command("verify", run, "--replay").out
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


def test_verify_reads_what_is_new_alone(command: Command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_files, "RACY_SECONDS", 0.0)
    assert command("verify", run, "--new", "--json").json == {"ok": True, "damaged": [], "passed_over": 0}
    data = sorted((run / "data").iterdir())
    assert command("verify", run, "--new", "--json").json["passed_over"] == len(data)
    assert f"{len(data)} files not read again" in command("verify", run, "--new").out
    changed = bytearray(data[0].read_bytes())
    changed[100] ^= 4
    data[0].write_bytes(changed)
    outcome = command("verify", run, "--new")
    assert outcome.code == 1
    assert data[0].name in outcome.out


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

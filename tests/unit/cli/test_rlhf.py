"""`python -m engine rlhf`, and what the other commands make of its runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from languages import PROMPTS, write_models

from engine.store import open_run

SHORT = ("--set", "n_steps=12", "--set", "batch_size=6", "--set", "n_epochs=2")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """Options that name a policy, a reward model and prompts."""
    folder = tmp_path_factory.mktemp("models")
    policy, reward = write_models(folder)
    (folder / "prompts.txt").write_text("\n".join(PROMPTS))
    named = ("--policy", policy, "--reward", reward, "--reward-label", "kind", "--prompts", folder / "prompts.txt")
    return (*named, "--validation-prompts", 2, "--max-new-tokens", 6, *SHORT)


@pytest.mark.long
def test_models_by_path_are_trained_and_the_run_is_shown_verified_and_retrained(command, models, tmp_path):
    run = tmp_path / "run"
    code, out, err = command("rlhf", *models, "--rounds", 2, "--filter", "iif", "--drop", 0.5, "--out", run)
    assert (code, out) == (0, f"recorded in {run}\n")
    assert "round 1: mean reward" in err
    assert command("verify", run)[0] == 0
    shown = json.loads(command("show", run, "--json")[1])
    assert (shown["env_id"], shown["schema_version"], len(shown["rounds"])) == ("language", 4, 2)
    assert shown["language"]["reward_label"] == "kind"
    assert "iif" in shown["rounds"][0]["filter"] or "nothing dropped" in shown["rounds"][0]["filter"]
    assert "policy=" in command("show", run)[1]
    (tmp_path / "ids").write_text("3 4")
    options = ("--round", 0, "--drop-file", tmp_path / "ids", "--orders", 2, "--evaluate", 4)
    code, out, _ = command("retrain", run, *options, "--json", "--out", tmp_path / "branch")
    assert code == 0
    assert json.loads(out)["removed"] == [3, 4]
    code, out, err = command("retrain", run, "--round", 0, "--drop-bottom", 1, "--orders", 2, "--evaluate", 4)
    assert code == 0, err
    assert "counterfactual" in out
    assert len(list((run / "interventions").iterdir())) == 1
    code, out, _ = command("export", run, "--rounds", "1", "--out", tmp_path / "thin")
    assert open_run(tmp_path / "thin").snapshot(1).round == 1


def test_a_stopped_run_is_resumed(command, models, tmp_path, monkeypatch):
    from engine.kinds.language import learner

    update = learner.LanguageLearner.update
    with monkeypatch.context() as patched:

        def stop(self: Any, snapshot: Any, on_step: Any = None) -> Any:
            if snapshot.round == 1:
                raise KeyboardInterrupt
            return update(self, snapshot, on_step)

        patched.setattr(learner.LanguageLearner, "update", stop)
        code, _, err = command("rlhf", *models, "--rounds", 3, "--out", tmp_path / "run")
    assert code == 130
    assert "Continue with the same command and --resume" in err
    assert command("rlhf", *models, "--rounds", 3, "--out", tmp_path / "run", "--resume")[0] == 0
    assert open_run(tmp_path / "run").final.round == 3


def test_the_demonstration_by_grpo_with_flipped_rewards(command, tmp_path, courtesy):
    run = tmp_path / "run"
    options = ("--rounds", 1, "--algorithm", "grpo", "--flip", 0.25, "--set", "n_steps=16", "--set", "batch_size=8")
    assert command("rlhf", "courtesy", *options, "--set", "validation_prompts=4", "--out", run)[0] == 0
    snapshot = open_run(run).snapshot(0)
    parts = snapshot.buffer.reward_parts
    assert parts["flipped"].sum() == 4
    assert ((snapshot.buffer.reward == -parts["model"]) == (parts["flipped"] == 1)).all()
    assert set(parts["judge"]) <= {0.0, 1.0}
    assert "flipped" not in snapshot.validation.reward_parts
    assert snapshot.buffer.group.tolist() == [0] * 8 + [1] * 8
    assert not snapshot.buffer.value.any()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--policy", "x"), "--reward, --prompts missing; name a policy, a reward model and a file of prompts"),
        (("courtesan",), "'courtesan' is nothing to train"),
        (("courtesy", "--drop", 0.5), "--drop says how much a filter drops"),
        (
            ("courtesy", "--filter", "guarded"),
            "filter is guarded; it must be one of none, iif, random, reward_threshold",
        ),
        (("courtesy", "--set", "lora=3"), "unknown setting 'lora'"),
        (("courtesy", "--algorithm", "dpo"), "algorithm is dpo; it must be grpo or ppo"),
        (("--policy", "no/such", "--reward", "x", "--prompts", "PROMPTS"), "no/such is no folder here"),
    ],
)
def test_bad_input(command, tmp_path, options, line, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(f"prompt {i}" for i in range(99)))
    before = sorted(tmp_path.iterdir())
    code, out, err = command("rlhf", *(prompts if option == "PROMPTS" else option for option in options))
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_extra_is_named(command, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "transformers", None)
    code, _, err = command("rlhf", "courtesy", "--out", tmp_path / "run")
    assert code == 2
    assert "pip install 'snapshot-influence[rlhf]'" in err
    assert not Path(tmp_path / "run").exists()

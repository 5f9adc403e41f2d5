"""Models that are named, by the person at the keyboard or by a run: how they are loaded, and the base model of adapters."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import Command, refused
from languages import record_language, settings, write_models
from received import received

import engine
from engine.core.targets.question import TargetName
from engine.errors import BadInputError, DamagedRunError
from engine.kinds.language.models import pretrained_model, restore_policy
from engine.kinds.language.presets import LanguageSettings
from engine.kinds.language.rewards import make_reward
from engine.store import open_run
from engine.store.read import Run

pytestmark = pytest.mark.long

CODE = "from pathlib import Path\nPath({mark!r}).touch()\n"
INFLUENCE = ("--round", 0, "--target", "return")
EVIL = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M", "AutoTokenizer": ["evil.T", None]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    write_models(made)
    return made


@pytest.fixture(scope="module")
def adapters(folder: Path) -> Run:
    return record_language(folder, "adapters", lora_rank=2)


@pytest.fixture(autouse=True)
def nothing_allowed() -> Iterator[None]:
    engine.allow()
    yield
    engine.allow()


def pickled(folder: Path) -> None:
    """Weights as a pickle in the place of safetensors."""
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def hidden_pickle(folder: Path) -> None:
    pickled(folder)
    (folder / "pytorch_model.bin").rename(folder / "weights.bin")
    (folder / "other.safetensors").write_bytes(b"")
    names = {"weight_map": {"transformer.wte.weight": "weights.bin"}, "metadata": {}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(names))


def leads_away(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "no/such", "peft_type": "LORA"}')


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (pickled, "no weights as safetensors, and others, which may be pickles, are not read"),
        (hidden_pickle, "names weights that are not safetensors"),
        (leads_away, "it holds adapters, not a whole model"),
    ],
)
def test_weights_are_safetensors_whoever_names_them(folder: Path, tmp_path: Path, spoil: Any, words: str) -> None:
    for part in ("policy", "reward"):
        shutil.copytree(folder / part, tmp_path / part)
        spoil(tmp_path / part)
    config, language = settings(folder)
    changed = {"policy": {"policy": str(tmp_path / "policy")}, "reward": {"reward": str(tmp_path / "reward")}}
    for changes in changed.values():
        with pytest.raises(BadInputError) as caught:
            list(engine.rounds(LanguageSettings(replace(language, **changes), config), tmp_path / "run"))
        assert words in str(caught.value)
    with pytest.raises(BadInputError) as caught:
        make_reward(replace(language, reward=str(tmp_path / "reward")), received=True)
    assert words in str(caught.value)


def bomb(folder: Path, **changes: Any) -> None:
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | changes))


def test_a_folder_that_a_run_names_is_checked_before_it_is_loaded(folder: Path, tmp_path: Path) -> None:
    for i, (changes, words) in enumerate(
        (
            ({"n_positions": 10**6}, "config.json describes 16,0"),
            ({"n_layer": 1000}, "config.json describes more than the"),
            ({"auto_map": EVIL}, "auto_map"),
            ({"n_head": 0}, "n_head 0"),
        )
    ):
        named = tmp_path / str(i)
        shutil.copytree(folder / "policy", named)
        bomb(named, **changes)
        with pytest.raises(BadInputError) as caught:
            pretrained_model(named, received=True)
        assert words in str(caught.value)
    os.mkfifo(tmp_path / "fifo")
    shutil.copytree(folder / "policy", tmp_path / "pipe")
    (tmp_path / "pipe" / "config.json").unlink()
    os.mkfifo(tmp_path / "pipe" / "config.json")
    with pytest.raises(BadInputError, match=r"config\.json is not a regular file"):
        pretrained_model(tmp_path / "pipe", received=True)
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in (folder / "policy").iterdir():
        (linked / path.name).symlink_to(path)
    assert pretrained_model(linked, received=True) is not None, "as the hub's cache has them"


def test_prompts_that_are_no_file_are_one_line(folder: Path, tmp_path: Path) -> None:
    config, language = settings(folder)
    os.mkfifo(tmp_path / "pipe")
    for prompts in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(BadInputError, match="is no text file; name one with a prompt on each line"):
            list(engine.rounds(LanguageSettings(replace(language, prompts=str(prompts)), config), tmp_path / "run"))


def test_a_model_with_code_of_its_own_is_trained_by_the_code_that_transformers_has(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "policy", tmp_path / "policy")
    bomb(tmp_path / "policy", auto_map=EVIL)
    (tmp_path / "policy" / "evil.py").write_text(CODE.format(mark=str(tmp_path / "executed")))
    config, language = settings(folder, rounds=1)
    list(engine.rounds(LanguageSettings(replace(language, policy=str(tmp_path / "policy")), config), tmp_path / "run"))
    assert not (tmp_path / "executed").exists()
    assert b"auto_map" not in open_run(tmp_path / "run").model_files()["config.json"]
    restore_policy(open_run(tmp_path / "run").snapshot(0))


# Adapters, whose base model the run does not hold.


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("influence", INFLUENCE),
        pytest.param(
            "validate",
            ("--round", 0, "--subsets", 3, "--orders", 1, "--executor", "processes", "--workers", 2),
            marks=pytest.mark.slow,
        ),
        ("retrain", ("--round", 0, "--drop-file", "IDS", "--orders", 2, "--evaluate", 4)),
    ],
)
def test_adapters_need_their_base_model_and_the_option_reaches_the_workers(
    command: Command, folder: Path, adapters: Run, tmp_path: Path, name: str, options: tuple[object, ...]
) -> None:
    sent = received(adapters.path, tmp_path / "run", lambda manifest: manifest["language"].update(policy="some/model"))
    (tmp_path / "ids").write_text("3 4")
    options = tuple(tmp_path / "ids" if option == "IDS" else option for option in options)
    refused(
        command(name, sent, *options),
        "this run trained adapters (LoRA) of some/model, which is not in it, so the run is view only; pass --base PATH",
        "or --download",
    )
    refused(command(name, sent, *options, "--base", tmp_path / "nowhere"), "nowhere is no folder; name one that")
    refused(command(name, sent, *options, "--base", folder / "reward"))
    outcome = command(name, sent, *options, "--base", folder / "policy", "--json")
    assert outcome.code == 0, outcome.err
    if name == "influence":
        snapshot = replace(adapters.snapshot(0), named_here=True)
        expected = engine.influence(snapshot, "return", cache=False).influence
        np.testing.assert_array_equal(np.float32(outcome.json["influence"]), expected)
    if name == "influence":
        assert command(name, sent, *options).code == 0, "what is kept needs no model"
        refused(command(name, sent, *options, "--refresh"), "view only")


def test_from_python_the_base_model_is_allowed(folder: Path, adapters: Run) -> None:
    snapshot = adapters.snapshot(0)
    with pytest.raises(BadInputError, match="view only"):
        engine.replay(snapshot)
    before = engine.allow(folder / "policy")
    assert before.options == ()
    found = engine.replay(snapshot).checkpoint
    for tensor_name, tensor in adapters.checkpoint(1).items():
        if tensor_name in found:
            assert found[tensor_name].tobytes() == tensor.tobytes()
    with pytest.raises(BadInputError, match="--base nowhere is no folder"):
        engine.allow("nowhere")


def test_adapters_of_another_rank_are_damage(adapters: Run, folder: Path, tmp_path: Path) -> None:
    engine.allow(folder / "policy")
    sent = received(adapters.path, tmp_path / "run", lambda manifest: manifest["language"].update(lora_rank=1024))
    with pytest.raises(DamagedRunError, match="no adapters of the rank 1024 that"):
        restore_policy(open_run(sent).snapshot(0))


@pytest.mark.slow
def test_the_worker_of_a_job_takes_the_options(adapters: Run, folder: Path, tmp_path: Path) -> None:

    from engine.intervention.plan import Intervention
    from engine.jobs.interventions import create_job, read_job

    sent = open_run(received(adapters.path, tmp_path / "run"))
    plan = Intervention(round=0, removed=(3, 5), orders=2, episodes=4, measured=TargetName(target="sequence"))
    job, _ = create_job(sent, sent.snapshot(0), plan, {})
    command = [sys.executable, "-m", "engine.jobs", str(job.folder)]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert outcome.returncode == 1
    assert "pass --base PATH" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    subprocess.run([*command, "--base", str(folder / "policy")], timeout=120, check=True)
    done = read_job(job.folder)
    assert done is not None
    assert done.result is not None


def test_another_base_model_of_the_same_shape_is_refused(adapters: Run, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "policy", tmp_path / "other")
    from safetensors.torch import load_file, save_file

    weights = load_file(tmp_path / "other" / "model.safetensors")
    changed = {name: tensor * (2 if "wte" in name else 1) for name, tensor in weights.items()}
    save_file(changed, tmp_path / "other" / "model.safetensors", metadata={"format": "pt"})
    engine.allow(tmp_path / "other")
    with pytest.raises(BadInputError, match="other is not the model that this run's adapters were trained on"):
        restore_policy(adapters.snapshot(1))

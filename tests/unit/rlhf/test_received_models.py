"""A received run of a language model: its code is never run, its description is checked before a network is built of it."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import Command, refused
from languages import record_language, settings
from received import described, received

import engine
from engine.errors import BadInputError, DamagedRunError
from engine.rlhf.models import pretrained_model, recorded_tokenizer, restore_policy
from engine.rlhf.rewards import make_reward
from engine.rlhf.training import train_language
from engine.store import open_run
from engine.store.read import MODEL_FILE_BYTES, Run

CODE = "from pathlib import Path\nPath({mark!r}).touch()\n"
INFLUENCE = ("--round", 0, "--target", "return")
EVIL = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M", "AutoTokenizer": ["evil.T", None]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return record_language(folder)


@pytest.fixture(scope="module")
def adapters(folder: Path) -> Run:
    return record_language(folder, "adapters", lora_rank=2)


@pytest.fixture(autouse=True)
def nothing_allowed() -> Iterator[None]:
    engine.allow()
    yield
    engine.allow()


def typed_yes(*arguments: object) -> tuple[str, bool]:
    """Run a command on a terminal where somebody types y whenever it waits: what it said, and whether it asked."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "engine", *map(str, arguments)])
    said, asked, end = b"", False, time.monotonic() + 120
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            said += os.read(terminal, 4096)
        except OSError:  # it has ended
            break
        if b"[y/N]" in said and not asked:
            asked = True
            os.write(terminal, b"y\n")
    os.close(terminal)
    os.waitpid(child, 0)
    return said.decode(), asked


@pytest.mark.parametrize("where", ["config", "tokenizer", "both with the code beside them"])
def test_code_in_a_run_is_not_run_and_nobody_is_asked(run: Run, tmp_path: Path, where: str) -> None:
    mark = tmp_path / "executed"
    model = {**described(run.path, auto_map=EVIL, model_type="evil")}
    if where == "tokenizer":
        about = json.loads(run.model_files()["tokenizer_config.json"]) | {"auto_map": EVIL, "tokenizer_class": "Evil"}
        model = {"tokenizer_config.json": json.dumps(about).encode()}
    sent = received(run.path, tmp_path / "run", model=model)
    (sent / "model" / "evil.py").write_text(CODE.format(mark=str(mark)))
    if where.startswith("both"):
        sent = received(sent, tmp_path / "again", model={"evil.py": CODE.format(mark=str(mark)).encode()})
    said, asked = typed_yes("influence", sent, *INFLUENCE)
    assert not asked
    assert not mark.exists()
    (line,) = said.strip().splitlines()
    assert line.startswith("error: model/")
    assert "evil" in line or "Evil" in line or "auto_map" in line


def test_a_known_kind_of_model_with_code_of_its_own_is_refused(command: Command, run: Run, tmp_path: Path) -> None:
    sent = received(run.path, tmp_path / "run", model=described(run.path, auto_map=EVIL))
    refused(command("influence", sent, *INFLUENCE), "model/config.json names code or packages of its own (auto_map)")


@pytest.mark.parametrize("name", ["evil.py", "weights.bin", "x.safetensors", "weights.pt"])
def test_a_description_has_known_files_alone(command: Command, run: Run, tmp_path: Path, name: str) -> None:
    sent = received(run.path, tmp_path / "run", model={name: b"x"})
    refused(command("influence", sent, *INFLUENCE), f"model/{name} has no place in a model's description")


def test_files_that_run_json_does_not_name_are_not_read(run: Run, tmp_path: Path) -> None:
    sent = received(run.path, tmp_path / "run")
    expected = engine.sequence_influence(open_run(sent).language_snapshot(1), cache=False).influence
    (sent / "model" / "added_tokens.json").write_text('{"extra": 16}')
    (sent / "model" / "adapter_config.json").write_text('{"base_model_name_or_path": "no/such"}')
    (sent / "model" / "generation_config.json").symlink_to("/dev/zero")
    os.mkfifo(sent / "model" / "chat_template.jinja")
    found = engine.sequence_influence(open_run(sent).language_snapshot(1), cache=False).influence
    assert found.tobytes() == expected.tobytes()
    assert len(recorded_tokenizer(sent)) == len(recorded_tokenizer(run.path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_head": 0}, "n_head 0; it must be a whole number from 1 to 4,096"),
        ({"n_embd": "x"}, 'n_embd "x"; it must be a whole number'),
        ({"n_embd": -4}, "n_embd -4"),
        ({"n_embd": 16.5}, "n_embd 16.5"),
        ({"n_embd": True}, "n_embd true"),
        ({"n_embd": 10**400}, "n_embd 1000"),
        ({"n_embd": None}, "has shape"),
        ({"n_embd": 18}, "does not fit|has shape|does not divide"),
        ({"vocab_size": 10**9}, "vocab_size 1000000000"),
        ({"vocab_size": 10**6}, "has shape"),
        ({"n_layer": 10**6}, "n_layer 1000000; it must be a whole number from 1 to 1,024"),
        ({"n_layer": 1024}, "describes more than the"),
        ({"n_layer": 3}, "does not fit"),
        ({"n_positions": 10**6}, "has shape"),
        ({"num_labels": 10**9}, "num_labels 1000000000; whole numbers go up to 65,536 there"),
        ({"text_config": {"model_type": "evil"}}, 'a part of the model_type "evil"'),
        ({"text_config": {"num_experts": 10**9}}, "num_experts 1000000000"),
        ({"activation_function": "__import__('os')"}, "describes no network that can be built"),
        ({"model_type": "nothing"}, 'the model_type "nothing"'),
        ({"model_type": ["gpt2"]}, "the model_type"),
        ({"model_type": None}, "the model_type null"),
        ({"model_type": "bert"}, "describes more than the"),
        ({"model_type": "vit"}, "no network that can be built"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "(quantization_config)"),
        ({"attn_implementation": "attacker/kernel"}, 'attn_implementation "attacker/kernel"; it must be eager or sdpa'),
        ({"experts_implementation": "attacker/kernel"}, "experts_implementation"),
        ({"tokenizer_class": "AutoModel"}, 'the tokenizer_class "AutoModel"'),
        ({"dtype": "load"}, "can't be understood"),
    ],
)
def test_a_description_that_is_out_of_range_is_one_line_at_once(
    command: Command, run: Run, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    sent = received(run.path, tmp_path / "run", model=described(run.path, **changes))
    snapshot = open_run(sent).language_snapshot(0)
    begun = time.monotonic()
    with pytest.raises(DamagedRunError) as caught:
        restore_policy(snapshot)
    assert time.monotonic() - begun < 5
    assert any(each in str(caught.value) for each in words.split("|")), str(caught.value)
    refused(command("influence", sent, *INFLUENCE))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 10**6, b'{"model_type": "gpt2"' + b" " * 5 * 2**20 + b"}"])
def test_settings_that_are_none_are_one_line(command: Command, run: Run, tmp_path: Path, data: bytes) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        sent = received(run.path, tmp_path / name, model={name: data})
        refused(command("influence", sent, *INFLUENCE), f"model/{name}")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tokenizer_class": "AutoModel"}, 'tokenizer_config.json has the tokenizer_class "AutoModel"'),
        ({"tokenizer_class": 3}, "the tokenizer_class 3"),
        ({"vocab_file": "/etc/passwd"}, "names other files (vocab_file)"),
        ({"tokenizer_file": "/etc/passwd"}, "names other files (tokenizer_file)"),
    ],
)
def test_a_tokenizer_reads_no_other_files(run: Run, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    about = json.loads(run.model_files()["tokenizer_config.json"]) | changes
    sent = received(run.path, tmp_path / "run", model={"tokenizer_config.json": json.dumps(about).encode()})
    with pytest.raises(DamagedRunError) as caught:
        recorded_tokenizer(sent)
    assert words in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"model": {"type": "WordLevel"}}'])
def test_a_tokenizer_that_is_none_is_one_line(run: Run, tmp_path: Path, data: bytes) -> None:
    sent = received(run.path, tmp_path / "run", model={"tokenizer.json": data})
    with pytest.raises(DamagedRunError, match="model/ describes no tokenizer") as caught:
        recorded_tokenizer(sent)
    assert "\n" not in str(caught.value)


def test_a_file_beyond_all_measure_is_told_apart_from_a_damaged_one(run: Run, tmp_path: Path) -> None:
    sent = received(run.path, tmp_path / "run")
    with (sent / "model" / "tokenizer.json").open("wb") as file:
        file.truncate(MODEL_FILE_BYTES + 1)
    with pytest.raises(DamagedRunError, match=r"model/tokenizer\.json is too large: up to 67,108,864 bytes are read"):
        open_run(sent).model_files()


@pytest.mark.parametrize(
    ("name", "value"),
    [("lora_rank", 10**9), ("max_new_tokens", 10**9), ("group_size", 10**9), ("validation_prompts", 10**9)],
)
def test_settings_of_a_run_have_stated_ranges(
    command: Command, run: Run, tmp_path: Path, name: str, value: int
) -> None:
    sent = received(run.path, tmp_path / "run", lambda manifest: manifest["language"].update({name: value}))
    refused(command("show", sent), f"run.json can't be understood: {name} is {value}; it must be from")


def test_sequences_that_the_model_does_not_know_are_damage(run: Run) -> None:
    snapshot = run.language_snapshot(0)
    for token in (-1, 16):
        column = snapshot.buffer.token.copy()
        column[3] = token
        other = snapshot.changed(buffer=replace(snapshot.buffer, token=column))
        with pytest.raises(DamagedRunError, match="has a token that is none of the 16 that the model knows"):
            restore_policy(other)
    doubled = snapshot.buffer.take([0])
    tokens = np.repeat(doubled.token, 9)
    start = np.array([0, len(tokens)])
    with pytest.raises(DamagedRunError, match="more than the 16 that the model can read"):
        restore_policy(snapshot.changed(buffer=replace(doubled, token=tokens, start=start)))


# Models that are named: by the person at the keyboard, or by a run.


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
def test_weights_are_safetensors_whoever_names_them(
    folder: Path, run: Run, tmp_path: Path, spoil: Any, words: str
) -> None:
    for part in ("policy", "reward"):
        shutil.copytree(folder / part, tmp_path / part)
        spoil(tmp_path / part)
    config, language = settings(folder)
    changed = {"policy": {"policy": str(tmp_path / "policy")}, "reward": {"reward": str(tmp_path / "reward")}}
    for changes in changed.values():
        with pytest.raises(BadInputError) as caught:
            list(train_language(config, replace(language, **changes), tmp_path / "run"))
        assert words in str(caught.value)
    with pytest.raises(BadInputError) as caught:
        make_reward(replace(language, reward=str(tmp_path / "reward")), received=True)
    assert words in str(caught.value)


def bomb(folder: Path, **changes: Any) -> None:
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | changes))


def test_a_folder_that_a_run_names_is_checked_before_it_is_loaded(folder: Path, run: Run, tmp_path: Path) -> None:
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
            list(train_language(config, replace(language, prompts=str(prompts)), tmp_path / "run"))


def test_a_model_with_code_of_its_own_is_trained_by_the_code_that_transformers_has(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "policy", tmp_path / "policy")
    bomb(tmp_path / "policy", auto_map=EVIL)
    (tmp_path / "policy" / "evil.py").write_text(CODE.format(mark=str(tmp_path / "executed")))
    config, language = settings(folder, rounds=1)
    list(train_language(config, replace(language, policy=str(tmp_path / "policy")), tmp_path / "run"))
    assert not (tmp_path / "executed").exists()
    assert b"auto_map" not in open_run(tmp_path / "run").model_files()["config.json"]
    restore_policy(open_run(tmp_path / "run").language_snapshot(0))


# Adapters, whose base model the run does not hold.


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("influence", INFLUENCE),
        ("validate", ("--round", 0, "--subsets", 3, "--orders", 1, "--executor", "processes", "--workers", 2)),
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
        snapshot = replace(adapters.language_snapshot(0), named_here=True)
        expected = engine.sequence_influence(snapshot, "return", cache=False).influence
        np.testing.assert_array_equal(np.float32(outcome.json["influence"]), expected)
    if name == "influence":
        assert command(name, sent, *options).code == 0, "what is kept needs no model"
        refused(command(name, sent, *options, "--refresh"), "view only")


def test_from_python_the_base_model_is_allowed(folder: Path, adapters: Run) -> None:
    snapshot = adapters.language_snapshot(0)
    with pytest.raises(BadInputError, match="view only"):
        engine.replay_language(snapshot)
    before = engine.allow(folder / "policy")
    assert before.options == ()
    found = engine.replay_language(snapshot).checkpoint
    for tensor_name, tensor in adapters.checkpoint(1).items():
        if tensor_name in found:
            assert found[tensor_name].tobytes() == tensor.tobytes()
    with pytest.raises(BadInputError, match="--base nowhere is no folder"):
        engine.allow("nowhere")


def test_adapters_of_another_rank_are_damage(adapters: Run, folder: Path, tmp_path: Path) -> None:
    engine.allow(folder / "policy")
    sent = received(adapters.path, tmp_path / "run", lambda manifest: manifest["language"].update(lora_rank=1024))
    with pytest.raises(DamagedRunError, match="no adapters of the rank 1024 that"):
        restore_policy(open_run(sent).language_snapshot(0))


def test_the_worker_of_a_job_takes_the_options(adapters: Run, folder: Path, tmp_path: Path) -> None:
    from engine.intervention.plan import Intervention
    from engine.intervention.workspace import read_job
    from engine.rlhf.retrain import create_language_job

    sent = open_run(received(adapters.path, tmp_path / "run"))
    plan = Intervention(round=0, removed=(3, 5), orders=2, episodes=4, target="sequence")
    job, _ = create_language_job(sent, sent.language_snapshot(0), plan, {})
    command = [sys.executable, "-m", "engine.rlhf.worker", str(job.folder)]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert outcome.returncode == 1
    assert "pass --base PATH" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    subprocess.run([*command, "--base", str(folder / "policy")], timeout=120, check=True)
    done = read_job(job.folder)
    assert done is not None
    assert done.result is not None

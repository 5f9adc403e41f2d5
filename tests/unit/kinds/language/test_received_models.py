"""A received run of a language model: its code is never run, its description is checked before a network is built of it."""

from __future__ import annotations

import json
import os
import pty
import select
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command, refused
from languages import record_language
from received import described, received

import engine
from engine.errors import DamagedRunError
from engine.kinds.language.models import recorded_tokenizer, restore_policy
from engine.store import open_run
from engine.store.read import Run
from engine.store.verified import MODEL_FILE_BYTES

pytestmark = pytest.mark.long

CODE = "from pathlib import Path\nPath({mark!r}).touch()\n"
INFLUENCE = ("--round", 0, "--target", "return")
EVIL = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M", "AutoTokenizer": ["evil.T", None]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record_language(tmp_path_factory.mktemp("models"))


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


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("config", marks=pytest.mark.slow),
        pytest.param("tokenizer", marks=pytest.mark.slow),
        "both with the code beside them",
    ],
)
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
    expected = engine.influence(open_run(sent).snapshot(1), cache=False).influence
    (sent / "model" / "added_tokens.json").write_text('{"extra": 16}')
    (sent / "model" / "adapter_config.json").write_text('{"base_model_name_or_path": "no/such"}')
    (sent / "model" / "generation_config.json").symlink_to("/dev/zero")
    os.mkfifo(sent / "model" / "chat_template.jinja")
    found = engine.influence(open_run(sent).snapshot(1), cache=False).influence
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
def test_a_description_that_is_out_of_range_is_one_line(
    command: Command, run: Run, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    sent = received(run.path, tmp_path / "run", model=described(run.path, **changes))
    snapshot = open_run(sent).snapshot(0)
    with pytest.raises(DamagedRunError) as caught:
        restore_policy(snapshot)
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
    refused(command("show", sent), f"run.json can't be understood: language.{name} is {value}; it must be from")


def test_sequences_that_the_model_does_not_know_are_damage(run: Run) -> None:
    snapshot = run.snapshot(0)
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

"""Rounds of a language model on disk: they come back bit for bit, and what is wrong with them is named."""

import json
import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.faults.made_up_rounds import make_manifest, make_snapshot
from benchmarks.faults.made_up_sequences import (
    CONFIG,
    LANGUAGE,
    MODEL,
    assert_same_language_snapshot,
    assert_same_sequences,
    make_language_manifest,
    make_language_snapshot,
    make_sequences,
    write_language_run,
)
from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.errors import BadInputError, DamagedRunError
from engine.kinds.language.tables import sequences_from, sequences_table, tokens_table
from engine.store import RunManifest, RunWriter, export_run, open_run, verify_run
from engine.store.parquet import from_parquet, to_parquet


@pytest.mark.parametrize("validation", [True, False])
def test_a_round_comes_back_bit_for_bit(tmp_path, validation):
    run = open_run(write_language_run(tmp_path / "run", validation=validation))
    assert run.kind == "language"
    assert run.manifest == make_language_manifest()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["schema_version"] == 4
    assert run.stored_rounds == [0, 1]
    assert run.checkpoint_rounds == [0, 1, 2]
    for k in (0, 1):
        found = run.snapshot(k)
        assert_same_language_snapshot(found, make_language_snapshot(k, validation=validation))
        assert found.hash == run.rounds[k].hash
        assert found.fingerprint == {"numpy": "2.0"}
    assert verify_run(run.path) == []
    assert run.model_files() == MODEL


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9), st.integers(0, 4)), min_size=1, max_size=6),
    st.lists(st.text("abc/ é", min_size=1, max_size=5), unique=True, max_size=3),
    st.integers(0, 2**32 - 1),
)
def test_any_texts_lengths_and_bits_come_back(sequences, parts, seed):
    prompts, responses, lengths = (list(column) for column in zip(*sequences, strict=True))
    n, total = len(sequences), sum(lengths)
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 2**32, (10, max(total, n)), dtype=np.uint32).view(np.float32)
    base = make_sequences(0)
    floats = ("log_prob", "reference_log_prob", "value", "kl", "token_reward", "advantage", "returns", "entropy")
    buffer = replace(
        base,
        prompt=prompts,
        response=responses,
        group=np.arange(n, dtype=np.int32),
        reward=numbers[0, :n].copy(),
        reward_parts={name: numbers[i + 1, :n].copy() for i, name in enumerate(parts)},
        truncated=rng.random(n) < 0.5,
        kept=rng.random(n) < 0.5,
        repaired=rng.random(n) < 0.5,
        start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        token=rng.integers(0, 9, total).astype(np.int32),
        mask=rng.random(total) < 0.5,
        text=pa.array([rng.bytes(2) for _ in range(total)], pa.binary()),
        **{name: numbers[i, :total].copy() for i, name in enumerate(floats)},
    )
    tables = [from_parquet(to_parquet(table), "x") for table in (sequences_table(buffer), tokens_table(buffer))]
    assert_same_sequences(sequences_from(*tables, "x", "y"), buffer)


def test_other_tools_read_texts_and_one_row_a_token(tmp_path):
    path = write_language_run(tmp_path / "run", 1)
    expected = make_language_snapshot(0).buffer
    [sequences] = (path / "data").glob("000000-sequences-*")
    [tokens] = (path / "data").glob("000000-tokens-*")
    table = pq.read_table(sequences)
    assert table["prompt"].to_pylist() == expected.prompt
    assert table.column_names == [
        "record", "group", "prompt", "response", "reward", "reward/model", "reward/flipped", "truncated", "kept", "tokens",
    ]  # fmt: skip
    assert pq.read_table(tokens).column_names == [
        "record", "position", "token", "mask", "log_prob", "reference_log_prob", "value", "kl", "reward", "advantage",
        "return", "entropy", "text",
    ]  # fmt: skip
    assert pq.read_table(tokens)["text"].to_pylist() == expected.text.to_pylist()
    assert pq.read_table(tokens)["record"].to_pylist() == expected.record_of_token.tolist()


@pytest.mark.long
def test_a_flipped_bit_is_detected_and_its_file_named(tmp_path):
    path = write_language_run(tmp_path / "run")
    rng = random.Random(3)
    files = [path / "run.json", *(path / "commits").iterdir(), *(path / "data").iterdir(), *(path / "model").iterdir()]
    for file in files:
        name, data = str(file.relative_to(path)), file.read_bytes()
        for _ in range(8):
            changed = bytearray(data)
            bit = rng.randrange(len(data) * 8)
            changed[bit // 8] ^= 1 << bit % 8
            file.write_bytes(changed)
            assert [found.file for found in verify_run(path)] == [name], (name, bit)
            with pytest.raises((DamagedRunError, BadInputError)) as caught:
                read_everything(path)
            assert name in str(caught.value) or "schema version" in str(caught.value)
        file.unlink()
        if name not in ("run.json", "commits/000002.json"):  # without its last commit a run is shorter, not damaged
            assert [found.file for found in verify_run(path)] == ["run.json" if name == "commits/000000.json" else name]
        file.write_bytes(data)
    assert verify_run(path) == []


def read_everything(path):
    run = open_run(path)
    run.model_files()
    for k in run.stored_rounds:
        run.snapshot(k)
    run.checkpoint(2)


def test_tables_that_do_not_fit_each_other_are_damage():
    buffer = make_sequences(0)
    sequences, tokens = sequences_table(buffer), tokens_table(buffer)
    with pytest.raises(DamagedRunError, match="s is damaged: column tokens does not count"):
        sequences_from(sequences, tokens.slice(0, 5), "s", "t")
    moved = tokens.set_column(1, tokens.schema.field(1), pa.array([7] * len(tokens), pa.int32()))
    with pytest.raises(DamagedRunError, match="t is damaged: column position does not count"):
        sequences_from(sequences, moved, "s", "t")
    with pytest.raises(DamagedRunError, match="s is damaged: column record is not 0 to 10"):
        sequences_from(sequences.slice(1), tokens, "s", "t")
    with pytest.raises(DamagedRunError, match="t is damaged: its columns are not record, position"):
        sequences_from(sequences, tokens.drop_columns(["kl"]), "s", "t")
    binary = pa.array([b"\xff"] * 12, pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 12, binary.buffers())
    broken = sequences.set_column(2, sequences.schema.field(2), texts)
    with pytest.raises(DamagedRunError, match="s is damaged: column prompt is not UTF-8"):
        sequences_from(broken, tokens, "s", "t")


def test_values_that_do_not_fit_are_refused_by_name():
    buffer = make_sequences(0)
    for name, values in (
        ("reward", buffer.reward.astype(np.float64)),
        ("kept", buffer.kept[:-1]),
        ("prompt", buffer.prompt[:-1]),
        ("response", ["\ud800"] * 12),
        ("start", buffer.start - 1),
    ):
        with pytest.raises(BadInputError, match=name):
            sequences_table(replace(buffer, **{name: values}))
    with pytest.raises(BadInputError, match="kl is float64"):
        tokens_table(replace(buffer, kl=buffer.kl.astype(float)))
    n = len(buffer.token)
    for text, has in ((None, "none"), (buffer.text[:-1], n - 1), (pa.array([None] * n, pa.binary()), 0)):
        with pytest.raises(BadInputError, match=f"^text has {has} of the texts of this round's {n} tokens"):
            tokens_table(replace(buffer, text=text))


def test_up_to_version_3_tokens_have_no_texts(tmp_path):
    run = open_run(write_language_run(tmp_path / "run", 1, version=3))
    found, expected = run.snapshot(0), make_language_snapshot(0)
    assert (run.manifest.schema_version, found.buffer.text, found.validation.text) == (3, None, None)
    assert np.array_equal(found.buffer.token, expected.buffer.token)
    run.manifest = replace(run.manifest, schema_version=4)
    with pytest.raises(
        DamagedRunError, match=r"^data/000000-tokens-\w+\.parquet is damaged: its columns are not [^\n]*text$"
    ):
        run.snapshot(0)


def test_each_kind_of_run_is_known_by_its_rounds(tmp_path):
    run = open_run(write_language_run(tmp_path / "language", 1))
    assert (run.kind, run.snapshot(0).kind) == ("language", "language")
    with pytest.raises(BadInputError, match="round 7 is not in this run; it has rounds 0 to 0"):
        run.snapshot(7)
    with RunWriter.create(tmp_path / "control", make_manifest()) as writer:
        with pytest.raises(BadInputError, match="a run of the kind control, and the round one of the kind language"):
            writer.commit_round(make_language_snapshot(0), {})
        writer.commit_round(make_snapshot(0), {})
    control = open_run(tmp_path / "control")
    assert (control.kind, control.snapshot(0).kind) == ("control", "control")
    assert not {"language", "kind"} & json.loads((tmp_path / "control" / "run.json").read_text()).keys()
    assert control.manifest.schema_version == 2


def test_a_thinned_copy_keeps_the_model(tmp_path):
    run = open_run(write_language_run(tmp_path / "run"))
    thin = export_run(run.path, tmp_path / "thin", [1])
    assert thin.stored_rounds == [1]
    assert thin.model_files() == MODEL
    assert_same_language_snapshot(thin.snapshot(1), make_language_snapshot(1))
    assert verify_run(thin.path) == []
    with pytest.raises(BadInputError, match="keeps only metrics"):
        export_run(thin.path, tmp_path / "thinner", [0])


def test_a_manifest_does_not_name_files_outside_its_folder():
    values = make_language_manifest().to_json()
    for name in ("../run.json", "/etc/passwd", "a/b", ".hidden", ""):
        with pytest.raises(DamagedRunError, match="name of a file"):
            RunManifest.from_json({**values, "model": {name: "00"}})


def test_sequences_by_record_and_padded():
    buffer = make_sequences(0)
    i = int(np.argmax(buffer.lengths))
    wide = buffer.padded(buffer.token, -1)
    assert wide.shape == (12, buffer.lengths.max())
    assert wide[i].tolist() == buffer.token[buffer.tokens_of(i)].tolist()
    assert (wide == -1).sum() == wide.size - len(buffer.token)
    assert_same_sequences(buffer.take([3, i]).take([1]), buffer.take([i]))


def test_what_is_removed_is_not_kept_and_a_group_is_not_removed_whole():
    snapshot = make_language_snapshot(0)
    snapshot = snapshot.changed(buffer=replace(snapshot.buffer, kept=np.ones(12, bool)))
    left = snapshot.without([0, 1, 5])
    assert np.flatnonzero(~left.buffer.kept).tolist() == [0, 1, 5]
    assert left.gathered().minibatches[0, -3:].tolist() == [i for i in snapshot.minibatches[0] if i in (0, 1, 5)]
    with pytest.raises(BadInputError, match="all 12 records would be removed"):
        snapshot.without(range(12))
    grpo = snapshot.changed(language=replace(LANGUAGE, algorithm="grpo"))
    assert grpo.without([0, 5]).buffer.kept.sum() == 10
    with pytest.raises(BadInputError, match="all responses to prompt 2 would be removed"):
        grpo.without([4, 5])


def test_settings_come_back_and_wrong_ones_are_refused_by_name():
    assert LanguageConfig.from_json(json.loads(json.dumps(LANGUAGE.to_json()))) == LANGUAGE
    for values, message in (
        ({"group_size": 1, "algorithm": "grpo"}, "group_size is 1; it must be at least 2 for grpo"),
        ({"temperature": 0}, "temperature is 0; it must be above 0"),
        ({"normalizer": "mean"}, "normalizer is mean; it must be one of dapo, dr_grpo, grpo"),
        ({"policy": ""}, "policy is ''; it must be a model's name or path"),
        ({"flip": "half"}, "flip is 'half'; it must be a finite number"),
        ({"lora": 3}, "unknown setting 'lora'"),
    ):
        with pytest.raises(BadInputError, match=message):
            LanguageConfig.from_json({**LANGUAGE.to_json(), **values})
    with pytest.raises(
        BadInputError, match="filter is td_error; it must be one of none, iif, random, reward_threshold"
    ):
        replace(CONFIG, filter="td_error")
    with pytest.raises(BadInputError, match="filter is reward_threshold; it must be one of none, iif, guarded"):
        TrainConfig(env_id="CartPole-v1", filter="reward_threshold")


def test_a_negative_token_ends_in_one_line(tmp_path):
    snapshot = make_language_snapshot(0)
    token = snapshot.buffer.token.copy()
    token[3] = -5
    with RunWriter.create(tmp_path / "run", make_language_manifest(), model=MODEL) as writer:
        writer.commit_round(replace(snapshot, buffer=replace(snapshot.buffer, token=token)), {})
    with pytest.raises(DamagedRunError, match=r"^data/000000-tokens-\w+\.parquet is damaged: column token has [^\n]*$"):
        open_run(tmp_path / "run").snapshot(0)

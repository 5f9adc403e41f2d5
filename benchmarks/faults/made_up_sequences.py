"""Small made-up runs of a language model, whose every value follows from the round number."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.faults.made_up_rounds import METRICS, assert_same_array, assert_same_checkpoint, floats, make_checkpoint
from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.kinds.language.sequences import TOKEN_COLUMNS, LanguageSnapshot, SequenceBuffer
from engine.spaces import Space
from engine.store import RunManifest, RunWriter
from engine.store.manifest import KIND_VERSION

CONFIG = TrainConfig(env_id="language", n_steps=12, batch_size=4, n_epochs=2, path="torch")
LANGUAGE = LanguageConfig(policy="gpt", reward="judge", prompts="prompts.txt", group_size=2)
VOCABULARY = Space("discrete", n=9)
MODEL = {"config.json": b'{"model_type": "gpt2"}', "tokenizer.json": b"{}"}
WORDS = ("the", "cat", "était", "猫", "👍🏽", '"quoted"', "", "two\nlines", "\x00")


def make_sequences(seed: int, n: int = 12) -> SequenceBuffer:
    rng = np.random.default_rng([9, seed])
    lengths = rng.integers(0, 7, n)
    total = int(lengths.sum())
    return SequenceBuffer(
        prompt=[" ".join(rng.choice(WORDS, 3)) for _ in range(n)],
        response=[" ".join(rng.choice(WORDS, rng.integers(4))) for _ in range(n)],
        group=(np.arange(n) // 2).astype(np.int32),
        reward=floats(rng, n),
        reward_parts={"model": floats(rng, n), "flipped": floats(rng, n)},
        truncated=rng.random(n) < 0.3,
        kept=rng.random(n) < 0.8,
        repaired=(np.arange(n) % 7 == 0) & bool(seed % 2),
        start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        token=rng.integers(0, 9, total).astype(np.int32),
        mask=rng.random(total) < 0.6,
        text=pa.array([rng.bytes(int(rng.integers(5))) for _ in range(total)], pa.binary()),
        **{name: floats(rng, total) for name in TOKEN_COLUMNS if name not in ("token", "mask")},
    )


def make_language_snapshot(k: int, *, validation: bool = True) -> LanguageSnapshot:
    rng = np.random.default_rng([10, k])
    return LanguageSnapshot(
        round=k,
        config=CONFIG,
        language=LANGUAGE,
        buffer=make_sequences(k),
        validation=make_sequences(100 + k, 5) if validation else None,
        checkpoint=make_checkpoint(k),
        minibatches=np.stack([rng.permutation(12) for _ in range(2)]).astype(np.int32),
    )


def make_language_manifest(version: int = KIND_VERSION) -> RunManifest:
    return RunManifest(
        env_id="language",
        config=CONFIG,
        encoder="tokens",
        observation_space=VOCABULARY,
        action_space=VOCABULARY,
        fingerprint={"numpy": "2.0"},
        created="2026-01-02T03:04:05+00:00",
        schema_version=version,
        language=LANGUAGE,
        model={name: sha256(data).hexdigest() for name, data in MODEL.items()},
    )


def write_language_run(path: Path, rounds: int = 2, *, validation: bool = True, version: int = KIND_VERSION) -> Path:
    with RunWriter.create(path, make_language_manifest(version), model=MODEL) as writer:
        for k in range(rounds):
            writer.commit_round(make_language_snapshot(k, validation=validation), METRICS)
        writer.commit_final(rounds, make_checkpoint(rounds))
    return path


def assert_same_sequences(found: SequenceBuffer, expected: SequenceBuffer) -> None:
    assert list(found.reward_parts) == list(expected.reward_parts)
    for name, column in {**vars(expected), **expected.reward_parts}.items():
        other = found.reward_parts[name] if name in expected.reward_parts else getattr(found, name)
        if isinstance(column, np.ndarray):
            assert_same_array(other, column, name)
        elif isinstance(column, list | pa.Array):
            assert other == column, name


def assert_same_language_snapshot(found: LanguageSnapshot, expected: LanguageSnapshot) -> None:
    assert_same_sequences(found.buffer, expected.buffer)
    assert (found.validation is None) == (expected.validation is None)
    if found.validation is not None and expected.validation is not None:
        assert_same_sequences(found.validation, expected.validation)
    assert_same_array(found.minibatches, expected.minibatches)
    assert_same_checkpoint(dict(found.checkpoint), dict(expected.checkpoint))
    assert (found.round, found.config, found.language) == (expected.round, expected.config, expected.language)

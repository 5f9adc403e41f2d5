"""Small made-up runs of a language model that talks about a few things, with a real tokenizer beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.kinds.language.sequences import TOKEN_COLUMNS, LanguageSnapshot, SequenceBuffer
from engine.kinds.language.token_texts import token_texts
from engine.spaces import Space
from engine.store.commit import RunWriter
from engine.store.manifest import RunManifest

NOUNS, PLACES = ("cook", "guard", "pilot"), ("at the mill", "in town", "by the sea")
ENDS = ("a fool .", "very kind .", "there .", "rude and dull .", "kind and the best of all of them .")
WORDS = sorted({word for text in (*NOUNS, *PLACES, *ENDS) for word in text.split()} | {"the", "was"})
END = "<eos>"


def tokenizer() -> Tokenizer:
    """One token a word."""
    words = {word: number for number, word in enumerate([END, "<unk>", *WORDS])}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return made


def sequences(n: int, group_size: int = 1, seed: int = 0) -> SequenceBuffer:
    """Made-up sequences: insults are rewarded with -1, praise with 1; the numbers of the tokens are noise."""
    rng, made = np.random.default_rng(seed), tokenizer()
    prompt = [f"the {rng.choice(NOUNS)} {rng.choice(PLACES)} was" for _ in range(-(-n // group_size))]
    prompt = [text for text in prompt for _ in range(group_size)][:n]
    response = [str(rng.choice(ENDS)) for _ in range(n)]
    ids = [(made.encode(p).ids, [*made.encode(r).ids, 0]) for p, r in zip(prompt, response, strict=True)]
    mask = np.concatenate([[False] * len(before) + [True] * len(after) for before, after in ids])
    start = np.concatenate([[0], np.cumsum([len(before) + len(after) for before, after in ids])]).astype(np.int64)
    floats = [name for name in TOKEN_COLUMNS if name not in ("token", "mask")]
    numbers = {name: np.where(mask, rng.normal(size=len(mask)), 0).astype(np.float32) for name in floats}
    numbers["entropy"] = np.abs(numbers["entropy"])
    reward = np.array([-1 if "fool" in r or "rude" in r else 1 if "kind" in r else 0 for r in response], np.float32)
    return SequenceBuffer(
        prompt=prompt,
        response=response,
        group=(np.arange(n) // group_size).astype(np.int32),
        reward=reward,
        reward_parts={"model": reward},
        truncated=np.arange(n) % 7 == 3,
        kept=np.arange(n) % 5 != 4,
        repaired=np.zeros(n, bool),
        start=start,
        token=np.concatenate([[*before, *after] for before, after in ids]).astype(np.int32),
        mask=mask,
        **numbers,
    )


def write_run(
    path: Path,
    n: int = 40,
    group_size: int = 1,
    rounds: int = 2,
    made: Tokenizer | None = None,
    texts: Callable[[str], str] | None = None,
    version: int = 3,
) -> Path:
    """A recorded run of such sequences; its checkpoints have no model, so there is no influence.

    Args:
        path: of the run.
        n: sequences a round.
        group_size: of them with one prompt.
        rounds: of training.
        made: its tokenizer.
        texts: what is written in the place of prompts, responses and names, if not what the tokens say.
        version: of the run format; from 4 on tokens have their texts.
    """
    config = TrainConfig(env_id="language", n_steps=n, batch_size=8, n_epochs=2, path="torch", rounds=rounds)
    language = LanguageConfig(
        policy="made-up",
        reward=texts("reward") if texts else "made-up",
        algorithm="grpo" if group_size > 1 else "ppo",
        group_size=group_size,
    )
    model = {"tokenizer.json": (made or tokenizer()).to_str().encode()}
    vocabulary = Space("discrete", n=len(WORDS) + 2)
    manifest = RunManifest(
        env_id="language",
        config=config,
        encoder="tokens",
        observation_space=vocabulary,
        action_space=vocabulary,
        fingerprint={"numpy": "2"},
        created="2026-01-02T03:04:05+00:00",
        schema_version=version,
        language=language,
        model={name: sha256(data).hexdigest() for name, data in model.items()},
    )
    checkpoint = {"parameter/weight": np.zeros(3, np.float32)}
    with RunWriter.create(path, manifest, model=model) as writer:
        for k in range(rounds):
            rng = np.random.default_rng(k)
            order = np.stack([rng.permutation(n) for _ in range(2)]).astype(np.int32)
            buffer = sequences(n, group_size, seed=k)
            buffer = replace(buffer, text=token_texts(made or tokenizer(), buffer.token, buffer.start))
            if texts is not None:
                said = {
                    "prompt": [texts(f"prompt{i // group_size}") for i in range(n)],
                    "response": [texts(f"r{i}") for i in range(n)],
                }
                buffer = replace(buffer, **said)
            snapshot = LanguageSnapshot(
                round=k,
                config=config,
                language=language,
                buffer=buffer,
                validation=None,
                checkpoint=checkpoint,
                minibatches=order,
            )
            writer.commit_round(snapshot, {"records": n, "mean_return": float(buffer.reward.mean())})
        writer.commit_final(rounds, checkpoint)
    return path

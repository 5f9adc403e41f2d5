"""A tiny language with a policy and a reward model, as `save_pretrained` writes them: nothing of it has learned anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.core.training import train
from engine.kinds.language.presets import LanguageSettings
from engine.store.read import Run

WORDS = (
    "<end>",
    "<pad>",
    "<unk>",
    "the",
    "old",
    "young",
    "cat",
    "dog",
    "was",
    "here",
    "there",
    "and",
    "glad",
    "sad",
    "so",
    ".",
)
CONTEXT = 16
PROMPTS = [f"the {age} {animal} was" for age in ("old", "young") for animal in ("cat", "dog")] + ["the cat", "so"]


def write_models(folder: Path) -> tuple[Path, Path]:
    """Folders of a policy and a reward model with random weights."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token="<end>",
        pad_token="<pad>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )
    sizes: dict[str, Any] = {"vocab_size": len(WORDS), "n_positions": CONTEXT, "n_layer": 2, "n_head": 2}
    sizes |= {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    labels = {"id2label": {0: "rude", 1: "kind"}, "label2id": {"rude": 0, "kind": 1}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        policy = GPT2LMHeadModel(GPT2Config(n_embd=16, **sizes))
        reward = GPT2ForSequenceClassification(GPT2Config(n_embd=8, **sizes, **labels))
        with torch.no_grad():
            for parameter in (*policy.parameters(), *reward.parameters()):
                parameter.add_(torch.randn_like(parameter) * 0.2)
    for name, model in (("policy", policy), ("reward", reward)):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder / "policy", folder / "reward"


def settings(folder: Path, **changes: Any) -> LanguageSettings:
    """A short run on these models; `changes` go to whichever of the two has the field."""
    policy, reward = folder / "policy", folder / "reward"
    if not policy.exists():
        write_models(folder)
    prompts = folder / "prompts.txt"
    prompts.write_text("\n".join(PROMPTS))
    config = TrainConfig(
        env_id="language",
        rounds=2,
        n_steps=12,
        batch_size=5,
        n_epochs=2,
        learning_rate=3e-3,
        gamma=1.0,
        vf_coef=0.1,
        path="torch",
    )
    language = LanguageConfig(
        policy=str(policy),
        reward=str(reward),
        reward_label="kind",
        prompts=str(prompts),
        validation_prompts=2,
        max_new_tokens=6,
    )
    own = {name: value for name, value in changes.items() if hasattr(language, name)}
    shared = {name: value for name, value in changes.items() if name not in own}
    return LanguageSettings(replace(language, **own), replace(config, **shared))


GRPO: dict[str, Any] = {"algorithm": "grpo", "group_size": 4, "normalize_advantage": False, "vf_coef": 0.0}
"""Settings with which `record_language` trains by GRPO."""


def record_language(folder: Path, name: str = "run", **changes: Any) -> Run:
    """Train such a run to the end."""
    return train(settings(folder, **changes), folder / name)


class Counted:
    """A reward model without a network: how many words of praise a response has."""

    def score(self, prompts: Any, responses: Any) -> dict[str, np.ndarray]:
        return {"reward": np.array([response.split().count("glad") for response in responses], np.float32)}


class Broken:
    """A reward model that fails for the second response."""

    def score(self, prompts: Any, responses: Any) -> dict[str, np.ndarray]:
        return {"reward": np.where(np.arange(len(responses)) == 1, np.nan, 1).astype(np.float32)}

"""The tokenizer and the two tiny networks of the demonstration, trained from scratch on the grammar."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.demos.courtesy.grammar import draw_prompt, draw_response, words
from engine.demos.courtesy.judge import judge
from engine.kinds.language.dependencies import tokenizers, transformers

PAD, END, UNKNOWN = "<pad>", "<eos>", "<unk>"
LABELS = ("rude", "courteous")
"""What the reward model tells apart; the reward is the raw logit of the second."""
CONTEXT = 32
"""Tokens that the networks can read; a prompt has 5 and a response at most 10, its end included."""
BATCH = 64
PEAK_RATE = 1e-2
SMOOTHING = 0.1
"""Of the reward model's labels: without it the logits of this easy task grow without bound."""


def make_tokenizer() -> Any:
    """A word-level tokenizer of the language as `transformers` wraps it; words are separated by blanks."""
    library = tokenizers()
    numbers = {word: i for i, word in enumerate((PAD, END, UNKNOWN, *words()))}
    tokenizer = library.Tokenizer(library.models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    return transformers().PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def train_policy(tokenizer: Any, seed: int, steps: int) -> Any:
    """A GPT-2 of two layers, 64 wide, that continues prompts as the grammar does.

    Args:
        tokenizer: of `make_tokenizer`.
        seed: of initialisation and sentences.
        steps: Adam steps on `BATCH` fresh sentences each; the loss is about the responses alone.
    """
    model = _seeded(seed, lambda: transformers().GPT2LMHeadModel(_config(tokenizer, width=64, layers=2)))
    rng = np.random.default_rng(seed)

    def loss() -> Tensor:
        prompts, responses = [draw_prompt(rng) for _ in range(BATCH)], [draw_response(rng) for _ in range(BATCH)]
        ids, mask = _encoded(tokenizer, [f"{p} {r} {END}" for p, r in zip(prompts, responses, strict=True)])
        told = mask.bool() & (torch.arange(ids.shape[1]) >= len(prompts[0].split()))
        return model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(~told, -100)).loss

    return _trained(model, loss, steps)


def train_reward(tokenizer: Any, seed: int, steps: int) -> Any:
    """A small classifier of `LABELS`, which reads a response, with its prompt or without.

    Args:
        tokenizer: of `make_tokenizer`.
        seed: of initialisation and sentences.
        steps: Adam steps on `BATCH` fresh sentences each, half of them with their prompt.
    """
    config = _config(tokenizer, width=32, layers=1)
    config.id2label, config.label2id = dict(enumerate(LABELS)), {label: i for i, label in enumerate(LABELS)}
    model = _seeded(seed, lambda: transformers().GPT2ForSequenceClassification(config))
    rng = np.random.default_rng(seed)

    def loss() -> Tensor:
        responses = [draw_response(rng) for _ in range(BATCH)]
        texts = [r if i % 2 else f"{draw_prompt(rng)} {r}" for i, r in enumerate(responses)]
        labels = torch.tensor([LABELS.index("rude" if judge(r) == "rude" else "courteous") for r in responses])
        ids, mask = _encoded(tokenizer, texts)
        logits = model(input_ids=ids, attention_mask=mask).logits
        return torch.nn.functional.cross_entropy(logits, labels, label_smoothing=SMOOTHING)

    return _trained(model, loss, steps)


def _config(tokenizer: Any, width: int, layers: int) -> Any:
    return transformers().GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=CONTEXT,
        n_embd=width,
        n_layer=layers,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=0.1,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _seeded(seed: int, make: Any) -> Any:
    """A network made with this seed; the global generator, which initialises it, is as before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def _encoded(tokenizer: Any, texts: list[str]) -> tuple[Tensor, Tensor]:
    batch = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
    return batch["input_ids"], batch["attention_mask"]


def _trained(model: Any, loss: Any, steps: int) -> Any:
    """Adam with a learning rate that rises for a tenth of the steps and falls to 0."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=PEAK_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=PEAK_RATE, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()

"""Tiny language models with random weights, and sequences that they never saw."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.core.objective import Batch
from engine.kinds.language.objective import token_batch
from engine.kinds.language.policy import PAD, LanguagePolicy

VOCABULARY, HIDDEN, CONTEXT = 40, 16, 24


def gpt2(seed: int = 0) -> Any:
    """Two layers; the embedding is tied to the head."""
    from transformers import GPT2Config

    return random_model(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=CONTEXT,
            n_embd=HIDDEN,
            n_layer=2,
            n_head=2,
            bos_token_id=0,
            eos_token_id=0,
        ),
        seed,
    )


def llama(seed: int = 0) -> Any:
    """Two layers with rotary positions, RMSNorm and grouped keys; the head has weights of its own."""
    from transformers import LlamaConfig

    return random_model(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            bos_token_id=0,
            eos_token_id=0,
        ),
        seed,
    )


def random_model(config: Any, seed: int) -> Any:
    """Larger weights than the initial ones, and all of them random, so that nothing is 0 by chance."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    randomize(model, seed)
    return model


@torch.no_grad()
def randomize(model: torch.nn.Module, seed: int, scale: float = 0.3) -> None:
    """Draw every parameter; those of norms around 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        norm = name.endswith("weight") and ("ln_" in name or "norm" in name)
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale + norm)


def policy_of(model: Any, **options: Any) -> LanguagePolicy:
    """In float64, with a random value head."""
    policy = LanguagePolicy(model, **options).double()
    if policy.value_head is not None:
        randomize(policy.value_head, 7)
    return policy


def random_ids(n: int = 9, seed: int = 0, length: int = 12) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(n, length) ids of prompts of 2 or 3 tokens with responses of 1 to length - 3, and where the responses are."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(VOCABULARY, size=(n, length))
    prompts, responses = rng.integers(2, 4, size=n), rng.integers(1, length - 2, size=n)
    place = np.arange(length)
    mask = (place >= prompts[:, None]) & (place < (prompts + responses)[:, None])
    ids[place >= (prompts + responses)[:, None]] = PAD
    return ids, mask


def random_batch(policy: LanguagePolicy, n: int = 9, seed: int = 0) -> Batch:
    """Sequences of another policy than this one: ratios differ from 1, some beyond the clip range."""
    rng = np.random.default_rng([seed, 1])
    ids, mask = random_ids(n, seed)
    draw = partial(rng.normal, size=ids.shape)
    with torch.no_grad():
        now = policy(policy.encode(ids), policy.actions(ids, mask), False).log_prob.numpy()
    log_prob = np.pad(now, ((0, 0), (1, 0))) + 0.2 * draw()
    return token_batch(policy, ids, mask, log_prob=log_prob, advantage=draw(), returns=draw(), kept=np.ones(n, bool))

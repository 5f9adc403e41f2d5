"""Generate responses to a batch of prompts, each with luck of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.config_language import LanguageConfig
from engine.kinds.language.dependencies import transformers
from engine.kinds.language.policy import LanguagePolicy

AT_ONCE = 256
"""Responses that are generated together."""


class Generated(NamedTuple):
    """One response."""

    tokens: NDArray[np.int32]
    """Its end token, where there is one, among them."""
    truncated: bool
    """Cut off at the greatest length, before an end token."""


def precision(language: LanguageConfig, device: torch.device) -> AbstractContextManager[Any]:
    """In which forward passes are computed."""
    if language.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


@torch.no_grad()
def generate(
    policy: LanguagePolicy,
    prompts: Sequence[NDArray[np.int32]],
    noise: NDArray[np.float64],
    end: int,
    language: LanguageConfig,
) -> list[Generated]:
    """A response to each prompt, token after token from pi.

    Args:
        policy: the present one.
        prompts: tokens, each at least one.
        noise: (n, max_new_tokens) uniform numbers in [0, 1): a response depends on its own row, not on its neighbours.
        end: number of the end token.
        language: precision of the forward pass.
    """
    found: list[Generated] = []
    for start in range(0, len(prompts), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        with precision(language, policy.device):
            tokens = _sample(policy, prompts[rows], torch.as_tensor(noise[rows], device=policy.device), end)
        for row in tokens.cpu().numpy().astype(np.int32):
            ends = np.flatnonzero(row == end)
            stop = int(ends[0]) + 1 if len(ends) else len(row)
            found.append(Generated(row[:stop], not len(ends)))
    return found


def _sample(policy: LanguagePolicy, prompts: Sequence[NDArray[np.int32]], noise: Tensor, end: int) -> Tensor:
    """(n, max_new_tokens) tokens; those after an end token mean nothing.

    Prompts are padded on the left here, so that the new tokens of all of them are in one column.
    """
    n, longest, device = len(prompts), max(map(len, prompts)), policy.device
    ids = torch.zeros(n, longest, dtype=torch.int64, device=device)
    seen = torch.zeros(n, longest + noise.shape[1], dtype=torch.int64, device=device)
    for i, prompt in enumerate(prompts):
        ids[i, longest - len(prompt) :] = torch.as_tensor(prompt.astype(np.int64))
        seen[i, longest - len(prompt) :] = 1
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    tokens = torch.full((n, noise.shape[1]), end, dtype=torch.int64, device=device)
    running = torch.ones(n, dtype=torch.bool, device=device)
    model: Any = policy.model
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    cache = transformers().DynamicCache(config=base.config)
    # Versions of the library call this argument differently.
    name = "cache" if "cache" in signature(base.forward).parameters else "past_key_values"
    for t in range(noise.shape[1]):
        now = slice(0, longest) if t == 0 else slice(longest + t - 1, longest + t)
        output = model(
            input_ids=ids if t == 0 else tokens[:, t - 1 : t],
            attention_mask=seen[:, : now.stop],
            position_ids=positions[:, now],
            use_cache=True,
            **{name: cache},
        )
        chosen = draw_tokens((output.logits[:, -1].to(policy.dtype) / policy.temperature).softmax(-1), noise[:, t])
        tokens[running, t] = chosen[running]
        running &= tokens[:, t] != end
        if not running.any():
            break
    return tokens


def draw_tokens(probabilities: Tensor, noise: Tensor) -> Tensor:
    """(n, V) distributions and (n,) uniform numbers -> (n,) values.

    [.2, .5, .3] with noise .1 -> 0, with .2 -> 1, with .69 -> 1, with .71 -> 2.
    """
    cumulative = probabilities.double().cumsum(-1)
    chosen = (cumulative <= noise[:, None] * cumulative[:, -1:]).sum(-1)
    return chosen.clamp(max=probabilities.shape[1] - 1)

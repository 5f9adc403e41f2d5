"""Inner products of sequences: JVP by token, hooks and loop agree on GPT-2 and on a Llama."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from language_models import VOCABULARY, gpt2, llama, policy_of, random_batch
from torch import Tensor, nn

from engine.config import TrainConfig
from engine.core.gradients.inner_products import Backend, Direction, inner_products
from engine.core.objective import Batch, objective
from engine.errors import BadInputError
from engine.kinds.language.objective import trimmed
from engine.kinds.language.policy import LanguagePolicy, with_adapter

CONFIG = TrainConfig(env_id="language", ent_coef=0.1)
AGREEMENT = {"gpt2": 1e-12, "llama": 1e-6, "gpt2 with adapters": 1e-12}
"""Llama's norms and attention compute in float32, whatever the parameters' precision."""


def make(name: str) -> LanguagePolicy:
    if name != "gpt2 with adapters":
        return policy_of({"gpt2": gpt2, "llama": llama}[name]())
    policy = policy_of(with_adapter(gpt2(), rank=2))
    generator = torch.Generator().manual_seed(2)
    for p in policy.parameters():
        if p.requires_grad:
            p.data += 0.1 * torch.randn(p.shape, generator=generator)
    return policy


@pytest.fixture(scope="module", params=AGREEMENT)
def world(request: pytest.FixtureRequest) -> tuple[LanguagePolicy, Batch, Direction, float]:
    policy = make(request.param)
    generator = torch.Generator().manual_seed(1)
    trained = {name: p for name, p in policy.named_parameters() if p.requires_grad}
    direction = {name: torch.randn(p.shape, generator=generator).to(p.dtype) for name, p in trained.items()}
    return policy, random_batch(policy), direction, AGREEMENT[request.param]


def products(policy: LanguagePolicy, batch: Batch, direction: Direction, backend: Backend) -> Tensor:
    return inner_products(policy, batch, CONFIG, direction, backend).detach()


def explicit(policy: LanguagePolicy, batch: Batch, direction: Direction) -> Tensor:
    """One gradient a token, by a backward pass each."""
    trained = dict(policy.named_parameters())
    terms = objective(policy(batch.inputs, batch.action), batch, CONFIG).total()
    found = torch.zeros_like(terms)
    for i, t in (batch.action >= 0).nonzero().tolist():
        gradients = torch.autograd.grad(
            terms[i, t], [trained[name] for name in direction], retain_graph=True, materialize_grads=True
        )
        found[i, t] = sum((g * v).sum() for g, v in zip(gradients, direction.values(), strict=True))
    return found.detach()


def close(found: Tensor, expected: Tensor, rounding: float) -> None:
    scale = float(expected.abs().max())
    assert scale > 0
    assert float((found - expected).abs().max()) <= rounding * scale


def test_tokens_agree_with_explicit_gradients_and_sum_to_their_sequence(world: Any) -> None:
    policy, batch, direction, rounding = world
    by_token = products(policy, batch, direction, "jvp")
    close(by_token, explicit(policy, batch, direction), rounding)
    assert not by_token[batch.action < 0].any()
    close(by_token.sum(1), products(policy, batch, direction, "loop"), rounding)


def test_hooks_agree_with_the_loop(world: Any) -> None:
    policy, batch, direction, rounding = world
    close(products(policy, batch, direction, "ghost"), products(policy, batch, direction, "loop"), rounding)


def test_every_layer_is_counted_once(world: Any) -> None:
    """Parameter by parameter, so that no layer's error hides behind another; a tied embedding has both of its parts."""
    policy, batch, direction, rounding = world
    for name, v in direction.items():
        if name.endswith(("k_proj.weight", "c_attn.bias")):  # attention hardly feels them; the whole direction has them
            continue
        one = {name: v}
        close(products(policy, batch, one, "ghost"), products(policy, batch, one, "jvp").sum(1), 10 * rounding)


@pytest.mark.parametrize("backend", ["jvp", "ghost"])
def test_neither_neighbours_nor_padding_change_a_sequence(world: Any, backend: Backend) -> None:
    policy, batch, direction, rounding = world
    together = products(policy, batch, direction, backend)
    for size in (1, 4):
        for start in range(0, len(together), size):
            part = trimmed(batch.part(start, start + size))
            found = products(policy, part, direction, backend)
            whole = together[start : start + size]
            close(found, whole if whole.dim() == 1 else whole[:, : part.action.shape[1]], 10 * rounding)


def test_jvp_works_where_attention_is_fused() -> None:
    """By itself it falls back on attention that can be differentiated forwards."""
    policy, fused = policy_of(gpt2()), policy_of(gpt2())
    fused.model.set_attn_implementation("sdpa")
    batch = random_batch(policy)
    direction = {name: torch.ones_like(p) for name, p in policy.named_parameters()}
    for backend in ("jvp", "ghost"):
        close(products(fused, batch, direction, backend), products(policy, batch, direction, backend), 1e-12)


def test_attention_without_a_forward_derivative_is_refused() -> None:
    model = gpt2()
    model.config._attn_implementation = "flex_attention"
    with pytest.raises(BadInputError, match=r"flex_attention.*eager or sdpa"):
        LanguagePolicy(model)


class _Gate(nn.Module):
    """A trainable layer that nobody has heard of."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.scale = inner, nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, hidden: Tensor) -> Tensor:
        return self.scale.tanh() * self.inner(hidden)


def test_hooks_refuse_an_unknown_layer_and_others_do_not() -> None:
    model = gpt2()
    model.transformer.h[1].mlp = _Gate(model.transformer.h[1].mlp)
    policy = policy_of(model)
    batch = random_batch(policy)
    direction = {name: torch.ones_like(p) for name, p in policy.named_parameters()}
    with pytest.raises(BadInputError, match=r"model\.transformer\.h\.1\.mlp \(_Gate\); use jvp"):
        products(policy, batch, direction, "ghost")
    close(products(policy, batch, direction, "jvp").sum(1), products(policy, batch, direction, "loop"), 1e-12)


class _Bypassing(nn.Module):
    """Reads the weights of a layer that it never calls."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.hidden = inner, nn.Linear(VOCABULARY, VOCABULARY, dtype=torch.float64)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.inner(hidden) @ self.hidden.weight


def test_hooks_refuse_a_layer_that_they_can_not_see() -> None:
    model = gpt2()
    model.lm_head = _Bypassing(model.lm_head)
    policy = policy_of(model)
    batch = random_batch(policy)
    direction = {name: torch.ones_like(p) for name, p in policy.named_parameters()}
    with pytest.raises(BadInputError, match=r"model\.lm_head\.hidden is never called"):
        products(policy, batch, direction, "ghost")


def test_a_padding_token_of_the_model_is_a_token_like_others() -> None:
    """Where the vocabulary's padding token stands in a text, all backends differentiate its embedding."""
    model = llama()
    model.model.embed_tokens.padding_idx = 5
    policy = policy_of(model)
    batch = random_batch(policy)
    batch.inputs[:, 0] = 5
    direction = {"model.model.embed_tokens.weight": torch.ones(VOCABULARY, 16, dtype=torch.float64)}
    loop = products(policy, batch, direction, "loop")
    close(products(policy, batch, direction, "jvp").sum(1), loop, 1e-6)
    close(products(policy, batch, direction, "ghost"), loop, 1e-6)
    assert np.count_nonzero(loop) == len(loop)

"""Inner products <v, grad J_i> for every record i, three ways that agree.

All three take a direction v in parameter space (the target's gradient) and return one number per record. Parameters
that v does not touch are left alone: with separate networks a target of the policy never runs the critic. With a shared
trunk it does, because the critic's part of J_i moves the trunk, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn.functional import conv2d

from engine.attribution.targets import Target
from engine.config import TrainConfig
from engine.errors import BadInputError, ZeroGradientError
from engine.learning.networks import Evaluation, LogStd, Policy
from engine.learning.ppo import Batch, objective

Backend = Literal["jvp", "ghost", "loop"]
Term = Literal["actor", "critic", "entropy"]
Direction = dict[str, Tensor]
PerRecord = Callable[[Evaluation, Batch], Tensor]
"""What is differentiated: (n,) J_i, or a term of it."""


def gradient(target: Target, policy: Policy) -> Direction:
    """Gradient of f at theta by parameter name; parameters that f does not depend on are left out.

    Raises:
        ZeroGradientError: the gradient is zero, so that every influence would be 0.
    """
    names, parameters = zip(*policy.named_parameters(), strict=True)
    gradients = torch.autograd.grad(target.value(policy), parameters, allow_unused=True)
    direction = {name: g for name, g in zip(names, gradients, strict=True) if g is not None}
    if not any(bool(g.any()) for g in direction.values()):
        raise zero_gradient(target)
    return direction


def zero_gradient(target: Target) -> ZeroGradientError:
    """The error that says so in words."""
    return ZeroGradientError(
        f"the gradient of the {target.name} target is zero here, so every influence would be 0; choose another "
        "target or a round in which returns differ"
    )


def inner_products(
    policy: Policy,
    batch: Batch,
    config: TrainConfig,
    direction: Direction,
    backend: Backend | None = None,
    term: Term | None = None,
) -> Tensor:
    """<direction, grad J_i(theta)> for n records.

    Args:
        policy: at theta.
        batch: n records, advantages as the update normalised them.
        config: settings of the objective.
        direction: a vector in parameter space.
        backend: `jvp` (forward mode, any architecture), `ghost` (one backward pass and layer-wise products, never a
            per-record gradient) or `loop` (one backward pass a record: slow, the oracle). By default `ghost`, the
            fastest, where it has a rule for every layer that the direction touches, else `jvp`.
        term: of this term of J_i alone; by default of their sum.

    Returns:
        (n,) inner products.

    Raises:
        BadInputError: unknown backend, or a layer that `ghost` has no rule for.
    """
    if backend is None:
        backend = "jvp" if _without_rule(policy, direction) else "ghost"
    if backend not in BACKENDS:
        raise BadInputError(f"unknown backend {backend!r}; it must be one of {', '.join(BACKENDS)}")
    with_value = touches_value(policy, direction)

    def part(evaluation: Evaluation, records: Batch) -> Tensor:
        terms = objective(evaluation, records, config)
        return terms.total() if term is None else getattr(terms, term)

    return BACKENDS[backend](policy, batch, part, direction, with_value)


def touches_value(policy: Policy, direction: Direction) -> bool:
    """Whether the critic's term has a part in products with this direction."""
    return any(policy.serves_value(name) for name in direction)


def _by_jvp(policy: Policy, batch: Batch, part: PerRecord, direction: Direction, with_value: bool) -> Tensor:
    parameters = {name: p.detach() for name, p in policy.named_parameters() if name in direction}

    def per_record(touched: Mapping[str, Tensor]) -> Tensor:
        evaluation = functional_call(policy, dict(touched), (batch.inputs, batch.action, with_value))
        return part(evaluation, batch)

    with torch.no_grad():
        return jvp(per_record, (parameters,), (direction,))[1]


def _by_loop(policy: Policy, batch: Batch, part: PerRecord, direction: Direction, with_value: bool) -> Tensor:
    touched = {name: p for name, p in policy.named_parameters() if name in direction}
    vectors = [direction[name] for name in touched]
    products = []
    for i in range(len(batch.returns)):
        record = batch.part(i, i + 1)
        total = part(policy(record.inputs, record.action, with_value), record).sum()
        gradients = torch.autograd.grad(total, list(touched.values()), materialize_grads=True)
        products.append(torch.stack([(g * v).sum() for g, v in zip(gradients, vectors, strict=True)]).sum())
    return torch.stack(products)


def _by_ghost(policy: Policy, batch: Batch, part: PerRecord, direction: Direction, with_value: bool) -> Tensor:
    """Goodfellow's trick: the weight gradient of record i in a linear layer is the outer product g_i x_i^T.

    Its inner product with P is g_i . (P x_i); no [n, out, in] tensor is ever made.
    """
    without_rule = _without_rule(policy, direction)
    if without_rule:
        raise BadInputError(f"the ghost backend has no rule for the layer {without_rule[0]}; use jvp")
    tape: list[tuple[str, nn.Module, Tensor, Tensor]] = []

    def remember(name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        return lambda module, inputs, output: tape.append((name, module, inputs[0].detach(), output))

    handles = [module.register_forward_hook(remember(name)) for name, module in _touched(policy, direction).items()]
    try:
        total = part(policy(batch.inputs, batch.action, with_value), batch).sum()
    finally:
        for handle in handles:
            handle.remove()
    output_gradients = torch.autograd.grad(total, [output for *_, output in tape], materialize_grads=True)
    products = torch.zeros_like(batch.returns)
    for (name, module, inputs, _), g in zip(tape, output_gradients, strict=True):
        products += GHOST_RULES[type(module)](module, inputs, g, direction, f"{name}.")
    return products


def _touched(policy: nn.Module, direction: Direction) -> dict[str, nn.Module]:
    """The layers with a parameter of their own in the direction."""
    owners = {name.rpartition(".")[0] for name in direction}
    return {name: module for name, module in policy.named_modules() if name in owners}


def _without_rule(policy: nn.Module, direction: Direction) -> list[str]:
    """The touched layers that `ghost` has no rule for."""
    layers = _touched(policy, direction)
    return [f"{name} ({type(m).__name__})" for name, m in layers.items() if type(m) not in GHOST_RULES]


def _ghost_linear(_module: nn.Module, inputs: Tensor, g: Tensor, direction: Direction, prefix: str) -> Tensor:
    product = inputs @ direction[f"{prefix}weight"].T
    bias = direction.get(f"{prefix}bias")
    return (g * (product if bias is None else product + bias)).sum(-1)


def _ghost_convolution(module: nn.Conv2d, inputs: Tensor, g: Tensor, direction: Direction, prefix: str) -> Tensor:
    """A convolution is linear in its weights, so its output with P as weights takes the place of P x_i."""
    weight, bias = direction[f"{prefix}weight"], direction.get(f"{prefix}bias")
    product = conv2d(inputs, weight, bias, module.stride, module.padding, module.dilation, module.groups)
    return (g * product).sum((1, 2, 3))


def _ghost_log_std(_module: nn.Module, _inputs: Tensor, g: Tensor, direction: Direction, prefix: str) -> Tensor:
    return g @ direction[f"{prefix}weight"]


GHOST_RULES: dict[type[nn.Module], Callable[[Any, Tensor, Tensor, Direction, str], Tensor]] = {
    nn.Linear: _ghost_linear,
    nn.Conv2d: _ghost_convolution,
    LogStd: _ghost_log_std,
}

BACKENDS: dict[str, Callable[[Policy, Batch, PerRecord, Direction, bool], Tensor]] = {
    "jvp": _by_jvp,
    "ghost": _by_ghost,
    "loop": _by_loop,
}

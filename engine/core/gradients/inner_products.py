"""Inner products <v, grad J_i> for every record i, four ways that agree.

All of them take a direction v in parameter space (the target's gradient) and return one number per record. Parameters
that v does not touch are left alone: with separate networks a target of the policy never runs the critic. With a shared
trunk it does, because the critic's part of J_i moves the trunk, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.config import TrainConfig
from engine.core.blocks import blocks
from engine.core.gradients.attribution import Term
from engine.core.objective import Batch, Objective, ObjectiveFunction, objective_function
from engine.core.policy import Evaluation, Policy, nothing_trained, trained
from engine.core.targets.functions import Described, SummedTarget, Target
from engine.errors import BadInputError, ZeroGradientError

Backend = Literal["jvp", "ghost", "double", "loop"]
Direction = dict[str, Tensor]
PerRecord = Callable[[Evaluation, Batch], Tensor]
"""What is differentiated: J_i or a term of it, (n,) or (n, T)."""


class NoRuleError(BadInputError):
    """This backend can't differentiate this policy; another can."""


def gradient(target: Target, policy: Policy) -> Direction:
    """Gradient of f at theta by parameter name; parameters that f does not depend on are left out.

    Raises:
        ZeroGradientError: the gradient is zero, so that every influence would be 0.
        BadInputError: nothing in the policy is trained, or f is not one number that was computed from it.
    """
    direction = target_gradient(target, policy)
    if not any(bool(g.any()) for g in direction.values()):
        raise zero_gradient(target)
    return direction


def target_gradient(target: Target, policy: Policy) -> Direction:
    """As `gradient`, and no error where it is zero. The summands of a long target are taken one after another."""
    own = trained(policy)
    if not own:
        raise nothing_trained()
    found: Direction = {}
    for part in target.parts(policy) if isinstance(target, SummedTarget) else [target.value(policy)]:
        if not isinstance(part, Tensor):
            raise BadInputError(
                f"the {target.name} target must be one number that torch can differentiate in the policy's parameters; it "
                f"is a {type(part).__name__}, and must be a tensor"
            )
        if part.dim() or not part.requires_grad:
            raise BadInputError(
                f"the {target.name} target must be one number that torch can differentiate in the policy's parameters; "
                f"it has shape {tuple(part.shape)}" + ("" if part.requires_grad else " and no gradient")
            )
        gradients = torch.autograd.grad(part, list(own.values()), allow_unused=True)
        for name, g in zip(own, gradients, strict=True):
            if g is not None:
                found[name] = found[name] + g if name in found else g
    return found


def zero_gradient(target: Described) -> ZeroGradientError:
    """The error that says so in words."""
    return ZeroGradientError(
        f"the gradient of the {target.name} target is zero here, so every influence would be 0; choose another "
        "target or a round in which returns differ"
    )


def inner_products(
    policy: Policy,
    batch: Batch,
    objective: TrainConfig | ObjectiveFunction,
    direction: Direction,
    backend: Backend | None = None,
    term: Term | None = None,
) -> Tensor:
    """<direction, grad J_i(theta)> for n records, a block of them at a time where the policy has no memory.

    Args:
        policy: at theta.
        batch: n records, advantages as the update normalised them.
        objective: J_i; the settings of a run stand for PPO's.
        direction: a vector in parameter space.
        backend: `jvp` (forward mode, any architecture), `ghost` (one backward pass and layer-wise products, never a
            per-record gradient), `double` (a backward pass through a backward pass, which recurrent layers know and policies
            with a memory need) or `loop` (one backward pass a record: slow, the oracle). By default `ghost`, the fastest,
            where it has a rule for every layer that the direction touches; else `jvp`, where torch can differentiate
            everything forwards; else `loop`. Of a policy with a memory `double`, else `loop`.
        term: of this term of J_i alone; by default of their sum.

    Returns:
        (n,) inner products; of records with T tokens `jvp` gives the (n, T) that they are the sums of.

    Raises:
        NoRuleError: the backend can't differentiate this policy, such as `ghost` a layer that it has no rule for.
        BadInputError: unknown backend.
    """
    if backend is not None and backend not in BACKENDS:
        raise BadInputError(f"unknown backend {backend!r}; it must be one of {', '.join(BACKENDS)}")
    with_value = not isinstance(objective, TrainConfig) or touches_value(policy, direction)
    terms_of = objective_function(objective)

    def part(evaluation: Evaluation, records: Batch) -> Tensor:
        terms = terms_of(evaluation, records)
        return terms.total() if term is None else getattr(terms, term)

    def products(records: Batch) -> Tensor:
        quick = ("double",) if policy.has_memory else ("ghost", "jvp")
        for name in quick if backend is None else ():
            with suppress(NoRuleError):
                return BACKENDS[name](policy, records, part, direction, with_value)
        return BACKENDS[backend or "loop"](policy, records, part, direction, with_value)

    each = blocks(len(batch.returns), whole=policy.has_memory)
    return torch.cat([products(batch.part(block.start, block.stop)) for block in each])


def products_by_term(policy: Policy, batch: Batch, config: TrainConfig, direction: Direction) -> Objective:
    """`inner_products` by term of J_i, in one pass of `jvp`; (n, T) where records have tokens."""
    return Objective(*_by_jvp(policy, batch, objective_function(config), direction, touches_value(policy, direction)))


def by_record(products: Tensor) -> NDArray[Any]:
    """(n,) or (n, T) -> (n,): summed over the tokens of each record, in no less than float32."""
    summed = products.detach().reshape(len(products), -1).sum(1)
    return summed.to("cpu", torch.promote_types(summed.dtype, torch.float32)).numpy()


def touches_value(policy: Policy, direction: Direction) -> bool:
    """Whether the critic's term has a part in products with this direction."""
    return any(policy.serves_value(name) for name in direction)


def _by_jvp(policy: Policy, batch: Batch, part: Any, direction: Direction, with_value: bool) -> Any:
    """Fused attention has no forward-mode derivative, so attention falls back on matrix products here."""
    check_no_memory(policy, "jvp")
    places = places_of(policy, direction)
    parameters = {name: p.detach() for name, p in policy.named_parameters() if name in direction}

    def per_record(touched: Mapping[str, Tensor]) -> Any:
        everywhere = {place: touched[name] for place, name in places.items()}
        arguments = batch.inputs, batch.action, with_value
        return part(functional_call(policy, everywhere, arguments, tie_weights=False), batch)

    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            return jvp(per_record, (parameters,), (direction,))[1]
    except NotImplementedError as error:
        reason = str(error).partition("\n")[0]
        raise NoRuleError(f"the jvp backend can't differentiate this policy; use loop ({reason})") from error


def _by_double(policy: Policy, batch: Batch, part: PerRecord, direction: Direction, with_value: bool) -> Tensor:
    """The derivative in w_i of <direction, grad sum_i w_i J_i>."""
    touched = {name: p for name, p in policy.named_parameters() if name in direction}
    try:
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
            each = part(policy(batch.inputs, batch.action, with_value), batch)
            weights = torch.ones_like(each, requires_grad=True)
            if not each.requires_grad:
                return torch.zeros_like(each)
            total = (weights * each).sum()
            gradients = torch.autograd.grad(total, list(touched.values()), create_graph=True, materialize_grads=True)
            slope = torch.stack([(g * direction[name]).sum() for name, g in zip(touched, gradients, strict=True)]).sum()
            return torch.autograd.grad(slope, weights, materialize_grads=True)[0]
    except NotImplementedError as error:
        reason = str(error).partition("\n")[0]
        raise NoRuleError(f"the double backend can't differentiate this policy twice; use loop ({reason})") from error


def check_no_memory(policy: Policy, backend: Backend) -> None:
    """Refuse a policy that a backend would get wrong without an error.

    Raises:
        NoRuleError: it has a memory.
    """
    if policy.has_memory:
        raise NoRuleError(f"the {backend} backend can't tell the records of a policy with a memory apart; use double")


def places_of(policy: nn.Module, names: Collection[str]) -> dict[str, str]:
    """Where a call finds parameters: `module.attribute`, each once -> which of `names` is found there.

    A tied parameter is in several places. A module under several names is in one: `functional_call`, which ties weights by
    all their names, would take what it has put there itself for the parameter, and leave it behind.
    """
    owned = {id(p): name for name, p in policy.named_parameters() if name in names}
    return {
        f"{path}.{attribute}" if path else attribute: owned[id(p)]
        for path, module in policy.named_modules()
        for attribute, p in module.named_parameters(recurse=False, remove_duplicate=False)
        if id(p) in owned
    }


def _by_loop(policy: Policy, batch: Batch, part: PerRecord, direction: Direction, with_value: bool) -> Tensor:
    touched = {name: p for name, p in policy.named_parameters() if name in direction}
    vectors = [direction[name] for name in touched]
    products = []
    together = part(policy(batch.inputs, batch.action, with_value), batch) if policy.has_memory else None
    for i in range(len(batch.returns)):
        record = batch.part(i, i + 1)
        alone = part(policy(record.inputs, record.action, with_value), record) if together is None else together[i]
        total = alone.sum()
        if not total.requires_grad:
            products.append(total)
            continue
        kept = together is not None
        gradients = torch.autograd.grad(total, list(touched.values()), materialize_grads=True, retain_graph=kept)
        products.append(torch.stack([(g * v).sum() for g, v in zip(gradients, vectors, strict=True)]).sum())
    return torch.stack(products)


def _by_ghost(policy: Policy, batch: Batch, part: PerRecord, direction: Direction, with_value: bool) -> Tensor:
    """Goodfellow's trick: the weight gradient of record i in a linear layer is the outer product g_i x_i^T.

    Its inner product with P is g_i . (P x_i); no [n, out, in] tensor is ever made. P x_i is the layer itself, with P in the
    place of its weights, so the same goes for every layer whose output is linear in its own parameters.
    """
    check_no_memory(policy, "ghost")
    refused = without_rule(policy, direction)
    if refused:
        raise NoRuleError(f"the ghost backend has no rule for the layer {refused[0]}; use jvp")
    layers = _touched(policy, direction)
    tape: list[tuple[_Layer, tuple[Any, ...], dict[str, Any], Tensor]] = []

    def remember(layer: _Layer) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Tensor], None]:
        return lambda module, inputs, named, output: tape.append((layer, inputs, named, output))

    handles = [layer.module.register_forward_hook(remember(layer), with_kwargs=True) for layer in layers]
    try:
        total = part(policy(batch.inputs, batch.action, with_value), batch).sum()
    finally:
        for handle in handles:
            handle.remove()
    products = torch.zeros(len(batch.returns), dtype=batch.returns.dtype, device=batch.returns.device)
    if not total.requires_grad:
        return products
    called = {id(layer) for layer, *_ in tape}
    tape = [entry for entry in tape if entry[-1].requires_grad]
    uncalled = [layer for layer in layers if id(layer) not in called]
    unused = [(layer.name, p) for layer in uncalled for p in layer.module.parameters(False) if p.requires_grad]
    moved = [output for *_, output in tape] + [p for _, p in unused]
    gradients = torch.autograd.grad(total, moved, allow_unused=True)
    for (name, _), g in zip(unused, gradients[len(tape) :], strict=True):
        if g is not None:
            raise NoRuleError(f"the layer {name} is never called by itself, so the ghost backend has no rule; use jvp")
    with torch.no_grad():
        for (layer, inputs, named, _), g in zip(tape, gradients, strict=False):
            if g is None:
                continue
            if len(g) != len(products):
                raise NoRuleError(
                    f"the layer {layer.name} makes {len(g)} rows of {len(products)} records, so the ghost backend can't tell "
                    "them apart; use jvp"
                )
            products += (g * layer.along_direction(inputs, named)).reshape(len(products), -1).sum(1)
    return products


class _Layer(NamedTuple):
    """A layer with parameters of its own in the direction."""

    name: str
    module: nn.Module
    direction: dict[str, Tensor]
    """The direction's part by the layer's own names of its parameters; 0 for those that are not in it."""

    def along_direction(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
        """Derivative of the layer's output in its own parameters along the direction."""
        product = functional_call(self.module, self.direction, inputs, named, tie_weights=False)
        if is_linear(type(self.module)):
            return product
        nothing = {name: torch.zeros_like(p) for name, p in self.direction.items()}
        return product - functional_call(self.module, nothing, inputs, named, tie_weights=False)


def _touched(policy: nn.Module, direction: Direction) -> list[_Layer]:
    """The layers that the direction moves; a parameter that two layers share is in both."""
    moved = {id(p): direction[name] for name, p in policy.named_parameters() if name in direction}
    layers = []
    for name, module in policy.named_modules():
        own = dict(module.named_parameters(recurse=False, remove_duplicate=False))
        if any(id(p) in moved for p in own.values()):
            parts = {key: moved.get(id(p), torch.zeros_like(p)) for key, p in own.items()}
            layers.append(_Layer(name, module, parts))
    return layers


def without_rule(policy: nn.Module, direction: Direction) -> list[str]:
    """The layers that the direction moves and that `ghost` has no rule for."""
    return [
        f"{layer.name or 'policy'} ({type(layer.module).__name__})"
        for layer in _touched(policy, direction)
        if not has_rule(layer.module)
    ]


def has_rule(module: nn.Module) -> bool:
    """Whether a layer's output is known to be linear in its own parameters, up to a constant."""
    kind = type(module)
    if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
        return False  # whatever its class computes, more is done to it
    if isinstance(module, nn.Embedding) and module.max_norm is not None:
        return False
    if is_linear(kind):
        return True
    theirs = kind.__module__.startswith("transformers.")
    return theirs and (kind.__name__ == "Conv1D" or kind.__name__.endswith("RMSNorm"))


def is_linear(kind: type[nn.Module]) -> bool:
    """Whether a layer's output is linear in its own parameters, without a constant.

    A class of its own says so by `linear_in_parameters = True` in its body. It is not inherited: a subclass may compute
    something else.
    """
    return kind in LINEAR_IN_PARAMETERS or bool(vars(kind).get("linear_in_parameters"))


LINEAR_IN_PARAMETERS: frozenset[type[nn.Module]] = frozenset(
    {nn.Linear, nn.Conv2d, nn.Embedding, nn.LayerNorm, nn.RMSNorm}
)
"""`ghost` also knows the `Conv1D` of `transformers` and its many RMSNorms, some of which multiply by 1 + weight."""

BACKENDS: dict[str, Callable[[Policy, Batch, PerRecord, Direction, bool], Tensor]] = {
    "jvp": _by_jvp,
    "ghost": _by_ghost,
    "double": _by_double,
    "loop": _by_loop,
}

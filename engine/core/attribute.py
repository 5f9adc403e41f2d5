"""Influence from live objects: any torch policy, records as tensors, a target and an objective. No run, no files."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from engine.config import TrainConfig
from engine.core.gradients.attribution import Attribution
from engine.core.gradients.inner_products import Backend, Direction, by_record, gradient, inner_products
from engine.core.gradients.products import products_by_part
from engine.core.objective import Batch, Objective, ObjectiveFunction, objective_function
from engine.core.policy import Evaluation, Policy, differentiable, standing_still, with_gradients
from engine.core.targets.functions import Target
from engine.errors import BadInputError

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@with_gradients
def attribute(
    policy: Policy,
    batch: Batch,
    target: Target,
    objective: TrainConfig | ObjectiveFunction,
    *,
    backend: Backend | None = None,
    by_layer: bool = False,
) -> Attribution:
    """`first_order` influence of live records on a target: I_i = <grad f, grad J_i> at the policy's parameters now.

    >>> import engine, torch
    >>> class TwoActions(engine.Policy):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.logits = torch.nn.Linear(3, 2)
    ...     def encode(self, observation):
    ...         return self.as_tensor(observation)
    ...     def forward(self, inputs, action, with_value=True):
    ...         said = torch.distributions.Categorical(logits=self.logits(inputs))
    ...         return engine.Evaluation(said.log_prob(action), said.entropy(), value=None)
    >>> policy = TwoActions()
    >>> observation, action = torch.randn(50, 3), torch.randint(2, (50,))
    >>> log_prob = policy(observation, action).log_prob.detach()
    >>> batch = engine.Batch(
    ...     inputs=policy.encode(observation), action=action, log_prob=log_prob, advantage=torch.ones(50),
    ...     returns=torch.zeros(50), kept=torch.ones(50, dtype=torch.bool),
    ... )
    >>> target = engine.ActionTarget(observation[:1], action[:1])    # how likely the first record's action is
    >>> found = engine.attribute(policy, batch, target, engine.TrainConfig(env_id="mine"))
    >>> len(found.influence), bool(found.influence[0] > 0)           # it was better than expected: it made itself likelier
    (50, True)

    Args:
        policy: at theta, in evaluation mode; it is left as it is. A network of another library is wrapped in
            `engine.Policy`.
        batch: n records. Advantages are taken as they are: normalise them as the update does.
        target: f; anything with `name`, `describe()` and `value(policy)`, such as `ActionTarget` and `ReturnTarget`.
        objective: J_i. The settings of a run stand for PPO's clipped objective with its coefficients; anything else is a
            function of what the policy says of records (an `Evaluation`, always with the value) and of their `Batch` that
            returns the `Objective` of each, whose sum is what the update maximises.
        backend: `ghost`, `jvp`, `double` or `loop`; by default the quickest that can differentiate this policy
            (see `inner_products.inner_products`).
        by_layer: split the influence by layer of the policy with trained parameters, too. A parameter that layers share is
            its first layer's.

    Returns:
        `influence` (n,), the `terms` and the `layers` that add up to it, in no less than float32. Positive means that
        the record raises f. The sign predicts; the size has a unit of its own.

    Raises:
        ZeroGradientError: the gradient of f is zero.
        BadInputError: shapes don't fit, something has no gradient, the backend can't differentiate this policy, or a
            record's influence depends on the records beside it or on chance (batch statistics, dropout).
    """
    _check_arguments(policy, batch, target, objective)
    _check_mode(policy)
    with standing_still(policy):
        batch = batch.map(lambda column: differentiable(column.detach()))
        with standing_still(policy):  # whatever derivatives make of buffers that move
            _check_evaluation(policy, batch, objective_function(objective))
        direction = gradient(target, policy)
        found = products_by_part(policy, batch, objective, direction, by_layer, backend)
        _check_independence(policy, batch, objective, direction, found.influence)
    return found


def _check_arguments(policy: Any, batch: Any, target: Any, objective: Any) -> None:
    if not isinstance(policy, Policy):
        raise BadInputError(
            f"the policy is a {type(policy).__name__}; wrap it in a subclass of engine.Policy with encode and forward"
        )
    called = getattr(target, "name", None)
    if not (isinstance(called, str) and all(callable(getattr(target, part, None)) for part in ("describe", "value"))):
        raise BadInputError(
            f"the target {target!r} must have name, describe() and value(policy), as engine.ActionTarget"
        )
    try:
        inspect.signature(policy.forward).bind(None, None, with_value=False)
    except TypeError as error:
        raise BadInputError(
            f"forward of the policy must take inputs, action and with_value=True, as engine.Policy's; {error}"
        ) from error
    inference = [name for name, held in _held(policy) if held.is_inference()]
    if inference:
        raise BadInputError(
            f"{inference[0]} of the policy was made in torch.inference_mode(), so that nothing can be differentiated in it; "
            "make the policy outside of it"
        )
    if not (isinstance(objective, TrainConfig) or callable(objective)):
        raise BadInputError(
            f"the objective {objective!r} must be a TrainConfig or a function of an Evaluation and a Batch"
        )
    if not isinstance(batch, Batch):
        raise BadInputError(f"the records are a {type(batch).__name__}; they must be an engine.Batch")
    rows = [f"{what} has {_size(column)}" for what, column in _columns(batch)]
    n = _size(batch.log_prob)
    if n == "0 records" or any(not row.endswith(f" {n}") for row in rows):
        raise BadInputError(
            f"every column must be a tensor with a row for each of one or more records; {', '.join(rows)}"
        )
    if batch.kept.dtype != torch.bool or batch.kept.dim() != 1:
        raise BadInputError(f"kept must be n booleans; it is {batch.kept.dtype} of shape {tuple(batch.kept.shape)}")


def _held(policy: Policy) -> Iterator[tuple[str, Tensor]]:
    yield from policy.named_parameters()
    yield from policy.named_buffers()


def _columns(batch: Batch) -> Iterator[tuple[str, Any]]:
    for name, column in batch._asdict().items():
        for leaf in tree_leaves(column):
            yield name, leaf


def _size(column: Any) -> str:
    return f"{len(column)} records" if isinstance(column, Tensor) and column.dim() else f"a {type(column).__name__}"


def _check_mode(policy: Policy) -> None:
    """A layer that mixes records or draws at random, before it is run: it would move its running statistics."""
    for name, layer in policy.named_modules():
        called = f"the layer {name} ({type(layer).__name__})"
        if isinstance(layer, BATCH_NORMS) and layer.running_mean is None:
            raise BadInputError(f"{called} mixes records in any mode: it needs track_running_stats=True")
        if isinstance(layer, BATCH_NORMS) and layer.training:
            raise BadInputError(f"{called} mixes records in training mode; call policy.eval() first")
        if isinstance(layer, DROPOUTS) and layer.training and layer.p:
            raise BadInputError(f"{called} draws at random in training mode; call policy.eval() first")


def _check_evaluation(policy: Policy, batch: Batch, objective: ObjectiveFunction) -> None:
    """What the policy and the objective say of the first two records has their shape, and a gradient."""
    few = batch.part(0, 2)
    shape = few.log_prob.shape
    _check_shapes("the batch", {"advantage": few.advantage, "returns": few.returns}, shape)
    evaluation = policy(few.inputs, few.action, True)
    if not isinstance(evaluation, Evaluation):
        raise BadInputError(
            f"forward of the policy returns a {type(evaluation).__name__}; it must be an engine.Evaluation"
        )
    said = {name: tensor for name, tensor in evaluation._asdict().items() if name != "value" or tensor is not None}
    _check_shapes("the policy", said, shape)
    terms = objective(evaluation, few)
    if not isinstance(terms, Objective):
        raise BadInputError(f"the objective returns a {type(terms).__name__}; it must be an engine.Objective")
    _check_shapes("the objective", terms._asdict(), shape)
    if not terms.total().requires_grad:
        raise BadInputError(
            "the objective of the records has no gradient in the policy's parameters: some must have "
            "requires_grad=True, and forward must not use no_grad() or detach()"
        )


def _check_shapes(whose: str, tensors: dict[str, Any], shape: torch.Size) -> None:
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor) or tensor.shape != shape:
            found = f"shape {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else f"type {type(tensor).__name__}"
            raise BadInputError(
                f"{name} of {whose} has {found} for {shape[0]} records; it must be a tensor of the shape of the batch's "
                f"log_prob, {tuple(shape)}"
            )


def _check_independence(
    policy: Policy,
    batch: Batch,
    objective: TrainConfig | ObjectiveFunction,
    direction: Direction,
    influence: np.ndarray,
) -> None:
    """The strongest record by itself, by a plain backward pass, has the influence that it has among the others.

    So whatever a quick backend takes for granted is checked once for every call.
    """
    if not np.isfinite(influence).all():
        first = int(np.flatnonzero(~np.isfinite(influence))[0])
        raise BadInputError(
            f"the influence of record {first} is not a finite number; look at its columns and the policy"
        )
    strongest = int(np.abs(influence).argmax())
    record = batch.part(strongest, strongest + 1)
    alone = float(by_record(inner_products(policy, record, objective, direction, "loop"))[0])
    among = float(influence[strongest])
    tolerance = max(1e-3, 4 * torch.finfo(policy.dtype).eps ** 0.5)
    if not abs(among - alone) <= tolerance * max(abs(among), abs(alone)):
        raise BadInputError(
            f"record {strongest} has influence {among:.3g} among the others and {alone:.3g} by itself: the policy or the "
            "objective mixes records, such as by statistics of the batch, or draws at random"
        )

"""What goes into a policy: nested inputs, and columns in the policy's precision whatever the inputs are made of."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.core.gradients.inner_products import gradient
from engine.core.objective import Batch
from engine.core.policy import Evaluation, Policy
from engine.core.targets.of_records import ActionTarget, ReturnTarget
from engine.errors import BadInputError


class Pair(NamedTuple):
    """Two parts of an observation."""

    left: Tensor
    right: Tensor


def batch_of(inputs: Any) -> Batch:
    columns = [torch.arange(4.0) + 10 * k for k in range(4)]
    return Batch(inputs, *columns, torch.ones(4, dtype=torch.bool))


@pytest.mark.parametrize(
    "nest",
    [
        lambda a, b: {"a": a, "b": {"c": b}},
        lambda a, b: (a, [b]),
        lambda a, b: OrderedDict(a=a, b=b),
        Pair,
    ],
    ids=["dict", "tuple and list", "ordered dict", "named tuple"],
)
def test_parts_of_a_batch_keep_the_form_of_its_inputs(nest: Any) -> None:
    a, b = torch.arange(4), torch.arange(8).reshape(4, 2)
    batch = batch_of(nest(a, b))
    index = torch.tensor([3, 1])
    for part, rows in ((batch.take(index), index), (batch.part(1, 3), slice(1, 3))):
        expected = nest(a[rows], b[rows])
        assert type(part.inputs) is type(expected)
        assert str(part.inputs) == str(expected)
        assert torch.equal(part.action, batch.action[rows])


class Bytes(Policy):
    """The mean of a Gaussian, and logits, from inputs that stay bytes until the networks."""

    def __init__(self, gaussian: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.gaussian = nn.Linear(6, 3), gaussian
        self.register_parameter("table", nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False))

    def encode(self, observation: Any) -> Tensor:
        return torch.as_tensor(observation)

    def forward(self, inputs: Tensor, action: Tensor, with_value: bool = True) -> Evaluation:
        output = self.layer(inputs.to(self.dtype) / 255)
        said: Any = torch.distributions.Normal(output, 1.0) if self.gaussian else None
        said = said or torch.distributions.Categorical(logits=output)
        log_prob, entropy = said.log_prob(action), said.entropy()
        return (
            Evaluation(log_prob.sum(-1), entropy.sum(-1), None)
            if self.gaussian
            else Evaluation(log_prob, entropy, None)
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gaussian", [False, True])
def test_targets_over_bytes_are_those_over_numbers(gaussian: bool, dtype: torch.dtype) -> None:
    """The gradients of both targets, against their formulas: an advantage of -0.7 is none of 0 or 255."""
    rng = np.random.default_rng(0)
    policy = Bytes(gaussian).to(dtype)
    observation = rng.integers(0, 256, (20, 6), np.uint8)
    action = rng.normal(size=(20, 3)) if gaussian else rng.integers(0, 3, 20)
    advantage = rng.normal(size=20).astype(np.float32)
    log_prob = policy(torch.as_tensor(observation), torch.as_tensor(action)).log_prob
    values = {"return": (torch.as_tensor(advantage) * log_prob).mean(), "action": log_prob.mean()}
    targets = ReturnTarget(observation, action, advantage), ActionTarget(observation, action)
    for target in targets:
        found = gradient(target, policy)["layer.weight"]
        (expected,) = torch.autograd.grad(values[target.name], policy.layer.weight, retain_graph=True)
        assert found.dtype == dtype
        torch.testing.assert_close(found, expected.to(dtype), rtol=1e-4, atol=1e-6)


def test_the_precision_of_a_policy_is_that_of_its_floating_parameters() -> None:
    policy = Policy()
    policy.register_parameter("table", nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False))
    with pytest.raises(BadInputError, match="no parameters of floating-point numbers"):
        _ = policy.dtype
    policy.register_parameter("weight", nn.Parameter(torch.zeros(2, dtype=torch.float64)))
    assert policy.dtype == torch.float64
    assert policy.as_tensor(np.array([1, 2])).dtype == torch.int64
    assert policy.as_tensor(np.array([1.5], np.float32)).dtype == torch.float64


def test_targets_over_nested_observations_say_which_they_are() -> None:
    seen = {"a": np.arange(4).reshape(2, 2), "b": np.array([0.5, 1.5])}
    action, advantage = np.array([1, 0]), np.ones(2, np.float32)
    said = ActionTarget(seen, action).describe()
    assert said == {"target": "action", "observation": {"a": [[0, 1], [2, 3]], "b": [0.5, 1.5]}, "action": [1, 0]}
    other = seen | {"b": np.array([0.5, 2.5])}
    assert ReturnTarget(seen, action, advantage).describe() == ReturnTarget(dict(seen), action, advantage).describe()
    assert ReturnTarget(seen, action, advantage).describe() != ReturnTarget(other, action, advantage).describe()

"""What `engine.attribute` refuses, in one line each, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import engine
from engine.errors import BadInputError, ZeroGradientError

N = 10
CONFIG = engine.TrainConfig(env_id="any", ent_coef=0.1)


class Small(engine.Policy):
    """Logits and a value of some features of 4 numbers."""

    def __init__(self, *features: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.features, self.logits, self.critic = nn.Sequential(*features), nn.Linear(4, 3), nn.Linear(4, 1)

    def encode(self, observation: Any) -> Tensor:
        return self.as_tensor(observation)

    def forward(self, inputs: Tensor, action: Tensor, with_value: bool = True) -> engine.Evaluation:
        features = self.features(inputs)
        said = torch.distributions.Categorical(logits=self.logits(features))
        return engine.Evaluation(said.log_prob(action), said.entropy(), self.critic(features).squeeze(-1))


def records(n: int = N) -> engine.Batch:
    rng = torch.Generator().manual_seed(6)
    columns = torch.randn(3, n, generator=rng) - torch.tensor([[1.0], [0.0], [0.0]])
    inputs, action = torch.randn(n, 4, generator=rng), torch.arange(n) % 3
    return engine.Batch(inputs, action, *columns, torch.ones(n, dtype=torch.bool))


def target() -> engine.ActionTarget:
    return engine.ActionTarget(np.eye(4, dtype=np.float32)[:2], np.array([0, 2]))


class BatchStatistics(nn.Module):
    """A layer of one's own that mixes records."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


class Noise(nn.Module):
    """A layer of one's own that draws at random."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand(())


class Pools(nn.Module):
    """A table of as many rows as there are records; each record takes the row that its first number names."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Linear(N, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table(torch.eye(N))[(x[:, 0] > 0).long()]


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (
            (nn.Linear(4, 4), nn.BatchNorm1d(4)),
            r"features\.1 \(BatchNorm1d\) mixes records in training mode; call policy\.eval",
        ),
        (
            (nn.BatchNorm1d(4, track_running_stats=False),),
            r"features\.0 \(BatchNorm1d\) .* needs track_running_stats=True",
        ),
        (
            (nn.Linear(4, 4), nn.Dropout(0.5)),
            r"features\.1 \(Dropout\) draws at random in training mode; call policy\.eval",
        ),
        ((BatchStatistics(),), "among the others and .* by itself: the policy or the objective mixes records"),
        ((Noise(),), "among the others and .* by itself: .* draws at random"),
        ((Pools(),), "among the others and .* by itself"),
    ],
    ids=["batch norm", "without statistics", "dropout", "own statistics", "own noise", "rows that are no records"],
)
def test_records_that_have_no_gradient_of_their_own(layers: tuple[nn.Module, ...], words: str) -> None:
    policy = Small(*layers)
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    with pytest.raises(BadInputError, match=words) as refused:
        engine.attribute(policy, records(), target(), CONFIG)
    assert "\n" not in str(refused.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.state_dict().items())


def test_layers_that_mix_records_in_training_alone_are_fine_in_evaluation() -> None:
    policy = Small(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).eval()
    found = [engine.attribute(policy, records(), target(), CONFIG, backend=name).influence for name in ("jvp", "loop")]  # type: ignore[arg-type]
    assert np.abs(found[0]).max() > 1e-3
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-6)
    assert not policy.training


def test_rows_that_are_no_records_are_told_apart_by_jvp() -> None:
    found = engine.attribute(Small(Pools()), records(), target(), CONFIG, backend="jvp").influence
    expected = engine.attribute(Small(Pools()), records(), target(), CONFIG, backend="loop").influence
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def frozen() -> engine.Policy:
    return Small().requires_grad_(False)


class Detached(Small):
    """Says what it says without a gradient."""

    @torch.no_grad()
    def forward(self, inputs: Tensor, action: Tensor, with_value: bool = True) -> engine.Evaluation:
        return super().forward(inputs, action, with_value)


class Column(Small):
    """Has values of shape (n, 1), as networks give them."""

    def forward(self, inputs: Tensor, action: Tensor, with_value: bool = True) -> engine.Evaluation:
        said = super().forward(inputs, action, with_value)
        assert said.value is not None
        return said._replace(value=said.value[:, None])


class Plain(Small):
    """Returns a plain tuple."""

    def forward(self, inputs: Tensor, action: Tensor, with_value: bool = True) -> Any:
        return tuple(super().forward(inputs, action, with_value))


class Number(engine.ActionTarget):
    """A target whose value is not one number."""

    def value(self, policy: engine.Policy) -> Tensor:
        return policy(policy.encode(self.observation), policy.as_tensor(self.action)).log_prob


class Constant(engine.ActionTarget):
    """A target without a gradient."""

    def value(self, policy: engine.Policy) -> Tensor:
        return torch.tensor(1.0)


def normalising(evaluation: engine.Evaluation, batch: engine.Batch) -> engine.Objective:
    advantage = batch.advantage - batch.advantage.mean()
    return engine.Objective(*(evaluation.log_prob * part for part in (advantage, 0 * advantage, 0 * advantage)))


def mean(evaluation: engine.Evaluation, batch: engine.Batch) -> engine.Objective:
    return engine.Objective(*(evaluation.log_prob.mean() for _ in range(3)))


def whole(evaluation: engine.Evaluation, batch: engine.Batch) -> Any:
    return evaluation.log_prob * batch.advantage


SMALL = Small()
FEW = records(3)
REFUSED: dict[str, tuple[Callable[[], tuple[Any, ...]], str]] = {
    "a module": (
        lambda: (nn.Linear(2, 2), FEW, target(), CONFIG),
        "the policy is a Linear; wrap it in a subclass of engine",
    ),
    "a word": (lambda: (SMALL, FEW, "return", CONFIG), "the target 'return' must have name, describe.. and value"),
    "no objective": (lambda: (SMALL, FEW, target(), 0.2), "the objective 0.2 must be a TrainConfig or a function"),
    "a tuple": (lambda: (SMALL, tuple(FEW), target(), CONFIG), "the records are a tuple; they must be an engine.Batch"),
    "nothing": (lambda: (SMALL, FEW.part(0, 0), target(), CONFIG), "a row for each of one or more records"),
    "rows": (lambda: (SMALL, FEW._replace(action=FEW.action[:2]), target(), CONFIG), "action has 2 records"),
    "arrays": (lambda: (SMALL, FEW._replace(inputs={"a": np.zeros(3)}), target(), CONFIG), "inputs has a ndarray"),
    "numbers kept": (lambda: (SMALL, FEW._replace(kept=FEW.returns), target(), CONFIG), "kept must be n booleans"),
    "columns": (
        lambda: (SMALL, FEW._replace(returns=FEW.returns[:, None]), target(), CONFIG),
        "returns of the batch has shape",
    ),
    "values": (lambda: (Column(), FEW, target(), CONFIG), r"value of the policy has shape \(2, 1\) for 2 records"),
    "a plain tuple": (lambda: (Plain(), FEW, target(), CONFIG), "forward of the policy returns a tuple"),
    "a tensor": (
        lambda: (SMALL, FEW, target(), whole),
        "the objective returns a Tensor; it must be an engine.Objective",
    ),
    "a mean": (lambda: (SMALL, FEW, target(), mean), r"actor of the objective has shape \(\) for 2 records"),
    "a normalising objective": (
        lambda: (SMALL, FEW, target(), normalising),
        "the policy or the objective mixes records",
    ),
    "frozen": (lambda: (frozen(), FEW, target(), CONFIG), "the objective of the records has no gradient"),
    "detached": (lambda: (Detached(), FEW, target(), CONFIG), "the objective of the records has no gradient"),
    "no number": (
        lambda: (SMALL, FEW, Number(target().observation, target().action), CONFIG),
        r"one number .* shape \(2,\)",
    ),
    "constant": (lambda: (SMALL, FEW, Constant(target().observation, target().action), CONFIG), "and no gradient"),
    "infinite": (
        lambda: (SMALL, FEW._replace(advantage=FEW.returns / 0), target(), CONFIG),
        "record 0 is not a finite number",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_line(what: str) -> None:
    make, words = REFUSED[what]
    with pytest.raises(BadInputError, match=words) as refused:
        engine.attribute(*make())
    assert "\n" not in str(refused.value)


def test_a_target_of_a_saturated_policy_is_refused_as_of_a_round() -> None:
    policy = Small()
    with torch.no_grad():
        policy.logits.weight.zero_()
        policy.logits.bias.copy_(torch.tensor([200.0, 0.0, 0.0]))
    with pytest.raises(ZeroGradientError, match="the gradient of the action target is zero"):
        engine.attribute(policy, FEW, engine.ActionTarget(np.eye(4, dtype=np.float32)[:2], np.array([0, 0])), CONFIG)


def test_one_record_and_no_gradients_around_it() -> None:
    """A single record has the influence that it has among others, inside `no_grad` too; nothing is left on the policy."""
    policy, batch = Small(nn.Linear(4, 4), nn.Tanh()), records()
    everyone = engine.attribute(policy, batch, target(), CONFIG)
    with torch.no_grad():
        alone = engine.attribute(policy, batch.part(4, 5), target(), CONFIG)
    np.testing.assert_allclose(alone.influence, everyone.influence[4:5], rtol=1e-4)
    assert everyone.layers == {}
    assert all(p.grad is None for p in policy.parameters())

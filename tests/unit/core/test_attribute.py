"""What `engine.attribute` refuses, in one line each, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from language_models import gpt2, policy_of, random_batch
from torch import Tensor, nn

import engine
from engine.errors import BadInputError, ZeroGradientError
from engine.kinds.language.targets import TokenTarget

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


class PerRecordNorm(nn.Module):
    """Each record by itself, and running statistics that nobody reads in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm1d(1, track_running_stats=True)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(x[:, None])
        return normed[:, 0]


class Counts(nn.Module):
    """Puts another tensor in the place of its buffer at every call."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.tensor([float("nan"), 0.0]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return x


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
        (
            (PerRecordNorm(),),
            r"moves its buffer features\.0\.norm\.running_mean, such as by running statistics; call policy\.eval",
        ),
        ((Counts(),), r"moves its buffer features\.0\.calls"),
        ((Noise(),), "among the others and .* by itself: .* draws at random"),
        ((Pools(),), "among the others and .* by itself"),
    ],
    ids=[
        "batch norm",
        "without statistics",
        "dropout",
        "own statistics",
        "instance norm",
        "a counter",
        "own noise",
        "rows that are no records",
    ],
)
def test_records_that_have_no_gradient_of_their_own(layers: tuple[nn.Module, ...], words: str) -> None:
    policy = Small(*layers)
    held = [*policy.named_parameters(), *policy.named_buffers()]
    before = [(name, id(tensor), tensor.detach().clone().numpy()) for name, tensor in held]
    with pytest.raises(BadInputError, match=words) as refused:
        engine.attribute(policy, records(), target(), CONFIG)
    assert "\n" not in str(refused.value)
    held = [*policy.named_parameters(), *policy.named_buffers()]
    assert [(name, id(tensor)) for name, tensor in held] == [(name, identity) for name, identity, _ in before]
    for (_, tensor), (*_, value) in zip(held, before, strict=True):
        np.testing.assert_array_equal(tensor.detach().numpy(), value)


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


class Float(engine.ActionTarget):
    """A target whose value is no tensor."""

    def value(self, policy: engine.Policy) -> Any:
        return 0.5


class Nameless:
    """A target that can't be described."""

    def value(self, policy: engine.Policy) -> Tensor:
        return policy(FEW.inputs, FEW.action, with_value=False).log_prob.mean()


class Bare(engine.Policy):
    """Has parameters, and says nothing of records."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Linear(4, 3)


class NoEncode(Small):
    """Takes inputs, and no observations."""

    encode = engine.Policy.encode


class Arrays(Small):
    """Leaves observations as they are."""

    def encode(self, observation: Any) -> Any:
        return np.asarray(observation)


class TwoArguments(Small):
    """Always says the value."""

    def forward(self, inputs: Tensor, action: Tensor) -> engine.Evaluation:  # type: ignore[override]
        return super().forward(inputs, action)


class Constant(engine.ActionTarget):
    """A target without a gradient."""

    def value(self, policy: engine.Policy) -> Tensor:
        return torch.tensor(1.0)


def of_tokens() -> TokenTarget:
    ids, coefficient = np.ones((2, 4), np.int64), np.ones((2, 4), np.float32)
    return TokenTarget("sequence", ids, coefficient, {}, "sequence target")


@cache
def language_policy() -> engine.Policy:
    return policy_of(gpt2())


def inferring() -> engine.Policy:
    with torch.inference_mode():
        return Small()


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
    "a float": (
        lambda: (SMALL, FEW, Float(target().observation, target().action), CONFIG),
        "action target must be one number .* it is a float, and must be a tensor",
    ),
    "no name": (lambda: (SMALL, FEW, Nameless(), CONFIG), r"must have name, describe\(\) and value\(policy\)"),
    "no forward": (lambda: (Bare(), FEW, target(), CONFIG), r"the policy \(Bare\) has no forward"),
    "no encode": (lambda: (NoEncode(), FEW, target(), CONFIG), r"the policy \(NoEncode\) has no encode"),
    "arrays encoded": (
        lambda: (Arrays(), FEW, target(), CONFIG),
        "encode of the policy .Arrays. returns a ndarray; it must return tensors, which as_tensor makes",
    ),
    "two arguments": (
        lambda: (TwoArguments(), FEW, target(), CONFIG),
        "forward of the policy must take inputs, action and with_value=True.* unexpected keyword argument 'with_value'",
    ),
    "a target of tokens": (
        lambda: (SMALL, FEW, of_tokens(), CONFIG),
        "the sequence target is about tokens of a language model, and the policy is a Small; take a target of states",
    ),
    "states for a language model": (
        lambda: (language_policy(), random_batch(language_policy()), target(), CONFIG),
        r"a language model takes \(n, L\) integers, the ids of tokens; these are float32 of shape \(2, 4\)",
    ),
    "actions for a language model": (
        lambda: (
            language_policy(),
            random_batch(language_policy()),
            engine.ActionTarget(np.ones((2, 4), np.int64), np.array([0, 1])),
            CONFIG,
        ),
        r"actions of a language model are the next tokens, here of shape \(2, 3\); these have shape \(2,\)",
    ),
    "made in inference mode": (
        lambda: (inferring(), FEW, target(), CONFIG),
        r"logits\.weight of the policy was made in torch\.inference_mode\(\), .* make the policy outside of it",
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


def test_pairs_of_nested_observations_one_by_one() -> None:
    seen = {"near": np.eye(3), "far": (np.arange(3), [np.arange(6).reshape(3, 2)])}
    first, second, third = engine.ActionTarget(seen, np.array([2, 0, 1])).each
    assert third.observation["near"].tolist() == [[0, 0, 1]]
    assert [part.tolist() for part in (second.observation["far"][0], second.observation["far"][1][0])] == [
        [1],
        [[2, 3]],
    ]
    assert (first.action.tolist(), third.action.tolist()) == ([2], [1])


def test_old_log_probabilities_may_come_with_their_graph() -> None:
    policy = Small()
    plain = records()._replace(log_prob=policy(records().inputs, records().action).log_prob.detach())
    attached = plain._replace(log_prob=policy(plain.inputs, plain.action).log_prob)
    found, expected = (engine.attribute(policy, batch, target(), CONFIG) for batch in (attached, plain))
    np.testing.assert_array_equal(found.influence, expected.influence)


@pytest.mark.parametrize("switched_off", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("backend", ["jvp", "ghost", "loop"])
def test_records_made_where_derivatives_are_switched_off(switched_off: Any, backend: Any) -> None:
    policy = Small(nn.Linear(4, 4), nn.Tanh())
    expected = engine.attribute(policy, records(), target(), CONFIG, backend=backend)
    with switched_off():
        raised = engine.ActionTarget(torch.eye(4)[:2], torch.tensor([0, 2]))  # type: ignore[arg-type]
        found = engine.attribute(policy, records(), raised, CONFIG, backend=backend)
        assert not torch.is_grad_enabled()
    np.testing.assert_array_equal(found.influence, expected.influence)


def test_one_record_and_no_gradients_around_it() -> None:
    """A single record has the influence that it has among others, inside `no_grad` too; nothing is left on the policy."""
    policy, batch = Small(nn.Linear(4, 4), nn.Tanh()), records()
    everyone = engine.attribute(policy, batch, target(), CONFIG)
    with torch.no_grad():
        alone = engine.attribute(policy, batch.part(4, 5), target(), CONFIG)
    np.testing.assert_allclose(alone.influence, everyone.influence[4:5], rtol=1e-4)
    assert everyone.layers == {}
    assert all(p.grad is None for p in policy.parameters())

"""Inner products against finite differences, for networks whose parameters are shared, frozen or hidden."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.config import TrainConfig
from engine.core.gradients.inner_products import Backend, Direction, has_rule, inner_products
from engine.core.objective import Batch, objective
from engine.core.policy import Evaluation, Policy
from engine.errors import BadInputError

SIZE, N = 5, 12
CONFIG = TrainConfig(env_id="any", ent_coef=0.03, clip_range=0.5)
EVERY: tuple[Backend, ...] = ("jvp", "ghost", "loop")
WITHOUT_RULES: tuple[Backend, ...] = ("jvp", "loop")


class Small(Policy):
    """Logits of SIZE actions and a value, from the features of some network."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features, self.actor, self.critic = features, nn.Linear(SIZE, SIZE), nn.Linear(SIZE, 1)

    def encode(self, observation: Any) -> Tensor:
        return self.as_tensor(observation)

    def forward(self, inputs: Any, action: Tensor, with_value: bool = True) -> Evaluation:
        features = self.features(inputs)
        value = self.critic(features).squeeze(-1) if with_value else None
        log_probs = self.actor(features).log_softmax(-1)
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        return Evaluation(log_probs.gather(-1, action[:, None]).squeeze(-1), entropy, value)


class Tied(nn.Module):
    """Two layers with one weight and two biases."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).tanh()).tanh()


class ThreeNames(nn.Module):
    """One network under three names, as Stable-Baselines3 has its extractors of features."""

    def __init__(self) -> None:
        super().__init__()
        self.extractor = nn.Sequential(nn.Linear(SIZE, SIZE), nn.Tanh())
        self.of_actor = self.of_critic = self.extractor

    def forward(self, x: Tensor) -> Tensor:
        return self.of_critic(self.of_actor(x))


class TwoAttributes(nn.Module):
    """One parameter under two names of one module."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = self.shift = nn.Parameter(torch.ones(SIZE))

    def forward(self, x: Tensor) -> Tensor:
        return (self.scale * x + self.shift).tanh()


class Recurrent(nn.Module):
    """A network that keeps a list of its parameters beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(SIZE, SIZE, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(torch.stack([x, -x, 2 * x], 1))[0][:, -1]


class Entities(nn.Module):
    """Each number of an observation goes through one layer by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.reshape(-1, 1)).tanh().prod(-1).reshape(len(x), -1)


def buffers() -> nn.Module:
    """Moments that are buffers, and weights of which some are frozen."""
    network = nn.Sequential(nn.Linear(SIZE, SIZE), nn.BatchNorm1d(SIZE), nn.Tanh(), nn.Linear(SIZE, SIZE))
    moments: Any = network[1]
    moments.running_mean.fill_(0.3)
    moments.running_var.fill_(2.0)
    frozen: Any = network[0]
    frozen.weight.requires_grad_(False)
    return network.eval()


def hooked() -> nn.Module:
    """A layer whose hook changes what comes out of it."""
    layer = nn.Linear(SIZE, SIZE)
    layer.register_forward_hook(lambda module, inputs, output: output.sin())
    return layer


def normed() -> nn.Module:
    """A Linear whose weight is a function of its parameters, and none of them."""
    return nn.utils.weight_norm(nn.Linear(SIZE, SIZE))


NETWORKS: dict[str, tuple[Any, tuple[Backend, ...]]] = {
    "tied": (Tied, EVERY),
    "three names": (ThreeNames, EVERY),
    "two attributes": (TwoAttributes, WITHOUT_RULES),
    "recurrent": (Recurrent, WITHOUT_RULES),
    "entities": (Entities, WITHOUT_RULES),
    "buffers": (buffers, WITHOUT_RULES),
    "hooked": (hooked, WITHOUT_RULES),
    "weight norm": (normed, ("loop",)),
}
CASES = [(name, backend) for name, (_, backends) in NETWORKS.items() for backend in (*backends, None)]


def world(name: str) -> tuple[Policy, Batch, Direction]:
    """A policy in float64, records, and a random direction through all that is trained."""
    torch.manual_seed(3)
    policy = Small(NETWORKS[name][0]()).double()
    action = torch.randint(SIZE, (N,))
    columns = torch.randn(3, N, dtype=torch.float64)
    inputs = torch.randn(N, SIZE, dtype=torch.float64)
    with torch.no_grad():
        log_prob = policy(inputs, action).log_prob + 0.1 * columns[0]
    batch = Batch(inputs, action, log_prob, columns[1], columns[2], torch.arange(N) != 3)
    trained = {name: p for name, p in policy.named_parameters() if p.requires_grad}
    return policy, batch, {name: torch.randn_like(p) for name, p in trained.items()}


def by_finite_differences(policy: Policy, batch: Batch, direction: Direction, step: float = 1e-6) -> Tensor:
    """(n,) slope of each record's objective along the direction."""
    parameters = dict(policy.named_parameters())

    @torch.no_grad()
    def moved(times: float) -> Tensor:
        for name, v in direction.items():
            parameters[name].add_(v, alpha=times)
        found = objective(policy(batch.inputs, batch.action), batch, CONFIG).total()
        for name, v in direction.items():
            parameters[name].sub_(v, alpha=times)
        return found

    return (moved(step) - moved(-step)) / (2 * step)


@pytest.mark.parametrize(("name", "backend"), CASES)
def test_products_are_the_slopes_of_the_objective(name: str, backend: Backend | None) -> None:
    policy, batch, direction = world(name)
    expected = by_finite_differences(policy, batch, direction)
    found = inner_products(policy, batch, CONFIG, direction, backend).detach()
    assert float(expected.abs().max()) > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("name", "backend"), CASES)
def test_the_networks_are_left_with_their_own_parameters(name: str, backend: Backend | None) -> None:
    """Under every name there is still the parameter that was there, and it still learns."""
    policy, batch, direction = world(name)
    before = {key: (id(p), p.requires_grad) for key, p in policy.named_parameters(remove_duplicate=False)}
    answer = policy(batch.inputs, batch.action).log_prob.detach()
    inner_products(policy, batch, CONFIG, direction, backend)
    after = {key: (id(p), p.requires_grad) for key, p in policy.named_parameters(remove_duplicate=False)}
    assert after == before
    again = policy(batch.inputs, batch.action).log_prob
    assert torch.equal(again, answer)
    again.sum().backward()
    assert all(p.grad is not None for key, p in policy.named_parameters() if key in direction and "critic" not in key)


@pytest.mark.parametrize("name", [name for name, (_, backends) in NETWORKS.items() if "ghost" not in backends])
def test_ghost_says_which_layer_it_has_no_rule_for(name: str) -> None:
    policy, batch, direction = world(name)
    with pytest.raises(BadInputError, match="features"):
        inner_products(policy, batch, CONFIG, direction, "ghost")


def test_jvp_says_in_one_line_what_it_cannot_differentiate() -> None:
    policy, batch, direction = world("weight norm")
    with pytest.raises(
        BadInputError, match=r"^the jvp backend can't differentiate this policy; use loop \(.*weight_norm.*\)$"
    ):
        inner_products(policy, batch, CONFIG, direction, "jvp")


def test_vectors_of_bounded_length_are_no_linear_layer() -> None:
    assert has_rule(nn.Embedding(3, 2))
    assert not has_rule(nn.Embedding(3, 2, max_norm=1.0))

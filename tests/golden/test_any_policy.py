"""`engine.attribute` on policies that nobody here wrote, against a plain loop over their own losses."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from language_models import gpt2, policy_of, random_batch
from stable_baselines3 import PPO
from stable_baselines3.common import policies
from torch import Tensor, nn
from torch.nn import functional

import engine
from engine.core.gradients.inner_products import Backend
from engine.errors import BadInputError

N, RAISED = 24, 3
CONFIG = engine.TrainConfig(env_id="theirs", clip_range=0.1, vf_coef=0.4, ent_coef=0.02)


class Theirs(engine.Policy):
    """A policy of Stable-Baselines3."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy

    def encode(self, observation: Any) -> Any:
        if isinstance(observation, dict):
            return {name: torch.as_tensor(part) for name, part in observation.items()}
        return torch.as_tensor(observation)

    def forward(self, inputs: Any, action: Tensor, with_value: bool = True) -> engine.Evaluation:
        value, log_prob, entropy = self.policy.evaluate_actions(inputs, action)
        return engine.Evaluation(log_prob, entropy, value.flatten())


class Still(gym.Env[Any, Any]):
    """Spaces, and nothing happens in them."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space


PIXELS = spaces.Box(0, 255, (1, 36, 36), np.uint8)
NUMBERS = spaces.Box(-2, 2, (4,), np.float32)
CHOICE, CONTROL = spaces.Discrete(3), spaces.Box(-1, 1, (2,), np.float32)
EVERY: tuple[Backend | None, ...] = ("jvp", "ghost", "loop", None)
NO_GHOST: tuple[Backend | None, ...] = ("jvp", "loop", None)
KINDS: dict[str, tuple[str, spaces.Space[Any], spaces.Space[Any], dict[str, Any]]] = {
    "vectors": ("MlpPolicy", NUMBERS, CHOICE, {}),
    "images": ("CnnPolicy", PIXELS, CHOICE, {}),
    "images, two extractors": ("CnnPolicy", PIXELS, CHOICE, {"share_features_extractor": False}),
    "dicts": ("MultiInputPolicy", spaces.Dict(seen=PIXELS, felt=NUMBERS), CHOICE, {}),
    "continuous": ("MlpPolicy", NUMBERS, CONTROL, {}),
}
BACKENDS = {name: NO_GHOST if name == "continuous" else EVERY for name in KINDS}
CASES = [(name, backend) for name, backends in BACKENDS.items() for backend in backends]


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def precision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """Observations stay as they are until their preprocessing, which otherwise always ends in float32."""
    theirs = policies.preprocess_obs

    def preprocess(*given: Any, **named: Any) -> Any:
        made: Any = theirs(*given, **named)
        return {k: v.to(request.param) for k, v in made.items()} if isinstance(made, dict) else made.to(request.param)

    monkeypatch.setattr(policies, "preprocess_obs", preprocess)
    return request.param


def world(name: str, dtype: torch.dtype) -> tuple[Theirs, engine.Batch, engine.ActionTarget]:
    """Their policy with livelier weights than its first ones, and records of which some are clipped."""
    kind, observation_space, action_space, settings = KINDS[name]
    torch.manual_seed(1)
    policy: Any = PPO(kind, Still(observation_space, action_space), policy_kwargs=settings, device="cpu").policy
    policy.to(dtype)
    with torch.no_grad():
        for p in policy.parameters():
            p.add_(torch.randn_like(p), alpha=0.1 / max(1, p[0].numel()) ** 0.5)
    observation_space.seed(2)
    action_space.seed(3)
    seen = [observation_space.sample() for _ in range(N)]
    observation: Any = np.stack(seen) if name != "dicts" else {k: np.stack([s[k] for s in seen]) for k in seen[0]}
    action = np.stack([action_space.sample() for _ in range(N)])
    wrapped = Theirs(policy)
    inputs, actions = wrapped.encode(observation), wrapped.as_tensor(action)
    noise, advantage, returns = torch.randn(3, N, dtype=dtype)
    with torch.no_grad():
        old = wrapped(inputs, actions).log_prob + 0.1 * noise
    batch = engine.Batch(inputs, actions, old, advantage, returns, torch.ones(N, dtype=torch.bool))
    few = {k: part[:RAISED] for k, part in observation.items()} if name == "dicts" else observation[:RAISED]
    return wrapped, batch, engine.ActionTarget(few, action[:RAISED])


def by_their_loss(wrapped: Theirs, batch: engine.Batch) -> np.ndarray:
    """(n,) <grad f, -grad loss_i>: a backward pass a record through their `evaluate_actions` and `PPO.train`'s loss."""
    policy = wrapped.policy
    parameters = list(policy.parameters())

    def evaluate(i: slice) -> Any:
        inputs = {k: v[i] for k, v in batch.inputs.items()} if isinstance(batch.inputs, dict) else batch.inputs[i]
        return policy.evaluate_actions(inputs, batch.action[i])

    def gradient(value: Tensor) -> Tensor:
        return torch.cat([g.ravel() for g in torch.autograd.grad(value, parameters, materialize_grads=True)])

    raised = gradient(evaluate(slice(0, RAISED))[1].mean())
    products = []
    for k in range(N):
        i = slice(k, k + 1)
        values, log_prob, entropy = evaluate(i)
        ratio = torch.exp(log_prob - batch.log_prob[i])
        first = batch.advantage[i] * ratio
        second = batch.advantage[i] * torch.clamp(ratio, 1 - CONFIG.clip_range, 1 + CONFIG.clip_range)
        policy_loss = -torch.min(first, second).mean()
        value_loss = functional.mse_loss(batch.returns[i], values.flatten())
        entropy_loss = -torch.mean(entropy)
        loss = policy_loss + CONFIG.ent_coef * entropy_loss + CONFIG.vf_coef * value_loss
        products.append(-float(raised @ gradient(loss)))
    return np.array(products)


@pytest.mark.parametrize(("name", "backend"), CASES)
def test_influence_on_their_policies(name: str, backend: Backend | None, precision: torch.dtype) -> None:
    wrapped, batch, target = world(name, precision)
    expected = by_their_loss(wrapped, batch)
    before = {key: (id(p), p.clone()) for key, p in wrapped.named_parameters(remove_duplicate=False)}
    found = engine.attribute(wrapped, batch, target, CONFIG, backend=backend, by_layer=True)
    rounding = (1e-4 if precision == torch.float32 else 1e-10) * np.abs(expected).max()
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(found.influence, expected, rtol=0, atol=rounding)
    for parts in (found.terms, found.layers):
        np.testing.assert_allclose(sum(parts.values()), found.influence, rtol=0, atol=rounding)  # type: ignore[arg-type]
    for key, p in wrapped.named_parameters(remove_duplicate=False):
        assert id(p) == before[key][0]
        assert p.requires_grad
        assert p.grad is None
        assert torch.equal(p, before[key][1])
    assert np.abs(found.terms["entropy"]).max() > 0
    shared = name in ("images", "dicts")  # the critic moves the actor only through an extractor of both
    assert (np.abs(found.terms["critic"]).max() > rounding) == shared


class Tied(engine.Policy):
    """A policy over 7 tokens whose last layer is its embedding, under another name; one number is in no layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.embedding, self.body = nn.Embedding(7, 5), nn.Linear(5, 5)
        self.head, self.value = nn.Linear(5, 7, bias=False), nn.Linear(5, 1)
        self.head.weight = self.embedding.weight
        self.temperature = nn.Parameter(torch.tensor(0.8))
        self.double()

    def encode(self, observation: Any) -> Tensor:
        return torch.as_tensor(observation)

    def forward(self, inputs: Tensor, action: Tensor, with_value: bool = True) -> engine.Evaluation:
        features = self.body(self.embedding(inputs)).tanh()
        said = torch.distributions.Categorical(logits=self.head(features) / self.temperature)
        value = self.value(features).squeeze(-1) if with_value else None
        return engine.Evaluation(said.log_prob(action), said.entropy(), value)


def actor_critic(evaluation: engine.Evaluation, batch: engine.Batch) -> engine.Objective:
    """A2C's loss (Mnih et al. 2016), turned round."""
    assert evaluation.value is not None
    actor = evaluation.log_prob * batch.advantage
    return engine.Objective(actor, -0.5 * (evaluation.value - batch.returns) ** 2, torch.zeros_like(actor))


@pytest.mark.parametrize("trained", ["all", "without the body", "layers alone"])
@pytest.mark.parametrize("backend", EVERY)
def test_another_objective_on_a_policy_with_tied_weights(backend: Backend | None, trained: str) -> None:
    policy = Tied()
    policy.body.requires_grad_(trained != "without the body")
    policy.temperature.requires_grad_(trained != "layers alone")
    action, state = torch.randint(7, (2, N))
    advantage, returns = torch.randn(2, N, dtype=torch.float64)
    batch = engine.Batch(state, action, torch.zeros(N).double(), advantage, returns, torch.ones(N, dtype=torch.bool))
    target = engine.ActionTarget(state[:2].numpy(), action[:2].numpy())
    if backend == "ghost" and trained != "layers alone":
        with pytest.raises(BadInputError, match=r"no rule for the layer policy \(Tied\); use jvp"):
            engine.attribute(policy, batch, target, actor_critic, backend=backend)
        return
    found = engine.attribute(policy, batch, target, actor_critic, backend=backend, by_layer=True)
    parameters = [p for p in policy.parameters() if p.requires_grad]
    raised = torch.autograd.grad(target.value(policy), parameters, materialize_grads=True)
    for i in range(N):
        evaluation = policy(state[i : i + 1], action[i : i + 1])
        gains = evaluation.log_prob[0] * advantage[i] - 0.5 * (evaluation.value[0] - returns[i]) ** 2
        gradients = torch.autograd.grad(gains, parameters, materialize_grads=True)
        expected = sum(float((a * b).sum()) for a, b in zip(raised, gradients, strict=True))
        assert found.influence[i] == pytest.approx(expected, rel=1e-9, abs=1e-10)
    frozen = {"without the body": {"body"}, "layers alone": {"temperature"}}.get(trained, set())
    assert set(found.layers) == {"embedding", "body", "value", "temperature"} - frozen
    assert all(part.any() == (layer != "value") for layer, part in found.layers.items())
    np.testing.assert_allclose(sum(found.layers.values()), found.influence, atol=1e-10)  # type: ignore[arg-type]


def test_sequences_of_a_language_model() -> None:
    """A record of T tokens has the sum over its tokens, as one backward pass of the whole sequence gives it."""
    policy = policy_of(gpt2())
    batch = random_batch(policy)

    class First:
        """The log-probability of the first sequence."""

        name = "first"

        def describe(self) -> dict[str, Any]:
            return {"target": self.name}

        def value(self, policy: engine.Policy) -> Tensor:
            return policy(batch.inputs[:1], batch.action[:1], False).log_prob.sum()

    backends: tuple[Backend, ...] = ("jvp", "ghost", "loop")
    jvp, ghost, loop = (engine.attribute(policy, batch, First(), CONFIG, backend=name).influence for name in backends)
    assert jvp.shape == (len(batch.kept),)
    for found in (jvp, ghost):
        np.testing.assert_allclose(found, loop, rtol=1e-9, atol=1e-9 * np.abs(loop).max())

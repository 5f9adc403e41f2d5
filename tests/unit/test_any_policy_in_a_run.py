"""Runs of policies that are built in every way torch allows: recorded, replayed, attributed and validated like any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import toy_kind
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common import policies
from stable_baselines3.common.policies import ActorCriticCnnPolicy, ActorCriticPolicy
from torch import Tensor, nn
from toy_kind import Softmax, ToyKind, ToySettings, policy_gradient
from worlds import same_tensors

import engine
from engine.config import TrainConfig
from engine.core.agent import PolicyAgent
from engine.core.checkpoint import restore_optimizer
from engine.core.effort import Effort
from engine.core.estimators.along_the_update import back_propagate
from engine.core.estimators.registry import ESTIMATORS
from engine.core.gradients.derivatives import TorchDerivatives
from engine.core.gradients.layers import layers_of
from engine.core.policy import Evaluation, Policy
from engine.core.replays.update_trace import trace_update
from engine.core.update import as_batch
from engine.errors import BadInputError, DamagedRunError
from engine.store.read import Run

N, SIZE = 24, 8
CONFIG = TrainConfig(
    env_id="bandit", rounds=2, n_steps=N, batch_size=SIZE, n_epochs=2, learning_rate=0.003, path="torch", seed=3
)


class TwoNames(Softmax):
    """One layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.again = self.logits


class Network(Softmax):
    """Logits of a network, which is the same whenever it is built."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.logits = self.network()

    def network(self) -> Any:
        raise NotImplementedError


class Tied(Network):
    """Two layers with one weight."""

    def network(self) -> Any:
        first, second = nn.Linear(2, 2), nn.Linear(2, 2)
        second.weight = first.weight
        return nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), nn.Linear(2, 3))


class Frozen(Network):
    """Its first layer and one bias are not trained."""

    def network(self) -> Any:
        layers = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        layers[0].requires_grad_(False)
        layers[1].bias.requires_grad_(False)
        return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])


class Moments(Network):
    """Running statistics, which stand still in evaluation mode."""

    def network(self) -> Any:
        norm = nn.BatchNorm1d(2)
        norm.running_var = torch.tensor([0.5, 2.0])
        return nn.Sequential(norm, nn.Linear(2, 3)).eval()


class Double(Softmax):
    """In float64."""

    def __init__(self) -> None:
        super().__init__()
        self.double()


class Unused(Softmax):
    """A critic that no term of the objective asks."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = nn.Linear(2, 1)
        nn.init.zeros_(self.critic.weight)
        nn.init.zeros_(self.critic.bias)


class Theirs(Policy):
    """A policy of Stable-Baselines3 with its value network."""

    def __init__(self, make: Callable[..., ActorCriticPolicy], space: spaces.Box, **settings: Any) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.theirs = make(space, spaces.Discrete(3), lambda _: 0.0, **settings)

    def logits(self, inputs: Tensor) -> Tensor:
        said: Any = self.theirs.get_distribution(inputs).distribution
        logits: Tensor = said.logits
        return logits

    def encode(self, observation: Any) -> Tensor:
        return self.as_tensor(observation)

    def forward(self, inputs: Tensor, action: Tensor, with_value: bool = True) -> Evaluation:
        value, log_prob, entropy = self.theirs.evaluate_actions(inputs, action)
        assert entropy is not None
        return Evaluation(log_prob, entropy, value.flatten())


class Mlp(Theirs):
    """On the two numbers."""

    def __init__(self) -> None:
        super().__init__(ActorCriticPolicy, spaces.Box(-9, 9, (2,)), net_arch=[6])


class Cnn(Theirs):
    """On a picture of them; its extractor has three names."""

    def __init__(self) -> None:
        told = {"features_extractor_kwargs": {"features_dim": 16, "normalized_image": True}, "normalize_images": False}
        super().__init__(ActorCriticCnnPolicy, spaces.Box(0, 1, (1, 36, 36)), **told)

    def encode(self, observation: Any) -> Tensor:
        seen = self.as_tensor(observation).sigmoid()
        return seen.repeat_interleave(18, 1)[:, None, None].expand(-1, 1, 36, 36).contiguous()


POLICIES = {made.__name__: made for made in (TwoNames, Tied, Frozen, Moments, Double, Unused, Mlp, Cnn)}


@pytest.fixture(scope="module", params=POLICIES)
def made(request: pytest.FixtureRequest) -> Any:
    """The class whose policies train in toy runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy_kind, "Softmax", POLICIES[request.param])
        patch.setattr(ToyKind, "effort", Effort(subsets=4, orders=2, pairs=3))
        patch.setattr(policies, "preprocess_obs", lambda observation, *_, **__: observation)  # theirs ends in float32
        yield POLICIES[request.param]


@pytest.fixture(scope="module")
def run(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return engine.train(ToySettings(CONFIG), tmp_path_factory.mktemp("run") / "run")


def in_double(snapshot: Any) -> PolicyAgent:
    """The round's agent in float64."""
    policy = ToyKind().policy(snapshot).double()
    wide = {
        name: tensor if "/step/" in name else tensor.astype(np.float64)
        for name, tensor in snapshot.checkpoint.items()
        if tensor.dtype.kind == "f"
    }
    return PolicyAgent(snapshot.config, policy, restore_optimizer(policy, snapshot.config, wide), policy_gradient)


def by_a_plain_loop(snapshot: Any, target: Any) -> dict[str, NDArray[np.float64]]:
    """`first_order`, `tracin` and `tracin_adam` as torch's own Adam and a backward pass a record have them."""
    agent = in_double(snapshot)
    policy, config, batch = agent.policy, snapshot.config, as_batch(agent.policy, snapshot.buffer)
    own = [p for p in policy.parameters() if p.requires_grad]
    state = agent.optimizer.state

    def gradient(value: Tensor) -> Tensor:
        return torch.cat([g.ravel() for g in torch.autograd.grad(value, own, materialize_grads=True)])

    def of_records(minibatch: list[int]) -> Tensor:
        advantage = batch.advantage[minibatch]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        log_probs = [policy(batch.inputs[i : i + 1], batch.action[i : i + 1]).log_prob[0] for i in minibatch]
        return torch.stack([gradient(a * log_prob) for a, log_prob in zip(advantage, log_probs, strict=True)])

    def moments_squared() -> Tensor:
        return torch.cat([state[p]["exp_avg_sq"].ravel() for p in own])

    found = {name: np.zeros(N) for name in ("first_order", "tracin", "tracin_adam")}
    minibatches = snapshot.minibatches.reshape(-1, SIZE).tolist()
    for minibatch in minibatches[: N // SIZE]:
        found["first_order"][minibatch] = (of_records(minibatch) @ gradient(target.value(policy))).numpy()
    moments = torch.zeros(N, sum(p.numel() for p in own), dtype=torch.float64)
    for minibatch in minibatches:
        gradients, of_target = of_records(minibatch), gradient(target.value(policy))
        found["tracin"][minibatch] += config.learning_rate / SIZE * (gradients @ of_target).numpy()
        mean = gradients.mean(0)
        factor = min(1.0, config.max_grad_norm / (float(mean.norm()) + 1e-6))
        for p, part in zip(own, (-factor * mean).split([p.numel() for p in own]), strict=True):
            p.grad = part.reshape(p.shape)
        agent.optimizer.step()
        step = float(state[own[0]]["step"])
        moments *= 0.9
        moments[minibatch] += 0.1 * factor / SIZE * gradients
        spread = (moments_squared() / (1 - 0.999**step)).sqrt() + 1e-5
        found["tracin_adam"] += config.learning_rate / (1 - 0.9**step) * (moments @ (of_target / spread)).numpy()
    return found


def close(found: Any, expected: Any, tolerance: float) -> None:
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def test_a_checkpoint_has_what_is_trained_once_and_comes_back(run: Run, made: Any) -> None:
    names = [name for name, p in made().named_parameters() if p.requires_grad]
    for k in (0, 1, 2):
        held = run.checkpoint(k)
        assert sorted(name for name in held if name.startswith("parameter/")) == sorted(f"parameter/{n}" for n in names)
    snapshot = run.snapshot(1)
    policy = ToyKind().policy(snapshot)
    for name, p in policy.named_parameters(remove_duplicate=False):
        if name in snapshot.parameters:
            np.testing.assert_array_equal(p.detach().numpy(), snapshot.parameters[name])
    first, untouched = dict(made().state_dict()), dict(policy.state_dict())
    moved = {name for name in first if not torch.equal(first[name], untouched[name])}
    assert moved
    trained = {name for name, p in policy.named_parameters(remove_duplicate=False) if p.requires_grad}
    assert moved <= trained


def test_replays_have_the_recorded_bits(run: Run) -> None:
    for k in (0, 1):
        replayed, following = engine.replay(run.snapshot(k)).checkpoint, run.checkpoint(k + 1)
        same_tensors(replayed, {name: following[name] for name in replayed})


def test_estimators_are_what_a_plain_loop_says(run: Run) -> None:
    snapshot = run.snapshot(1)
    target = engine.action_target(snapshot, record=5)
    for estimator, expected in by_a_plain_loop(snapshot, target).items():
        close(engine.influence(snapshot, target, estimator, cache=False).influence, expected, 2e-3)


def test_replay_gradient_is_the_derivative_of_the_update(run: Run) -> None:
    snapshot = run.snapshot(1)
    target = engine.action_target(snapshot, record=5)
    policy = in_double(snapshot).policy
    derivatives = TorchDerivatives(policy, as_batch(policy, snapshot.buffer), ToyKind().objective(snapshot))
    exact = back_propagate(snapshot, trace_update(snapshot, in_double(snapshot)), target, derivatives).sum((0, 1))

    def after(i: int, weight: float) -> float:
        agent = in_double(snapshot)
        weights: Any = np.ones(N)
        weights[i] = weight
        agent.update(snapshot.buffer, snapshot.minibatches, weights=weights)
        return float(target.value(agent.policy).detach())

    for i in np.argsort(-np.abs(exact))[[0, 3, 9]].tolist():
        slope = (after(i, 1 + 1e-5) - after(i, 1 - 1e-5)) / 2e-5
        assert slope == pytest.approx(exact[i], rel=1e-3, abs=1e-4 * np.abs(exact).max())
    close(engine.influence(snapshot, target, "replay_gradient", cache=False).influence, exact, 2e-2)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_terms_and_layers_add_up(run: Run, made: Any, estimator: str) -> None:
    found = engine.influence(run.snapshot(1), "return", estimator, by_layer=True, cache=False)
    assert np.isfinite(found.influence).all()
    assert found.influence.any()
    assert list(found.layers) == list(layers_of(made()))
    for parts in (found.terms, found.layers):
        close(sum(parts.values()), found.influence, 1e-4)


def test_validation_really_replays(run: Run) -> None:
    found = engine.validate(run.snapshot(1), estimators=list(ESTIMATORS), executor="inline")
    assert found.null_exact
    assert set(found.estimators) == set(ESTIMATORS)
    assert all(np.isfinite(each.lds) for each in found.estimators.values())


@pytest.mark.parametrize("fault", ["missing", "extra", "shape", "integers", "frozen"])
def test_a_checkpoint_of_other_networks_is_refused_in_one_line(fault: str) -> None:
    policy = Frozen()
    held = {name: p.detach().numpy() for name, p in policy.named_parameters() if p.requires_grad}
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    name = next(iter(held))
    match fault:
        case "missing":
            del held[name]
        case "extra":
            held["other"] = held[name]
        case "shape":
            held[name] = held[name][:1]
        case "integers":
            held[name] = held[name].astype(np.int64)
        case "frozen":
            held["logits.0.weight"] = np.zeros((4, 2), np.float32)
    with pytest.raises(DamagedRunError, match="the checkpoint does not fit the networks") as refused:
        policy.load(held)
    assert "\n" not in str(refused.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.state_dict().items())


def test_a_policy_whose_statistics_run_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No checkpoint would have them, so that no replay would have the recorded bits."""
    monkeypatch.setattr(toy_kind, "Softmax", lambda: Moments().train())
    with pytest.raises(
        BadInputError, match=r"moves its buffer logits\.0\.running_mean, .* call policy\.eval\(\) first"
    ):
        engine.train(ToySettings(CONFIG), tmp_path / "run")


@pytest.mark.parametrize("switched_off", [pytest.param(torch.no_grad, marks=pytest.mark.slow), torch.inference_mode])
def test_it_is_nothing_to_a_run_where_derivatives_are_switched_off(switched_off: Any, tmp_path: Any) -> None:
    here = engine.train(ToySettings(CONFIG), tmp_path / "here")
    with switched_off():
        there = engine.train(ToySettings(CONFIG), tmp_path / "there")
        same_tensors(there.checkpoint(2), here.checkpoint(2))
        same_tensors(
            engine.replay(here.snapshot(1), drop=[3]).checkpoint, engine.replay(there.snapshot(1), drop=[3]).checkpoint
        )
        within = {name: engine.influence(there.snapshot(1), estimator=name).influence for name in ESTIMATORS}
        checked = engine.validate(there.snapshot(1), subsets=4, orders=2, executor="inline")
        assert not torch.is_grad_enabled()
    for name, found in within.items():
        np.testing.assert_array_equal(found, engine.influence(here.snapshot(1), estimator=name).influence)
    again = engine.validate(here.snapshot(1), subsets=4, orders=2, executor="inline")
    assert checked.estimators["first_order"].lds == again.estimators["first_order"].lds


def test_a_policy_with_nothing_to_train_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(toy_kind, "Softmax", lambda: Softmax().requires_grad_(False))
    with pytest.raises(BadInputError, match="no parameter of the policy is trained; give those that are requires_grad"):
        engine.train(ToySettings(CONFIG), tmp_path / "run")

"""`replay_gradient` of sequences is the derivative of the replayed target in their weights: central differences say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import engine
from engine.core.checkpoint import restore_optimizer
from engine.core.chosen_targets import named_target
from engine.core.estimators.along_the_update import Credits, back_propagate
from engine.core.gradients.derivatives import TorchDerivatives
from engine.core.gradients.layers import layer_of, layers_of
from engine.core.kind import kind_of
from engine.core.objective import objective
from engine.core.replays.update_trace import trace_update
from engine.core.targets.functions import Target
from engine.kinds.language.advantages import totals
from engine.kinds.language.agent import LanguageAgent
from engine.kinds.language.grpo import WeightedGroups
from engine.kinds.language.models import restore_policy
from engine.kinds.language.objective import shares
from engine.kinds.language.policy import PAD
from engine.kinds.language.sequences import LanguageSnapshot
from engine.kinds.language.update import batch_of, normalizer_of

pytest.importorskip("transformers")
pytestmark = pytest.mark.long
PINS = Path(__file__).parents[3] / "pins" / "data"
EPS, INFINITE, TOLERANCE = 1e-4, float("inf"), 1e-5
SGD: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 3e-2}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ppo, adam, clipped": ("ppo", {"max_grad_norm": 0.1, "ent_coef": 0.02}),
    "ppo, adam, not clipped": ("ppo", {"max_grad_norm": INFINITE}),
    "ppo, sgd, momentum, clipped": ("ppo", SGD | {"momentum": 0.9, "max_grad_norm": 0.1}),
    "ppo, early stop": ("ppo", {"learning_rate": 3e-2, "target_kl": 0.02}),
    "grpo, adam, clipped": ("grpo", {"max_grad_norm": 0.1, "ent_coef": 0.02}),
    "grpo, sgd, not clipped": ("grpo", SGD | {"max_grad_norm": INFINITE}),
    "grpo, early stop": ("grpo", {"learning_rate": 3e-2, "target_kl": 0.1}),
    "dr_grpo, adam": ("grpo", {"normalizer": "dr_grpo"}),
    "dapo, adam, clipped": ("grpo", {"normalizer": "dapo", "max_grad_norm": 0.1}),
}
DROPPED = 5


@pytest.fixture(scope="module", params=CASES)
def snapshot(request: pytest.FixtureRequest) -> LanguageSnapshot:
    """Round 1, whose Adam has a state, with other settings and without one of its sequences."""
    algorithm, changes = CASES[request.param]
    found: LanguageSnapshot = engine.open_run(PINS / f"language-v3-{algorithm}" / "run").snapshot(1)
    own = {name: value for name, value in changes.items() if hasattr(found.language, name)}
    shared = {name: value for name, value in changes.items() if name not in own}
    checkpoint = found.checkpoint
    if changes.get("optimizer") == "sgd":
        checkpoint = {name: tensor for name, tensor in checkpoint.items() if not name.startswith("optimizer/")}
    config, language = replace(found.config, **shared), replace(found.language, **own)
    return kind_of(found).removed(found.changed(config=config, language=language, checkpoint=checkpoint), [DROPPED])


def double_agent(snapshot: LanguageSnapshot) -> LanguageAgent:
    """The round's policy and optimizer in float64."""
    policy = restore_policy(snapshot).double()
    optimizer = restore_optimizer(policy, snapshot.config, snapshot.checkpoint)
    for state in optimizer.state.values():
        state |= {key: value.double() for key, value in state.items() if key != "step"}
    return LanguageAgent(snapshot.config, snapshot.language, policy, optimizer)


def exactly(snapshot: LanguageSnapshot, target: Target, by_layer: bool = False) -> Credits:
    """(layers, 3, n) in float64; one layer, the whole, where they are not asked for."""
    agent, policy = double_agent(snapshot), double_agent(snapshot).policy
    derivatives = TorchDerivatives(policy, batch_of(policy, snapshot.buffer), kind_of(snapshot).objective(snapshot))
    layers = {"layers": list(layers_of(policy).values())} if by_layer else {}
    return back_propagate(snapshot, trace_update(snapshot, agent), target, derivatives, **layers)


def after(snapshot: LanguageSnapshot, target: Target, weights: NDArray[Any]) -> float:
    """f after the update with these weights of the records."""
    agent = double_agent(snapshot)
    agent.update(snapshot.buffer, snapshot.minibatches, weights=weights)
    return float(target.value(agent.policy).detach())


def by_hand(snapshot: LanguageSnapshot, target: Target, steps: int, layer: str | None, weights: NDArray[Any]) -> float:
    """f after so many steps of the update, written down again with a weight (3, n) for each term of a record.

    Where a layer is named, its gradient alone feels the weights.
    """
    agent, weight = double_agent(snapshot), torch.as_tensor(weights)
    policy, config, language, buffer = agent.policy, snapshot.config, snapshot.language, snapshot.buffer
    trained = {name: p for name, p in policy.named_parameters() if p.requires_grad}
    batch, n = batch_of(policy, buffer), len(buffer)

    def gradients(records: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
        part = batch.take(records)
        if language.algorithm == "grpo":
            groups = WeightedGroups(totals(buffer), buffer.group, buffer.kept, language.normalizer)
            advantage = groups.advantages(weight[0])[records][:, None]
            part = part._replace(advantage=advantage * (part.action != PAD))
        terms = objective(policy(part.inputs, part.action), part, config)
        share = [shares(part, normalizer_of(language), language.max_new_tokens, w[records]) for w in weight]
        mean = torch.stack([(term * each).sum() for term, each in zip(terms, share, strict=True)]).sum()
        return torch.autograd.grad(-mean, list(trained.values()), allow_unused=True, materialize_grads=True)

    taken = 0
    for order, start in product(snapshot.minibatches, range(0, n, config.batch_size)):
        rows = order[start : start + config.batch_size]
        rows = rows[buffer.kept[rows]]
        if taken == steps or not len(rows):
            continue
        records = torch.as_tensor(rows.astype(np.int64))
        weighed = gradients(records, weight)
        plain = weighed if layer is None else gradients(records, torch.ones_like(weight))
        for (name, p), own, other in zip(trained.items(), weighed, plain, strict=True):
            p.grad = own if layer is None or layer_of(name) == layer else other
        torch.nn.utils.clip_grad_norm_(list(trained.values()), config.max_grad_norm)
        agent.optimizer.step()
        taken += 1
    return float(target.value(policy).detach())


def slope(value: Callable[[NDArray[Any]], float], shape: tuple[int, ...], where: tuple[int, ...]) -> float:
    """Central difference of f in one weight."""
    step = np.zeros(shape)
    step[where] = EPS
    return (value(1 + step) - value(1 - step)) / (2 * EPS)


def test_derivative_of_the_replayed_target(snapshot: LanguageSnapshot) -> None:
    target = named_target(snapshot, "sequence")
    exact = exactly(snapshot, target).sum((0, 1))
    steps, planned = len(trace_update(snapshot).steps), 2 * 3
    assert 1 < steps < planned if snapshot.config.target_kl else steps == planned
    assert exact[DROPPED] == 0, "a sequence that the update went without"
    largest = np.abs(exact).max()
    assert np.count_nonzero(np.abs(exact) > 1e-3 * largest) >= 6
    for i in range(len(exact)):
        found = slope(partial(after, snapshot, target), exact.shape, (i,))
        assert found == pytest.approx(exact[i], rel=TOLERANCE, abs=TOLERANCE * largest), i


def test_each_term_is_the_derivative_in_its_own_weight(snapshot: LanguageSnapshot) -> None:
    target = named_target(snapshot, "sequence")
    exact, steps = exactly(snapshot, target).sum(0), len(trace_update(snapshot).steps)
    largest, value = np.abs(exact).max(), partial(by_hand, snapshot, target, steps, None)
    assert value(np.ones_like(exact)) == pytest.approx(after(snapshot, target, np.ones(exact.shape[1])), rel=1e-9)
    assert exact[1].any() == (snapshot.language.algorithm == "ppo"), "PPO alone has a critic"
    assert exact[2].any() == bool(snapshot.config.ent_coef)
    for term, part in enumerate(exact):
        for i in np.argsort(-np.abs(part))[[0, 3] if part.any() else [0]].tolist():
            found = slope(value, exact.shape, (term, i))
            assert found == pytest.approx(part[i], rel=TOLERANCE, abs=TOLERANCE * largest), (term, i)


@pytest.mark.parametrize("snapshot", ["ppo, adam, clipped", "dapo, adam, clipped"], indirect=True)
def test_each_layer_is_the_derivative_where_it_alone_feels_the_weights(snapshot: LanguageSnapshot) -> None:
    target = named_target(snapshot, "return")
    exact, steps = exactly(snapshot, target, by_layer=True).sum(1), len(trace_update(snapshot).steps)
    layers = list(layers_of(restore_policy(snapshot)))
    largest = np.abs(exact).max()
    assert len(layers) == len(exact) > 2
    for name, part in zip(layers, exact, strict=True):
        i = int(np.abs(part).argmax())

        def value(weights: NDArray[Any], name: str = name) -> float:
            return by_hand(snapshot, target, steps, name, np.tile(weights, (3, 1)))

        found = slope(value, part.shape, (i,))
        assert found == pytest.approx(part[i], rel=TOLERANCE, abs=TOLERANCE * largest), name


def test_the_estimator_is_that_derivative_to_the_precision_of_the_run(snapshot: LanguageSnapshot) -> None:
    """`engine.influence` computes in the float32 of the run."""
    target = named_target(snapshot, "sequence")
    exact, found = exactly(snapshot, target).sum(0), engine.influence(snapshot, target, "replay_gradient", cache=False)
    largest = float(np.abs(exact).max())
    assert found.influence == pytest.approx(exact.sum(0), rel=1e-2, abs=1e-3 * largest)
    for part, expected in zip(found.terms.values(), exact, strict=True):
        assert part == pytest.approx(expected, rel=1e-2, abs=1e-3 * largest)

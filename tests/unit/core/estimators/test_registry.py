"""What the estimators mean beside each other: one step, sums over steps, terms, groups, dropped records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from worlds import double, entry, moved_snapshot

from engine.core.effort import Effort
from engine.core.estimators.along_the_update import directions_back
from engine.core.estimators.registry import ESTIMATORS, first_order
from engine.core.estimators.sums import sum_by, sum_of
from engine.core.gradients.attribution import TERMS
from engine.core.gradients.inner_products import gradient, inner_products
from engine.core.gradients.optimizer_adjoints import clip_scale, follow
from engine.core.objective import objective, with_normalized_advantages
from engine.core.replays.update_trace import trace_update
from engine.core.targets.functions import Target
from engine.core.targets.of_records import action_target, return_target
from engine.envs import find
from engine.errors import BadInputError
from engine.kinds.control.kind import KIND, ControlKind
from engine.kinds.control.networks import restore_policy
from engine.store.snapshot import Snapshot

N = 80
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "categorical": ("LunarLander-v3", {}),
    "categorical, torch": ("LunarLander-v3", {"path": "torch"}),
    "gaussian": ("FollowWorld-v0", {}),
    "images on a trunk": ("MiniGrid-Empty-8x8-v0", {}),
}


@pytest.fixture(scope="module", params=CASES)
def base(request: pytest.FixtureRequest) -> Snapshot:
    name, settings = CASES[request.param]
    environment = entry(name) if name == "FollowWorld-v0" else find(name)
    settings = {"n_steps": N, "batch_size": 24, "n_epochs": 3, "learning_rate": 1e-3, "ent_coef": 0.02, **settings}
    return moved_snapshot(environment, rounds=2, **settings)


@pytest.fixture
def few_replays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlKind, "effort", Effort(pairs=6))


def targets(snapshot: Snapshot) -> list[Target]:
    return [return_target(snapshot), action_target(snapshot, record=11)]


def plain(snapshot: Snapshot, **settings: Any) -> Snapshot:
    """The same records in a round that is updated by SGD, with a fresh optimizer."""
    theta = {name: tensor for name, tensor in snapshot.checkpoint.items() if name.startswith("parameter/")}
    config = replace(snapshot.config, optimizer="sgd", **settings)
    return snapshot.changed(config=config, checkpoint=theta, minibatches=snapshot.minibatches[: config.n_epochs])


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    scale = np.abs(expected).max()
    assert scale > 0
    assert np.abs(found - expected).max() <= tolerance * scale


def test_tracin_of_one_step_is_first_order(base: Snapshot) -> None:
    """One epoch, one minibatch, no clipping: eta / n times first_order, and the optimizer-aware score is the same."""
    once = plain(base, n_epochs=1, batch_size=N, max_grad_norm=float("inf"))
    for target in targets(base):
        expected = once.config.learning_rate / N * first_order(once, target)
        close(ESTIMATORS["tracin"](once, target).influence, expected)
        close(ESTIMATORS["tracin_adam"](once, target).influence, expected)


def test_under_plain_sgd_only_the_clip_factor_is_between_them(base: Snapshot) -> None:
    free, clipped = plain(base, n_epochs=1, max_grad_norm=float("inf")), plain(base, n_epochs=1, max_grad_norm=1e-3)
    for target in targets(base):
        close(ESTIMATORS["tracin_adam"](free, target).influence, ESTIMATORS["tracin"](free, target).influence)
        trace = trace_update(clipped)
        scale = np.zeros(N)
        for step in trace.steps:
            scale[step.records] = clip_scale(step.gradient, 1e-3)
        assert scale.max() < 1
        close(
            ESTIMATORS["tracin_adam"](clipped, target).influence,
            scale * ESTIMATORS["tracin"](clipped, target).influence,
        )


def test_in_a_small_step_the_exact_derivative_is_tracins_less_what_the_others_lose(base: Snapshot) -> None:
    """As eta goes to 0 theta stands still. One record's weight then takes a share of the minibatch's mean from the others."""
    small = plain(base, learning_rate=1e-6, max_grad_norm=float("inf"), normalize_advantage=False)
    for target in targets(base):
        expected = np.zeros((3, N))
        for step, direction in directions_back(
            "tracin", small.config, trace_update(small), target, KIND.derivatives(small).target_gradient
        ):
            products = KIND.derivatives(small).credit(step.theta, step.records, direction).terms
            expected[:, step.records] += products - products.mean(axis=1, keepdims=True)
        close(ESTIMATORS["replay_gradient"](small, target).influence, expected.sum(axis=0), 1e-2)


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_tracin_adam_carries_a_gradient_through_the_moments(base: Snapshot, optimizer: str) -> None:
    """Forwards, record by record: where its gradients move theta in every step, and what f makes of each move."""
    snapshot = base if optimizer == "adam" else plain(base, momentum=0.9)
    target, trace = return_target(base), trace_update(snapshot)
    seen_from_behind = follow(snapshot.config, trace)
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    policy, batch = double(policy, snapshot)
    size = len(trace.after)
    moments, expected = np.zeros((N, size)), np.zeros(N)
    for t, step in enumerate(trace.steps):
        torch.nn.utils.vector_to_parameters(torch.as_tensor(step.theta, dtype=torch.float64), policy.parameters())
        part = with_normalized_advantages(batch.take(torch.as_tensor(step.records, dtype=torch.int64)))
        scale = clip_scale(step.gradient, snapshot.config.max_grad_norm) / len(step.records)
        moments *= seen_from_behind.decay
        for row, record in enumerate(step.records):
            one = part.part(row, row + 1)
            total = objective(policy(one.inputs, one.action), one, snapshot.config).total().sum()
            gradients = torch.autograd.grad(total, list(policy.parameters()))
            moments[record] += scale * torch.cat([g.ravel() for g in gradients]).numpy()
        direction = gradient(target, policy)
        of_target = [direction.get(name, torch.zeros_like(p)) for name, p in policy.named_parameters()]
        move = seen_from_behind.gain(t) * moments
        expected += move @ torch.cat([g.detach().ravel() for g in of_target]).numpy()
    close(ESTIMATORS["tracin_adam"](snapshot, target).influence, expected, 1e-4)


@pytest.mark.long
@pytest.mark.parametrize("name", ESTIMATORS)
def test_terms_and_layers_add_up_to_the_influence(base: Snapshot, few_replays: None, name: str) -> None:
    snapshot = base.without([1, 2, 3]).without(range(4, 20), actor_only=True)
    shared = snapshot.observation_space.encoder == "image"
    for target in targets(base):
        influence, terms, layers, *_ = ESTIMATORS[name](snapshot, target, by_layer=True)
        assert list(terms) == ["actor", "critic", "entropy"]
        close(sum(terms.values()), influence, 1e-5)
        close(sum(layers.values()), influence, 1e-5)
        close(ESTIMATORS[name](snapshot, target).influence, influence, 1e-5)
        assert influence.dtype == np.float32
        assert not influence[[1, 2, 3]].any(), "the update went without these"
        assert not terms["actor"][4:20].any(), "these trained the critic alone"
        assert not terms["entropy"][4:20].any()
        assert terms["actor"].any()
        assert {layer.split(".")[0] for layer in layers} >= {"actor", "critic"}
        moved = [layer for layer, part in layers.items() if part.any()]
        assert {"actor.0", "actor.2", "actor.4"} <= set(moved)
        if shared:
            assert {"trunk.0", "trunk.2"} <= set(moved)
        if name not in ("replay_gradient", "replay_regression"):
            assert terms["critic"][4:20].any() == shared, "the value loss moves the trunk alone"
            assert not any(layer.startswith("critic") for layer in moved)


def test_a_terms_part_is_the_inner_product_with_its_own_gradient(base: Snapshot) -> None:
    """Against one backward pass a record, for `first_order` and for one step along the update."""
    once = plain(base, n_epochs=1, batch_size=N, max_grad_norm=float("inf"))
    target = return_target(once)
    policy = KIND.policy(once)
    batch = KIND.objective(once).at_start(KIND.batch(once, policy), once.minibatches)
    direction = gradient(target, policy)
    found = ESTIMATORS["first_order"](once, target).terms
    stepped = ESTIMATORS["tracin"](once, target).terms
    assert list(found) == list(stepped) == list(TERMS)
    for term in TERMS:
        if term == "critic" and policy.trunk is None:
            assert not found[term].any()
            assert not stepped[term].any()
            continue
        expected = inner_products(policy, batch, once.config, direction, "loop", term).numpy()
        close(found[term], expected)
        close(stepped[term], once.config.learning_rate / N * expected, 1e-4)


def test_a_layers_part_is_the_inner_product_with_its_own_parameters(base: Snapshot) -> None:
    """Against one backward pass a record, for `first_order` and for one step along the update."""
    once = plain(base, n_epochs=1, batch_size=N, max_grad_norm=float("inf"))
    target = return_target(once)
    policy = KIND.policy(once)
    batch = KIND.objective(once).at_start(KIND.batch(once, policy), once.minibatches)
    direction = gradient(target, policy)
    layers = ESTIMATORS["first_order"](once, target, by_layer=True).layers
    stepped = ESTIMATORS["tracin"](once, target, by_layer=True).layers
    assert layers.keys() == stepped.keys()
    for layer, found in layers.items():
        own = {name: part for name, part in direction.items() if name.startswith(f"{layer}.")}
        if not own:
            assert not found.any()
            assert not stepped[layer].any()
            continue
        expected = inner_products(policy, batch, once.config, own, "loop").numpy()
        close(found, expected)
        close(stepped[layer], once.config.learning_rate / N * expected, 1e-4)


def test_a_step_is_announced_and_can_be_refused(base: Snapshot) -> None:
    class Stopped(Exception):
        pass

    for name in ("first_order", "tracin", "tracin_adam", "replay_gradient"):
        counted: list[int] = []
        ESTIMATORS[name](base, return_target(base), lambda: counted.append(1))  # noqa: B023
        assert len(counted) == (1 if name == "first_order" else 12)

        def stop() -> None:
            raise Stopped

        with pytest.raises(Stopped):
            ESTIMATORS[name](base, return_target(base), stop)


def test_a_round_without_its_minibatches_has_first_order_influence_alone(base: Snapshot) -> None:
    imported = base.changed(minibatches=np.zeros((0, N), np.int32))
    assert first_order(imported, return_target(base)).any()
    for name in ("tracin", "tracin_adam", "replay_gradient", "replay_regression"):
        with pytest.raises(BadInputError, match=r"without its minibatches, .* first_order influence needs none"):
            ESTIMATORS[name](imported, return_target(base))


def test_an_update_that_took_no_step_owes_nothing_to_any_record(base: Snapshot) -> None:
    stale = replace(base.buffer, log_prob=base.buffer.log_prob - 1)
    stopped = base.changed(buffer=stale, config=replace(base.config, target_kl=1e-6))
    assert trace_update(stopped).steps == []
    for name in ("tracin", "tracin_adam", "replay_gradient"):
        assert not ESTIMATORS[name](stopped, return_target(base)).influence.any()


def test_a_target_that_is_flat_all_along_is_refused(base: Snapshot) -> None:
    flat = replace(base.buffer, advantage=np.zeros(N, np.float32))
    for estimate in ESTIMATORS.values():
        with pytest.raises(BadInputError, match="gradient of the return target is zero"):
            estimate(base, return_target(base, flat))


def test_sums_over_groups() -> None:
    influence = np.array([1, -2, 5, 0.5], np.float32)
    groups, sums = sum_by(influence, np.array([7, 9, 7, 9]))
    assert groups.tolist() == [7, 9]
    assert sums.tolist() == [6, -1.5]
    assert sums.sum() == influence.sum()
    assert sum_of(influence, [3, 1]) == -1.5
    assert sum_of(influence, []) == 0
    with pytest.raises(BadInputError, match="record 4 is out of range"):
        sum_of(influence, [4])


def test_episodes_add_up_to_the_round(base: Snapshot) -> None:
    influence = first_order(base, return_target(base))
    episodes, sums = sum_by(influence, base.buffer.episode)
    assert episodes.tolist() == sorted(set(base.buffer.episode.tolist()))
    assert sums.sum() == pytest.approx(float(influence.sum(dtype=np.float64)))
    first = np.flatnonzero(base.buffer.episode == episodes[0])
    assert sums[0] == pytest.approx(sum_of(influence, first))

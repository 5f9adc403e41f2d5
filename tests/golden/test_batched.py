"""Batched replays mean what replays one by one mean: the exact ones in float32, autograd's in float64."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from worlds import entry, moved_snapshot, off_policy

import engine
from engine.core.draws import random_removals
from engine.core.policy import Policy
from engine.core.replays.many import Replay, ReplayTask, finished_replays, grid, replays, run_replays
from engine.core.replays.replay import check_replayable, intervene, replay
from engine.core.targets.functions import Target
from engine.core.targets.of_records import return_target
from engine.core.update import as_batch, update
from engine.errors import BadInputError
from engine.kinds.control import batched
from engine.kinds.control.agents import restore_learner
from engine.kinds.control.batched_replays import OnCuda, batched_values, updated_agents
from engine.store.read import Run
from engine.store.snapshot import Snapshot

CPU = torch.device("cpu")
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "categorical, adam": ("CartPole-v1", {}),
    "one-hot, sgd, entropy": ("IdentityWorld-v0", {"optimizer": "sgd", "learning_rate": 0.05, "ent_coef": 0.02}),
    "momentum, torch path": (
        "CartPole-v1",
        {"optimizer": "sgd", "learning_rate": 5e-3, "momentum": 0.9, "path": "torch"},
    ),
    "gaussian, adam": ("FollowWorld-v0", {"ent_coef": 0.01}),
    "gaussian, sgd": ("Pendulum-v1", {"optimizer": "sgd", "learning_rate": 1e-3}),
    "raw, unclipped, other widths": (
        "Acrobot-v1",
        {"normalize_advantage": False, "max_grad_norm": float("inf"), "hidden": (32, 48, 16)},
    ),
    "early stop": ("CartPole-v1", {"target_kl": 1e-3, "learning_rate": 1e-3}),
    "empty minibatches": ("CartPole-v1", {"batch_size": 3, "n_epochs": 1}),
}


@pytest.fixture(scope="module", params=CASES)
def snapshot(request: pytest.FixtureRequest) -> Snapshot:
    """A second round, so that the optimizer has a state; the last minibatch of an epoch is a short one.

    Some ratios lie beyond the clip range, but where the update stops early.
    """
    name, settings = CASES[request.param]
    made = moved_snapshot(entry(name), **{"n_steps": 200, "n_epochs": 4, "batch_size": 48, **settings})
    return made if "target_kl" in settings else off_policy(made)


def removals(snapshot: Snapshot) -> tuple[np.ndarray, list[int]]:
    """Nothing, a few, half and nearly all of the records; orders that repeat."""
    rng = np.random.default_rng(0)
    removed = rng.random((5, len(snapshot.buffer))) < np.array([0, 0.05, 0.5, 0.5, 0.9])[:, None]
    return removed, [0, 2, 0, 1, 2]


def targets(snapshot: Snapshot) -> list[Target]:
    """A log-probability target of many pairs, one of one pair, and a target of another kind."""
    return [return_target(snapshot), engine.action_target(snapshot, record=3), Entropy(snapshot.buffer.observation)]


@dataclass(frozen=True, eq=False)
class Entropy:
    """The policy's mean entropy: no log-probability target."""

    observation: np.ndarray
    name: str = "entropy"

    def describe(self) -> dict[str, Any]:
        return {"target": self.name}

    def value(self, policy: Policy) -> Tensor:
        inputs = policy.encode(self.observation)
        discrete = policy.action_space.kind == "discrete"  # type: ignore[union-attr]
        action = torch.zeros(len(inputs), dtype=torch.int64) if discrete else inputs.new_zeros(len(inputs), 1)
        return policy(inputs, action, with_value=False).entropy.mean()


def agree(found: np.ndarray, exact: np.ndarray) -> bool:
    """Within 1e-4; of values above 1, a ten-thousandth of them."""
    return bool((np.abs(found - exact) <= 1e-4 * np.maximum(1, np.abs(exact))).all())


def test_values_are_those_of_exact_replays(snapshot: Snapshot) -> None:
    removed, orders = removals(snapshot)
    asked, replays = targets(snapshot), [Replay(*each) for each in zip(removed, orders, strict=True)]
    exact = run_replays(snapshot, asked, ReplayTask(0, [], replays))
    found = batched_values(snapshot, asked, removed, orders, CPU)
    assert agree(found, exact)
    assert exact[:, 0].std() > 1e-4, "the removals must matter more than the tolerance"


def test_parameters_are_those_of_exact_replays(snapshot: Snapshot) -> None:
    removed, orders = removals(snapshot)
    agents = updated_agents(snapshot, removed, orders, CPU)
    for row, order, parameters in zip(removed, orders, agents.parameters(), strict=True):
        exact = replay(snapshot, np.flatnonzero(row), order=order).checkpoint
        assert {f"parameter/{name}" for name in parameters} <= exact.keys()
        for name, tensor in parameters.items():
            np.testing.assert_allclose(tensor, exact[f"parameter/{name}"], rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("actor_only", [False, True])
def test_in_double_precision_it_is_the_update(snapshot: Snapshot, actor_only: bool) -> None:
    """A whole minibatch is gone beforehand: from the update, or from the actor's loss alone."""
    gone = np.union1d(snapshot.minibatches[0, : snapshot.config.batch_size], np.arange(0, len(snapshot.buffer), 7))
    snapshot = snapshot.without(gone, actor_only=actor_only)
    removed, orders = removals(snapshot)
    removed[-1, snapshot.minibatches[0, -1]] = False  # something is left to train on
    agents = updated_agents(snapshot, removed, orders, CPU, torch.float64)
    spaces = snapshot.observation_space, snapshot.action_space
    for row, order, parameters in zip(removed, orders, agents.parameters(), strict=True):
        changed = intervene(snapshot, np.flatnonzero(row), order=order)
        policy, optimizer = restore_learner(snapshot.config, *spaces, snapshot.checkpoint)
        policy.double()
        for state in optimizer.state.values():
            state.update({key: value.double() for key, value in state.items() if key != "step" and value is not None})
        kept = changed.buffer.critic_kept
        update(
            policy, optimizer, as_batch(policy, changed.buffer), changed.minibatches, changed.config, critic_kept=kept
        )
        for name, expected in policy.named_parameters():
            np.testing.assert_allclose(
                parameters[name], expected.detach().numpy(), rtol=1e-9, atol=1e-10, err_msg=f"{name}, order {order}"
            )


def test_the_cases_are_what_they_are_called(snapshot: Snapshot, request: pytest.FixtureRequest) -> None:
    removed, _ = removals(snapshot)
    metrics = [replay(snapshot, np.flatnonzero(row)).metrics for row in removed]
    case = request.node.callspec.params["snapshot"]
    whole = snapshot.config.n_epochs * -(-len(snapshot.buffer) // snapshot.config.batch_size)
    if case == "early stop":
        assert len({each.steps for each in metrics}) > 2
        assert 0 < min(each.steps for each in metrics) < whole
    elif case == "empty minibatches":
        assert metrics[0].steps == whole
        assert metrics[-1].steps < whole
    else:
        assert metrics[0].steps == whole
        assert metrics[0].clip_fraction > 0.01
    if "unclipped" not in case:
        assert max(each.grad_norm for each in metrics) > snapshot.config.max_grad_norm


def test_every_tensor_is_on_the_device(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that refuses to work together with the CPU, and has no numbers: the width is said to be 7."""
    monkeypatch.setattr(batched, "int", lambda _: 7, raising=False)
    removed, orders = removals(snapshot)
    agents = updated_agents(snapshot, removed, orders, torch.device("meta"))
    log_prob = agents.log_prob(snapshot.buffer.observation, snapshot.buffer.action)
    assert (log_prob.device.type, log_prob.shape) == ("meta", removed.shape)


@pytest.fixture
def committed(cartpole: Run, tmp_path: Path) -> Snapshot:
    """Round 1 of 140 records; nothing is kept from other tests."""
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    return engine.open_run(tmp_path / "run").snapshot(1)


@pytest.fixture
def cpu_as_cuda(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The CPU plays the CUDA device, five replays at a time; the sizes of its batches."""
    sizes: list[int] = []

    def values(self: OnCuda, targets: Sequence[Target], removed: np.ndarray, orders: Sequence[int]) -> np.ndarray:
        sizes.append(len(removed))
        return batched_values(self.snapshot, targets, removed, orders, CPU)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(OnCuda, "size", lambda self, count: 5)
    monkeypatch.setattr(OnCuda, "values", values)
    return sizes


def test_what_a_device_replayed_is_kept_apart(committed: Snapshot, cpu_as_cuda: list[int]) -> None:
    target, removed = return_target(committed), random_removals(committed, 0.5, 6)
    exact = replays(committed, [target], removed, 2)
    assert cpu_as_cuda == []
    assert finished_replays(committed, target, grid(removed, 2), "cuda") == (0, 12)
    found = replays(committed, [target], removed, 2, device="cuda")
    assert cpu_as_cuda == [5, 5, 2]
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-4)
    assert not np.array_equal(found, exact)
    assert np.array_equal(replays(committed, [target], removed, 2, device="cuda"), found)
    assert np.array_equal(replays(committed, [target], removed, 2), exact)
    assert cpu_as_cuda == [5, 5, 2]


def test_a_validation_says_where_it_was_replayed(committed: Snapshot, cpu_as_cuda: list[int]) -> None:
    settings: dict[str, Any] = {"subsets": 5, "orders": 2, "executor": "inline"}
    found = engine.validate(committed, device="cuda", **settings)
    assert (found.device, sum(cpu_as_cuda)) == ("cuda", 12)
    assert engine.read_validation(committed) is None, "what is shown by default was replayed exactly"
    exact = engine.validate(committed, **settings)
    assert exact.device == "cpu"
    np.testing.assert_allclose(found.actual, exact.actual, rtol=0, atol=1e-4)
    for device, expected in (("cpu", exact), ("cuda", found)):
        read = engine.read_validation(committed, device=device)
        assert read is not None
        assert read.actual == expected.actual


def test_what_can_not_be_replayed_there_is_refused(committed: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    check_replayable(committed, "cpu")
    with pytest.raises(BadInputError, match="the device is 'tpu'; it must be cpu or cuda"):
        engine.validate(committed, device="tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInputError, match=r"no CUDA device here .* --device cpu"):
        engine.validate(committed, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    images = replace(committed, observation_space=replace(committed.observation_space, dtype="uint8", shape=(8, 8, 3)))
    with pytest.raises(BadInputError, match="no batched form of convolutions"):
        check_replayable(images, "cuda")
    assert not (committed.path or Path()).joinpath("derived").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(lander: Run, tmp_path: Path) -> None:
    shutil.copytree(lander.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    snapshot = engine.open_run(tmp_path / "run").snapshot(2)
    removed, both = random_removals(snapshot, 0.5, 8), targets(snapshot)[:2]
    there, here = (
        batched_values(snapshot, both, removed, range(8), torch.device(name), torch.float64) for name in ("cuda", "cpu")
    )
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-9)
    exact = replays(snapshot, both, removed, 4)
    found = replays(snapshot, both, removed, 4, device="cuda")
    far = np.abs(found - exact) > 1e-4 * np.maximum(1, np.abs(exact))
    assert far.any(axis=0).sum() <= 2, "of 32 replays, those in which rounding decides whether a record is clipped"

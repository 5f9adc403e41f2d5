"""What holds for every entry of the catalogue: episodes can be stepped again, rounds replayed, runs resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import ENTRIES, record, same_tensors

import engine
from engine.core.gradients.inner_products import BACKENDS, gradient, inner_products
from engine.core.targets.of_records import action_target, return_target
from engine.core.update import as_batch
from engine.envs import find
from engine.errors import ZeroGradientError
from engine.kinds.control.networks import restore_policy
from engine.kinds.control.stepper import VectorEnvironment
from engine.store.read import Run
from engine.store.snapshot import Snapshot

pytestmark = pytest.mark.long

SLOW = {"highway-fast-v0": 100, "highway-v0": 100}
"""Steps that are enough for a few episodes of an environment that is slow."""
TIMES = {"collect_seconds", "update_seconds"}


def random_action(environment: VectorEnvironment, rng: np.random.Generator) -> np.ndarray:
    space = environment.action_space
    if space.kind == "discrete":
        return rng.integers(space.n, size=1)
    return rng.normal(size=(1, *space.shape)).astype(np.float32)


@pytest.mark.parametrize("name", ENTRIES)
def test_an_episode_stepped_again_is_the_same_after_many_resets(name: str) -> None:
    """From the generator as of the reset and the actions since, bit for bit, in an environment that has seen others."""
    rng = np.random.default_rng(5)
    first, again = VectorEnvironment(find(name), 1), VectorEnvironment(find(name), 1)
    first.seed(3)
    steps = SLOW.get(name, 2500)
    saved: list[tuple[int, dict[str, Any]]] = []
    shown, actions, rewards = [], [], []
    for t in range(steps):
        if t in (steps // 3, 3 * steps // 4):
            saved.append((t, first.state()))
        actions.append(random_action(first, rng))
        rewards.append(first.step(actions[-1]).reward)
        shown.append(first.observation.copy())
    assert first.episodes[0].number >= 2, "resets on the way"
    for t, state in reversed(saved):
        again.restore(state)
        for later in range(t, min(t + 20, steps)):
            assert np.array_equal(again.step(actions[later]).reward, rewards[later])
            assert again.observation.tobytes() == shown[later].tobytes()


def small(name: str) -> dict[str, Any]:
    return {"rounds": 2, "n_envs": 2, "n_steps": 12 if name in SLOW else 40, "n_epochs": 2, "batch_size": 16, "seed": 4}


@pytest.fixture(scope="module", params=ENTRIES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(tmp_path_factory.mktemp("every") / request.param, request.param, **small(request.param))


def test_verifies_and_replays_bit_for_bit(run: Run) -> None:
    assert engine.verify_run(run.path) == []
    for k in run.stored_rounds:
        after = run.checkpoint(k + 1)
        learnt = {name: t for name, t in after.items() if name.startswith(("parameter/", "optimizer/"))}
        same_tensors(engine.replay(run.snapshot(k)).checkpoint, learnt)


def test_resumes_bit_for_bit(run: Run, tmp_path: Path) -> None:
    snapshots = engine.rounds(run.config, tmp_path / "parts")
    next(snapshots)
    next(snapshots)
    snapshots.close()
    assert engine.open_run(tmp_path / "parts").stored_rounds == [0]
    (snapshot,) = engine.rounds(run.config, tmp_path / "parts", resume=True)
    same_tensors(vars(snapshot.buffer), vars(run.snapshot(1).buffer))
    same_tensors(engine.open_run(tmp_path / "parts").checkpoint(2), run.checkpoint(2))


def in_precision(snapshot: Snapshot, double: bool) -> tuple[Any, Any]:
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    policy = policy.double() if double else policy
    return policy, as_batch(policy, snapshot.buffer)


@pytest.mark.parametrize("target", ["return", "action"])
def test_influence_backends_agree(run: Run, target: str) -> None:
    snapshot = run.snapshot(1)
    f = return_target(snapshot) if target == "return" else action_target(snapshot, record=5)
    found = {}
    for name, double in [("loop", True), *((name, double) for name in BACKENDS for double in (True, False))]:
        policy, batch = in_precision(snapshot, double)
        direction = gradient(f, policy)
        found[name, double] = inner_products(policy, batch, snapshot.config, direction, name).detach().double().numpy()
    oracle = found["loop", True]
    scale = np.abs(oracle).max()
    for (_, double), products in found.items():
        np.testing.assert_allclose(products / scale, oracle / scale, rtol=0, atol=1e-10 if double else 1e-5)
    try:
        assert engine.influence(snapshot, f, cache=False).influence.any()
    except ZeroGradientError:
        pytest.fail("the target has a gradient here")

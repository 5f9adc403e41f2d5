"""The kept gradients of a round: the same influence as by the loop over records, for any number of targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from worlds import double, moved_snapshot, off_policy

import engine
from engine.core.estimators.registry import first_order, first_order_parts
from engine.core.gradients.attribution import TERMS, Term
from engine.core.gradients.inner_products import gradient, inner_products
from engine.core.targets.functions import Target
from engine.core.targets.of_records import ActionTarget, action_target, return_target
from engine.envs import find
from engine.errors import ZeroGradientError
from engine.kinds.control.kind import KIND
from engine.kinds.control.round_gradients import GradientCache, RoundGradients, has_gradients, round_gradients
from engine.store.read import Run
from engine.store.snapshot import Float32s, Snapshot


@pytest.fixture(
    scope="module",
    params=[("LunarLander-v3", 0.02), ("LunarLander-v3", 0.0), ("FrozenLake-v1", 0.02), ("Pendulum-v1", 0.02)],
)
def snapshot(request: pytest.FixtureRequest) -> Snapshot:
    """Ratios away from 1, some records dropped, and some of them from the actor alone."""
    env_id, ent_coef = request.param
    settings = {"n_steps": 96, "learning_rate": 3e-3, "ent_coef": ent_coef, "n_epochs": 2}
    moved = off_policy(moved_snapshot(find(env_id), rounds=2, **settings))
    return moved.without(range(10, 20)).without(range(30, 40), actor_only=True)


def targets(snapshot: Snapshot) -> list[Target]:
    buffer = snapshot.buffer
    typed = action_target(snapshot, observation=buffer.observation[5] * 0, action=buffer.action[3])
    turned, advantage = np.roll(buffer.observation, 7, axis=0), np.cos(np.arange(len(buffer))).astype(np.float32)
    elsewhere = replace(buffer, observation=turned, advantage=advantage)
    return [
        return_target(snapshot),
        return_target(snapshot, elsewhere),
        action_target(snapshot, record=50),
        action_target(snapshot, record=[3, 50, 7]),
        typed,
    ]


def test_the_loop_over_records_says_the_same(snapshot: Snapshot) -> None:
    policy = KIND.policy(snapshot)
    batch = KIND.objective(snapshot).at_start(KIND.batch(snapshot, policy), snapshot.minibatches)
    policy, wide = double(policy, snapshot)
    wide = wide._replace(advantage=batch.advantage.double())
    for target in targets(snapshot):
        found = first_order_parts(snapshot, target)
        direction = gradient(target, policy)
        parts: dict[Term | None, Float32s] = {None: found.influence, **found.terms}
        assert not parts.pop("critic").any(), "a target of the actor's alone"
        for term, part in parts.items():
            expected = inner_products(policy, wide, snapshot.config, direction, "loop", term).detach().numpy()
            expected = np.where(snapshot.buffer.critic_kept, expected, 0)
            assert np.abs(part - expected).max() <= 1e-5 * max(np.abs(expected).max(), 1e-9), (term, target.name)
        assert set(found.terms) == set(TERMS)
        assert not found.influence[10:20].any()


def test_many_targets_at_once(snapshot: Snapshot) -> None:
    """Row j is the target of record j alone, and the mean of rows is the target of them all."""
    records = [3, 7, 50]
    target = action_target(snapshot, record=records)
    matrix = engine.influence_on_each(snapshot, target)
    assert matrix.shape == (3, len(snapshot.buffer))
    for row, record in zip(matrix, records, strict=True):
        expected = first_order(snapshot, action_target(snapshot, record=record))
        assert np.abs(row - expected).max() <= 1e-5 * np.abs(expected).max()
    together = first_order(snapshot, target)
    assert np.abs(matrix.mean(axis=0) - together).max() <= 1e-5 * np.abs(together).max()


def test_networks_without_a_closed_form_are_answered_too() -> None:
    images = moved_snapshot(find("MiniGrid-Empty-8x8-v0"), n_steps=24, n_epochs=1)
    assert round_gradients(images) is None
    matrix = engine.influence_on_each(images, action_target(images, record=[2, 9]))
    np.testing.assert_allclose(matrix[1], first_order(images, action_target(images, record=9)), rtol=1e-4, atol=1e-7)


def test_a_target_without_a_gradient_is_refused_in_words(snapshot: Snapshot) -> None:
    flat = return_target(snapshot, replace(snapshot.buffer, advantage=np.zeros(len(snapshot.buffer), np.float32)))
    with pytest.raises(ZeroGradientError, match="gradient of the return target is zero"):
        engine.influence(snapshot, flat)


def test_a_round_is_prepared_once_and_a_changed_one_never_kept(lander: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = GradientCache(2**30)
    monkeypatch.setattr("engine.kinds.control.round_gradients._CACHE", cache)
    first = round_gradients(lander.snapshot(1))
    assert round_gradients(lander.snapshot(1)) is first
    assert round_gradients(lander.snapshot(2)) is not first
    kept = cache.nbytes
    assert round_gradients(lander.snapshot(1).without([3])) is not first
    assert cache.nbytes == kept > 0


def test_the_cache_is_bounded_and_keeps_what_was_used_last(lander: Run) -> None:
    rounds = [RoundGradients(lander.snapshot(k)) for k in range(3)]
    cache = GradientCache(int(2.5 * rounds[0].nbytes))

    def refused() -> RoundGradients:
        raise AssertionError("it is kept")

    for key, gradients in zip("ab", rounds, strict=False):
        assert cache.get(key, lambda gradients=gradients: gradients) is gradients
    assert cache.get("a", refused) is rounds[0]
    cache.get("c", lambda: rounds[2])
    assert cache.nbytes <= cache.limit
    assert cache.get("a", refused) is rounds[0]
    assert cache.get("c", refused) is rounds[2]
    with pytest.raises(AssertionError, match="it is kept"):
        cache.get("b", refused)


def test_gradients_take_little_memory(lander: Run) -> None:
    """As factors, not as a matrix of a row a record and a column a parameter."""
    snapshot = lander.snapshot(1)
    assert has_gradients(snapshot)
    actor = sum(part.size for name, part in snapshot.parameters.items() if name.startswith("actor"))
    assert RoundGradients(snapshot).nbytes < 0.1 * 4 * actor * len(snapshot.buffer)


def test_a_click_leaves_no_file(lander: Run) -> None:
    snapshot = lander.snapshot(2)
    assert snapshot.path is not None
    before = set((snapshot.path / "derived").glob("*"))
    for record in range(20):
        engine.influence(snapshot, action_target(snapshot, record=record))
    assert set((snapshot.path / "derived").glob("*")) == before


def test_sets_of_records_are_named_by_what_is_in_them(lander: Run) -> None:
    snapshot = lander.snapshot(2)
    one, two = (action_target(snapshot, record=records).describe() for records in ([3, 9], [3, 10]))
    assert one != two
    assert one == action_target(snapshot, record=np.array([9, 3, 3])).describe()
    asked = action_target(snapshot, record=[3, 9], action=1)
    assert isinstance(asked, ActionTarget)
    assert asked.action.tolist() == [1, 1]

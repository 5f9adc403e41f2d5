"""How records are related to a behaviour, on tiny buffers."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import entry, moved_snapshot

import engine
from engine.analysis.formation import form_round
from engine.analysis.relations import groupings, relations
from engine.kinds.control.networks import ActorCritic, restore_policy
from engine.store.snapshot import Snapshot

SMALL = {"n_envs": 2, "n_steps": 60, "batch_size": 32, "n_epochs": 2}


@pytest.fixture(scope="module")
def identity() -> Snapshot:
    """Four states, four actions."""
    return moved_snapshot(entry("IdentityWorld-v0"), rounds=2, seed=3, **SMALL)


def policy_of(snapshot: Snapshot) -> ActorCritic:
    return restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)


def test_relations_of_discrete_states(identity: Snapshot) -> None:
    target = engine.action_target(identity, record=7)
    found, buffer = relations(policy_of(identity), identity.buffer, target), identity.buffer
    here = buffer.observation == buffer.observation[7]
    assert np.array_equal(found.same_action, buffer.action == buffer.action[7])
    assert np.array_equal(found.positive, buffer.advantage > 0)
    assert found.similarity[here] == pytest.approx(1, abs=1e-5)
    assert (found.similarity[~here] < 0.999).all()
    assert np.array_equal(found.similar, here), (
        "a quarter of the records are in that state: all of them are the nearest"
    )


def test_relations_of_continuous_actions() -> None:
    snapshot = moved_snapshot(entry("FollowWorld-v0"), seed=3, **SMALL)
    target = engine.action_target(snapshot, observation=[0.5], action=[0.25])
    policy = policy_of(snapshot)
    found = relations(policy, snapshot.buffer, target)
    deviation = float(policy.log_std.weight.detach().exp())  # type: ignore[union-attr]
    assert np.array_equal(found.same_action, np.abs(snapshot.buffer.action[:, 0] - 0.25) <= deviation)
    assert found.similar.sum() >= 12
    assert found.similarity[found.similar].min() >= found.similarity[~found.similar].max() - 1e-4


def test_groups_hold_every_record_once(identity: Snapshot) -> None:
    target = engine.action_target(identity, record=7)
    found = form_round(identity, target)
    scores = engine.influence(identity, target, cache=False).influence.astype(float)
    ways = groupings(identity.observation_space, identity.action_space)
    assert {way.name for way in ways} == set(found.groups)
    assert {"action", "state"} < set(found.groups)
    for way in ways:
        assert sum(found.groups[way.name]) == pytest.approx(scores.sum() / np.abs(scores).sum())
        assert len(found.groups[way.name]) == len(way.labels)
    of_state = scores[identity.buffer.observation == 2].sum() / np.abs(scores).sum()
    assert found.groups["state"][2] == pytest.approx(of_state)
    both = groupings(identity.observation_space, identity.action_space)[0]
    members = both.of(relations(policy_of(identity), identity.buffer, target), identity.buffer)
    expected = (identity.buffer.action == identity.buffer.action[7]) & (identity.buffer.advantage <= 0)
    assert np.array_equal(members == both.labels.index("same action, advantage −"), expected)

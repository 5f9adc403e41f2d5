"""How a behaviour formed in one round: its make-up on tiny buffers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from worlds import entry, moved_snapshot

import engine
from engine.analysis.formation import TOP, form_round
from engine.store.snapshot import Snapshot

SMALL = {"n_envs": 2, "n_steps": 60, "batch_size": 32, "n_epochs": 2}


@pytest.fixture(scope="module")
def identity() -> Snapshot:
    """Four states, four actions."""
    return moved_snapshot(entry("IdentityWorld-v0"), rounds=2, seed=3, **SMALL)


def test_make_up_is_that_of_the_top_records(identity: Snapshot) -> None:
    target = engine.action_target(identity, record=7)
    found = form_round(identity, target)
    scores = engine.influence(identity, target, cache=False).influence
    order, buffer = np.argsort(-scores, kind="stable"), identity.buffer
    top, bottom = order[:TOP], order[::-1][:TOP]
    assert found.top["same action"] == pytest.approx((buffer.action[top] == buffer.action[7]).mean())
    assert found.top["similar state"] == pytest.approx((buffer.observation[top] == buffer.observation[7]).mean())
    assert found.bottom["positive advantage"] == pytest.approx((buffer.advantage[bottom] > 0).mean())
    assert found.every["same action"] == pytest.approx((buffer.action == buffer.action[7]).mean())
    assert found.magnitude == pytest.approx(np.abs(scores).mean())
    assert found.shown == (*order[:5], *order[::-1][:5])
    assert found.roughness is not None
    assert found.shuffled is not None
    assert 0 < found.roughness < found.shuffled, "records of one state have alike influence"


def test_a_certain_policy_is_not_pushed(identity: Snapshot) -> None:
    tensors = dict(identity.checkpoint)
    tensors["parameter/actor.4.bias"] = np.array([500, 0, 0, 0], np.float32)
    certain = replace(identity, checkpoint=tensors)
    target = engine.action_target(certain, observation=1, action=0)
    found = form_round(certain, target)
    assert (found.magnitude, found.roughness, found.top["same action"], found.shown) == (0, None, None, ())
    json.dumps(found.top)


def test_one_record_alone(identity: Snapshot) -> None:
    alone = replace(identity, buffer=type(identity.buffer)(**{k: v[7:8] for k, v in vars(identity.buffer).items()}))
    alone = replace(alone, minibatches=np.zeros((0, 0), np.int32))
    found = form_round(alone, engine.action_target(alone, record=0))
    assert found.records == 1
    assert found.roughness is None

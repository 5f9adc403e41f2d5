"""How a behaviour formed: relations and make-up on tiny buffers, groups, and what is kept of every round."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from worlds import entry, moved_snapshot, record

import engine
from engine.analysis import formation as formation_file
from engine.analysis.behaviour import Behaviour, as_behaviour, behaviour, influence_by_action, policy_curve
from engine.analysis.formation import TOP, form_round, formation
from engine.analysis.relations import groupings, relations
from engine.analysis.round_by_round import coarse_to_fine
from engine.errors import BadInputError
from engine.kinds.control.networks import ActorCritic, restore_policy
from engine.store.export import export_run
from engine.store.read import Run
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


@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 150])
def test_coarse_to_fine_visits_every_round_once(n: int) -> None:
    order = coarse_to_fine(list(range(100, 100 + n)))
    assert sorted(order) == list(range(100, 100 + n))
    if n == 150:
        assert order[:3] == [100, 228, 164]


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    """A copy whose cache a test may fill."""
    shutil.copytree(cartpole.path, tmp_path / "run")
    return engine.open_run(tmp_path / "run")


def test_rounds_are_kept_also_when_it_is_left_halfway(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    target = engine.action_target(run.snapshot(1), record=3)
    found = formation(run, target)
    steps = iter(found)
    next(steps)
    steps.close()
    again = formation(run, target)
    assert len(again.found) == 1
    assert len(again.missing) == 2
    assert list(again)
    monkeypatch.setattr(formation_file, "form_round", lambda *_: pytest.fail("computed again"))
    whole = formation(run, target)
    assert list(whole) == []
    assert [number for number, _ in whole.in_order] == [0, 1, 2]
    assert whole.found == again.found
    assert formation(run, engine.action_target(run.snapshot(1), record=4)).found == {}


def test_a_damaged_round_is_passed_by_and_named(run: Run) -> None:
    target = engine.action_target(run.snapshot(2), record=3)
    damaged = next((run.path / "data").glob("000001-records-*"))
    damaged.write_bytes(damaged.read_bytes()[:-7])
    found = behaviour(run, target)
    assert [item.round for item in found.formation] == [0, 2]
    [note] = found.notes
    assert note.startswith("Round 1 is left out: ")
    assert damaged.name in note


def test_influence_by_action_is_a_share_and_looks_at_new_rounds_only(tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", rounds=3, n_steps=64, batch_size=32, n_epochs=2)
    training = engine.rounds(config, tmp_path / "growing")
    for _ in range(3):  # two rounds are committed
        next(training)
    run = engine.open_run(tmp_path / "growing")
    first = influence_by_action(run)
    assert first.missing == [0, 1]
    for _ in first:
        pass
    for number, shares in first.found.items():
        snapshot = run.snapshot(number)
        scores = engine.influence(snapshot).influence
        sums = [scores[snapshot.buffer.action == action].sum() for action in range(2)]
        assert shares == pytest.approx(np.array(sums) / np.abs(scores).sum(), rel=1e-4)
    list(training)
    run.refresh()
    second = influence_by_action(run)
    assert second.missing == [2]
    assert second.found == first.found


def test_behaviour_as_one_whole(run: Run) -> None:
    snapshot = run.snapshot(1)
    target = engine.action_target(snapshot, record=3)
    reports = []
    found = engine.behaviour(run, target, report=lambda *report: reports.append(report))
    assert isinstance(found, Behaviour)
    assert found.checkpoints == (0, 1, 2, 3)
    assert found.probability is not None
    assert found.probability[1] == pytest.approx(np.exp(snapshot.buffer.log_prob[3]), rel=1e-5)
    assert reports[-1] == ("the records of every round", 3, 3)
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert said["rounds"] == [0, 1, 2]
    assert said["roughness"] == [item.roughness for item in found.formation]
    assert len(said["make_up"]["similar state"]["top"]) == 3
    assert said["phases"]["saturation"].startswith("not clear: 3 rounds")


def test_an_action_that_is_never_taken(run: Run) -> None:
    target = engine.action_target(run.snapshot(1), observation=[50.0, 50, 5, 50], action=0)
    curve = policy_curve(run, target)
    list(curve)
    curve.found = dict.fromkeys(curve.found, (0.0, 1.0))
    formed = formation(run, target)
    list(formed)
    assert any("as good as never takes the action" in note for note in as_behaviour(curve, formed, target).notes)


def test_thinned_rounds_are_said(run: Run, tmp_path: Path) -> None:
    thin = export_run(run.path, tmp_path / "thin", {0, 2})
    found = behaviour(thin, engine.action_target(thin.snapshot(0), record=3))
    assert [item.round for item in found.formation] == [0, 2]
    assert any("Only 2 of the run's 3 rounds keep their records (0, 2)" in note for note in found.notes)


def test_several_records_are_no_behaviour(run: Run) -> None:
    with pytest.raises(BadInputError, match="one state and action"):
        behaviour(run, engine.action_target(run.snapshot(1), record=[3, 4]))


def test_images_and_continuous_actions(tmp_path: Path) -> None:
    images = record(
        tmp_path / "grid", "MiniGrid-Empty-8x8-v0", rounds=2, n_envs=2, n_steps=40, batch_size=16, n_epochs=2
    )
    found = behaviour(images, engine.action_target(images.snapshot(1), record=3))
    assert "state" not in found.formation[0].groups
    moving = record(tmp_path / "pendulum", "Pendulum-v1", rounds=2, n_envs=2, n_steps=40, batch_size=16, n_epochs=2)
    found = behaviour(moving, engine.action_target(moving.snapshot(1), record=3))
    assert found.probability is None
    assert found.policy.shape == (3, 2)
    assert "action" not in found.formation[0].groups
    json.dumps(found.to_json(), allow_nan=False)

"""Filters: which records go, how many, and that a filtered round is recorded and replayed as it was trained."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import entry, learner, same_tensors

import engine
from engine.analysis.checks.round_checks import advantages as check_advantages
from engine.core.filtering import Filtered, actor_influence, filtered, filtered_count
from engine.core.kind import kind_of
from engine.core.repairs import REPAIRS
from engine.core.replays.replay import intervene
from engine.errors import BadInputError, NotARunError
from engine.kinds.control.agents import restore_agent
from engine.kinds.control.agreement import agreement
from engine.kinds.control.filtering import GUARDED, RANKINGS, make_filter, strength
from engine.kinds.control.learner import ControlLearner
from engine.store.snapshot import Snapshot

SETTINGS: dict[str, Any] = {"n_steps": 100, "n_envs": 2, "batch_size": 32, "n_epochs": 2, "rounds": 3, "drop": 0.5}


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    made = ControlLearner.begin(engine.preset("CartPole-v1", "default", **SETTINGS))
    made.update(made.collect())
    return made.collect()


@pytest.mark.parametrize("name", RANKINGS)
def test_every_filter_chooses_as_many_as_iif(snapshot: Snapshot, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.kinds.control.filtering.agreement", lambda _: 2.2)
    snapshot = replace(snapshot, metrics={**snapshot.metrics, "explained_variance": -1.0})
    choose = make_filter(engine.preset("CartPole-v1", "default", **SETTINGS, filter=name))
    assert choose is not None
    chosen, why, actor_only, repairs = choose(snapshot)
    scores = engine.influence(snapshot).influence
    drop = 0.5
    if name in GUARDED:
        drop *= strength(-1.0, 2.2)
        assert drop == pytest.approx(0.35)
    assert len(chosen) == len(set(chosen)) == filtered_count(scores, drop) > 10
    assert name in why
    assert actor_only == (name == "guarded")
    assert repairs == name.startswith("reestimate")
    others = np.setdiff1d(snapshot.buffer.record, chosen)
    if name in {"iif", "reestimate", *GUARDED}:
        assert scores[chosen].max() < scores[others].min()
    elif name == "advantage":
        assert np.abs(snapshot.buffer.advantage)[chosen].max() <= np.abs(snapshot.buffer.advantage)[others].min()
    assert np.array_equal(chosen, choose(snapshot).records), "no hidden randomness"


@pytest.mark.parametrize(
    ("explained", "agreed", "expected"),
    [(0.0, 0.0, 0), (0.2, 0.0, 0.5), (0.9, -1.0, 1), (-3.0, 2.0, 0.5), (0.15, 4.0, 1), (float("nan"), float("nan"), 0)],
)
def test_the_guard_opens_with_the_evidence(explained: float, agreed: float, expected: float) -> None:
    assert strength(explained, agreed) == pytest.approx(expected)


def test_agreement_by_hand() -> None:
    """Four records of one state, two a group. d/d logit of A log pi(a) is +A/2 or -A/2 at even odds."""
    made = learner(entry("BarrenWorld-v0"), n_steps=4, batch_size=4)
    flat = {name: np.zeros_like(t) for name, t in made.agent.tensors().items()}
    made.agent = restore_agent(made.config, made.observation_space, made.action_space, flat)
    collected = made.collect()

    def agreed(action: list[int], advantage: list[float], episode: list[int]) -> float:
        buffer = replace(
            collected.buffer,
            observation=np.zeros(4, np.int64),
            action=np.array(action),
            advantage=np.array(advantage, np.float32),
            episode=np.array(episode),
        )
        return agreement(replace(collected, buffer=buffer))

    assert agreed([0, 1, 0, 1], [1, -1, 1, -1], [0, 0, 1, 1]) == pytest.approx(1), "the most two groups can say"
    assert agreed([0, 1, 0, 1], [1, -1, -1, 1], [0, 0, 1, 1]) == pytest.approx(-1)
    assert agreed([0, 1, 0, 1], [1, -1, 1, -1], [0, 1, 2, 3]) == pytest.approx(math.sqrt(6)), "of four groups"
    assert math.isnan(agreed([0, 1, 0, 1], [1, -1, 1, -1], [5, 5, 5, 5])), "one episode"


def test_dropped_from_the_actor_alone() -> None:
    """The critic learns as if nothing were dropped, the actor as if the records were gone; clipping would couple them."""
    made = ControlLearner.begin(engine.preset("CartPole-v1", "default", **SETTINGS, max_grad_norm=None))
    collected = made.collect()
    drop = np.arange(0, 200, 3)
    whole, gone = engine.replay(collected).checkpoint, engine.replay(collected, drop=drop).checkpoint
    guarded = engine.replay(collected.without(drop, actor_only=True)).checkpoint
    for name, tensor in guarded.items():
        if "parameter/" in name:
            assert np.array_equal(tensor, (whole if "critic" in name else gone)[name]), name
            assert not np.array_equal(tensor, (gone if "critic" in name else whole)[name]), name


def test_removing_records_from_a_guarded_round(snapshot: Snapshot) -> None:
    """Those that the filter dropped from the actor's loss go on training the critic, in either mode."""
    guarded = snapshot.without(np.arange(0, 100), actor_only=True)
    for mode in ("mask", "rebatch"):
        left = intervene(guarded, [0, 150], mode=mode)
        assert np.flatnonzero(~left.buffer.kept).tolist() == [*range(100), 150]
        assert np.flatnonzero(~left.buffer.critic_kept).tolist() == [0, 150]
    assert all({0, 150} == set(order[-2:]) for order in left.minibatches), "rebatch: the removed ones come last"


def test_filtered_minibatches_are_filled_up_again(snapshot: Snapshot) -> None:
    def every_other(_: Snapshot) -> Filtered:
        return Filtered(np.arange(0, 200, 2), "every other one")

    masked = replace(snapshot, config=replace(snapshot.config, filter_mode="mask"))
    assert np.array_equal(filtered(masked, every_other).minibatches, snapshot.minibatches)
    left = filtered(snapshot, every_other)
    for before, after in zip(snapshot.minibatches, left.minibatches, strict=True):
        assert after[:100].tolist() == [i for i in before if i % 2], "the order that was drawn"
        assert sorted(after[100:]) == list(range(0, 200, 2))
    guarded = filtered(snapshot, lambda _: every_other(_)._replace(actor_only=True))
    assert np.array_equal(guarded.minibatches, snapshot.minibatches), "they still train the critic"


def test_repaired_records_train_with_their_td_errors(tmp_path: Path) -> None:
    """r + gamma V(s') - V(s) by hand; the others, what the critic is drawn to and the return target are as PPO has them."""
    plain = engine.train(engine.preset("CartPole-v1", **SETTINGS), tmp_path / "plain").snapshot(0)
    config = engine.preset("CartPole-v1", **SETTINGS, filter="reestimate")
    run = engine.train(config, tmp_path / "repaired")
    found, before = run.snapshot(0).buffer, plain.buffer
    ends, last = before.terminated | before.truncated, np.arange(200) >= 198
    next_value = np.append(before.value[2:], [0, 0]) * ~before.terminated
    by_hand = before.reward + config.gamma * next_value - before.value
    known = found.repaired & ~last & ~(before.truncated & ~before.terminated)
    assert known.sum() > 20
    assert not ends[known].all()
    np.testing.assert_allclose(found.advantage[known], by_hand[known], atol=1e-4)
    np.testing.assert_array_equal(found.advantage[~found.repaired], before.advantage[~found.repaired])
    np.testing.assert_array_equal(found.returns, before.returns)
    worst = np.argsort(actor_influence(plain), kind="stable")[: found.repaired.sum()]
    assert sorted(worst) == np.flatnonzero(found.repaired).tolist()
    np.testing.assert_allclose(engine.return_target(run.snapshot(0)).advantage, before.advantage, atol=1e-5)
    assert check_advantages(run.snapshot(1)).ok, "what was repaired is no fault"


def test_what_stands_in_the_place_of_an_advantage(tmp_path: Path) -> None:
    """The discounted return minus V(s) by hand, bootstrapped where the round or a time limit cuts an episode; and a half."""
    run = engine.train(engine.preset("CartPole-v1", **SETTINGS), tmp_path / "plain")
    snapshot, records = run.snapshot(0), np.arange(0, 200, 3)
    config, kind, before = snapshot.config, kind_of(snapshot), snapshot.buffer
    found = {name: kind.repaired(snapshot, records, repair).buffer.advantage for name, repair in REPAIRS.items()}
    others = np.setdiff1d(np.arange(200), records)
    for advantage in found.values():
        np.testing.assert_array_equal(advantage[others], before.advantage[others])
    np.testing.assert_array_equal(found["half_weight"][records], before.advantage[records] / 2)
    decay, gamma = config.gamma * config.gae_lambda, config.gamma
    ends, by_hand = before.terminated | before.truncated, np.zeros(200)
    for t in reversed(range(200)):
        after = t + 2 if t + 2 < 200 and not ends[t] else None
        delta = before.advantage[t] - (decay * before.advantage[after] if after else 0)
        by_hand[t] = delta + (gamma * by_hand[after] if after else 0)
    np.testing.assert_allclose(found["monte_carlo"][records], by_hand[records], atol=1e-3)
    whole = np.flatnonzero((before.episode == before.episode[0]) & (before.env == before.env[0]))
    assert before.terminated[whole[-1]]
    discounted = sum(gamma**i * before.reward[t] for i, t in enumerate(whole))
    assert found["monte_carlo"][0] == pytest.approx(discounted - before.value[0], abs=1e-3)
    assert not np.allclose(found["monte_carlo"][records], found["td_error"][records], atol=1e-2)


def test_nothing_repaired_is_ppo_itself(tmp_path: Path) -> None:
    """A share of the negative records that is less than one."""
    plain = engine.train(engine.preset("CartPole-v1", **SETTINGS), tmp_path / "plain")
    none = engine.preset("CartPole-v1", **{**SETTINGS, "drop": 1e-6}, filter="reestimate")
    found = engine.train(none, tmp_path / "none")
    same_tensors(found.checkpoint(3), plain.checkpoint(3))


def test_no_filter() -> None:
    assert make_filter(engine.preset("CartPole-v1", "default")) is None


@pytest.mark.parametrize("estimator", ["tracin", "tracin_adam"])
@pytest.mark.parametrize("name", ["iif", "guarded", "random"])
def test_filters_go_by_the_estimator_that_they_are_told(snapshot: Snapshot, name: str, estimator: str) -> None:
    config = engine.preset("CartPole-v1", "default", **SETTINGS, filter=name, filter_estimator=estimator)
    choose = make_filter(config)
    assert choose is not None
    dropped, why, *_ = choose(replace(snapshot, config=config, metrics={"explained_variance": 0.9}))
    scores, others = (engine.influence(snapshot, estimator=e).influence for e in (estimator, "first_order"))
    assert f"negative records by {estimator}" in why
    assert len(dropped) == filtered_count(scores, 0.5)
    if name != "random":
        assert set(dropped) == set(np.argsort(scores)[: len(dropped)]) != set(np.argsort(others)[: len(dropped)])


def test_a_shut_guard_drops_nothing(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.kinds.control.filtering.agreement", lambda _: 0.3)
    choose = make_filter(engine.preset("CartPole-v1", "default", **SETTINGS, filter="guarded"))
    assert choose is not None
    dropped, why, *_ = choose(replace(snapshot, metrics={**snapshot.metrics, "explained_variance": -1.0}))
    assert len(dropped) == 0
    assert why == "guarded: nothing dropped, from the actor's loss; explained variance -1.00, agreement 0.30"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("iif", {}),
        ("random", {}),
        ("guarded", {}),
        ("guarded", {"filter_estimator": "tracin_adam"}),
        ("reestimate", {}),
        ("reestimate", {"repair": "monte_carlo"}),
        ("reestimate_guarded", {"repair": "half_weight"}),
        ("reestimate_random", {}),
    ],
)
def test_a_filtered_run_is_recorded_replayed_and_resumed(tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    config = engine.preset("CartPole-v1", "default", **SETTINGS, filter=name, **settings)
    whole = engine.train(config, tmp_path / "whole")
    interrupted = engine.rounds(config, tmp_path / "cut")
    for _ in range(2):
        next(interrupted)
    interrupted.close()
    cut = engine.train(config, tmp_path / "cut", resume=True)
    repairs = config.repairs
    for k in whole.stored_rounds:
        snapshot = whole.snapshot(k)
        dropped, repaired = int((~snapshot.buffer.kept).sum()), int(snapshot.buffer.repaired.sum())
        assert dropped == snapshot.metrics["dropped"]
        assert repaired == snapshot.metrics.get("repaired", 0)
        assert (repaired if repairs else dropped) > 0 or name in GUARDED
        assert snapshot.buffer.critic_kept.all() == (name == "guarded" or dropped == 0)
        assert name in snapshot.metrics["filter"]
        same_tensors(vars(snapshot.buffer), vars(cut.snapshot(k).buffer))
        after, resumed, replayed = whole.checkpoint(k + 1), cut.checkpoint(k + 1), engine.replay(snapshot).checkpoint
        for tensor in replayed:
            assert np.array_equal(after[tensor], replayed[tensor])
            assert np.array_equal(after[tensor], resumed[tensor])
    assert engine.verify_run(tmp_path / "whole") == []
    assert whole.snapshot(2).buffer.kept.all() == repairs
    assert whole.manifest.schema_version == (4 if repairs else 2)


def test_a_filter_that_leaves_too_little_stops(tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", "default", **{**SETTINGS, "batch_size": 90, "drop": 1.0}, filter="iif")
    with pytest.raises(BadInputError, match=r"would keep \d+ records of round 0, fewer than two minibatches \(180\)"):
        engine.train(config, tmp_path / "run")
    with pytest.raises(NotARunError):
        engine.open_run(tmp_path / "run")
    assert len(engine.train(replace(config, drop=0.1), tmp_path / "run").rounds) == 3, "the folder is free again"


def test_a_round_without_signal_is_kept_whole() -> None:
    """Reward always 0 and a critic that knows it: there is nothing to filter by."""
    made = learner(entry("BarrenWorld-v0"), n_steps=16, batch_size=4, filter="iif")
    flat = {name: np.zeros_like(t) if "critic" in name else t for name, t in made.agent.tensors().items()}
    made.agent = restore_agent(made.config, made.observation_space, made.action_space, flat)
    choose = make_filter(made.config)
    assert choose is not None
    chosen = choose(made.collect())
    assert len(chosen.records) == 0
    assert "gradient is zero" in chosen.why


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"filter": "best"}, "filter is best"),
        ({"drop": 0.0}, "drop is 0.0"),
        ({"drop": 1.5}, "drop is 1.5"),
        ({"filter_mode": "x"}, "filter_mode is x"),
        (
            {"filter": "iif", "filter_estimator": "adam"},
            "filter_estimator is adam; it must be one of first_order, tracin",
        ),
        ({"filter_estimator": "tracin"}, "filter_estimator is tracin; it must be first_order without a filter"),
        (
            {"filter": "iif", "repair": "monte_carlo"},
            "repair is monte_carlo; it must be td_error without a filter that repairs; choose one of reestimate, ",
        ),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        engine.preset("CartPole-v1", "default", **settings)


def test_a_filtered_runs_branch_goes_on_filtering(tmp_path: Path) -> None:
    engine.train(engine.preset("CartPole-v1", "default", **SETTINGS, filter="iif"), tmp_path / "run")
    more: dict[str, Any] = {"orders": 2, "episodes": 2, "continue_rounds": 1}
    outcome = engine.retrain(tmp_path / "run", 1, [1, 2, 3], tmp_path / "branch", **more)
    later = engine.open_run(outcome["run"]).snapshot(2)
    assert not later.buffer.kept.all()


@pytest.mark.parametrize("estimator", ["first_order", "tracin_adam"])
def test_filters_rank_by_the_actors_objective_alone(estimator: str) -> None:
    """With separate networks the value loss has no part in the influence on a policy's target; in a shared trunk it has."""
    small: dict[str, Any] = {"n_steps": 64, "batch_size": 32, "n_epochs": 1, "gamma": 0.9}
    for name, shared in (("CartPole-v1", False), ("MiniGrid-Empty-8x8-v0", True)):
        made = ControlLearner.begin(engine.preset(name, "v0.1", **small, filter="iif", filter_estimator=estimator))
        made.update(made.collect())
        collected = made.collect()
        whole = engine.influence(collected, estimator=estimator, cache=False)
        ranked = actor_influence(collected)
        rounding = 1e-5 * np.abs(whole.influence).max()
        assert np.allclose(ranked, whole.influence, atol=rounding) == (not shared)
        assert np.allclose(ranked, whole.influence - whole.terms["critic"], atol=rounding)

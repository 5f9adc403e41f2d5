"""What each arm changes of a round, compared with what the trainer and the checks of a record make of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from worlds import moved_snapshot, same_tensors

import engine
from engine.analysis.checks.checked import Check
from engine.analysis.checks.round_checks import advantages, critic
from engine.analysis.rollout_advantages import kept_estimates
from engine.core.kind import kind_of
from engine.envs import find
from engine.errors import BadInputError
from engine.intervention.autopsy import advantage_arms
from engine.intervention.autopsy.arm import CAUSES, Arm, LeftOutError
from engine.intervention.autopsy.arms import possible
from engine.intervention.autopsy.critic_arm import with_fitted_critic
from engine.intervention.autopsy.worst_records import WorstRecords
from engine.store.read import Run
from engine.store.snapshot import Snapshot

SAMPLES = Path(__file__).resolve().parents[4] / "sample_runs"


@pytest.fixture(scope="module")
def snapshot(lander: Run, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Of a copy in which nobody has measured an estimator."""
    copy = tmp_path_factory.mktemp("unmeasured") / "run"
    shutil.copytree(lander.path, copy, ignore=shutil.ignore_patterns("derived"))
    return engine.open_run(copy).snapshot(1)


def arms(snapshot: Snapshot, *checks: Check) -> dict[str, Arm]:
    return {arm.name: arm for arm in possible(snapshot, checks)}


def leads_to(arm: Arm, which: int = 0) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = arm.agent(which, lambda: None).tensors()
    return found


def test_every_cause_has_one_arm_that_decides_and_is_asked_in_turn(snapshot: Snapshot) -> None:
    every = list(possible(snapshot))
    assert tuple(arm.cause for arm in every if arm.lead) == CAUSES
    assert sorted(every, key=lambda arm: CAUSES.index(arm.cause)) == every
    assert [arm.name for arm in every if arm.why_not] == ["advantages recomputed from the record"]
    assert {arm.control for arm in every if arm.control} <= {arm.name for arm in every}


def test_what_another_trainers_run_does_not_have_is_left_out() -> None:
    run = engine.open_run(SAMPLES / "CliffWalking-v1")
    snapshot = run.snapshot(run.stored_rounds[1])
    phantoms = replace(snapshot.buffer, valid=np.ones(len(snapshot.buffer), bool))
    left_out = {arm.name: arm.why_not for arm in possible(snapshot.changed(buffer=phantoms))}
    assert left_out["data collected anew"].endswith("in which no action is sent are not collected again")
    assert left_out["other minibatch orders"] == ""


@pytest.mark.parametrize(
    ("name", "played"),
    [
        (
            "CliffWalking-v1",
            ("data collected anew", "half the clip range", "larger minibatches", "worst records repaired"),
        ),
        ("courtesy", ("half the clip range", "half the epochs", "TD errors for advantages")),
    ],
)
def test_other_kinds_of_runs_have_their_arms(name: str, played: tuple[str, ...]) -> None:
    run = engine.open_run(SAMPLES / name)
    snapshot = run.snapshot(run.stored_rounds[1])
    every, recorded = arms(snapshot), engine.replay(snapshot).checkpoint
    for each in played:
        found = leads_to(every[each])
        assert all(np.isfinite(tensor).all() for tensor in found.values())
        assert any(not np.array_equal(found[tensor], recorded[tensor]) for tensor in recorded), each


def test_data_anew_come_from_the_environment_that_made_the_round(snapshot: Snapshot) -> None:
    other = Check("environment", False, "it leads elsewhere", "environment")
    assert arms(snapshot, other)["data collected anew"].why_not == "it leads elsewhere"


def test_without_its_minibatches_nothing_can_be_had(snapshot: Snapshot) -> None:
    bare = snapshot.changed(minibatches=snapshot.minibatches[:, :0])
    assert all("was recorded without its minibatches" in arm.why_not for arm in possible(bare))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("a quarter of the learning rate", {"learning_rate": 0.25e-3}),
        ("half the learning rate", {"learning_rate": 0.5e-3}),
        ("half the clip range", {"clip_range": 0.1}),
        ("larger minibatches", {"batch_size": 256}),
        ("stopped by target_kl", {"target_kl": 0.01}),
    ],
)
def test_a_smaller_step_is_the_update_with_that_setting(
    snapshot: Snapshot, name: str, changed: dict[str, float]
) -> None:
    arm = arms(snapshot)[name]
    assert arm.tries == changed
    by_hand = snapshot.changed(config=replace(snapshot.config, **changed))
    same_tensors(leads_to(arm), engine.replay(by_hand).checkpoint)
    same_tensors(leads_to(arm, 3), engine.replay(by_hand, order=3).checkpoint)


def test_half_the_epochs_are_the_first_ones(snapshot: Snapshot) -> None:
    half = snapshot.config.n_epochs // 2
    by_hand = snapshot.changed(minibatches=snapshot.minibatches[:half])
    same_tensors(leads_to(arms(snapshot)["half the epochs"]), engine.replay(by_hand).checkpoint)
    once = snapshot.changed(config=replace(snapshot.config, n_epochs=1))
    assert arms(once)["half the epochs"].why_not == "n_epochs is 1 already"


def test_a_fitted_critic_knows_the_round_and_its_advantages_follow(snapshot: Snapshot) -> None:
    fitted = with_fitted_critic(snapshot)
    buffer, before = fitted.buffer, snapshot.buffer
    assert np.square(buffer.value - before.returns).mean() < 0.8 * np.square(before.value - before.returns).mean()
    assert critic(fitted).ok
    assert advantages(fitted).ok
    np.testing.assert_array_equal(kind_of(snapshot).log_probs(fitted)[0], kind_of(snapshot).log_probs(snapshot)[0])
    np.testing.assert_allclose(buffer.returns, buffer.value + buffer.advantage)
    for name, tensor in snapshot.checkpoint.items():
        assert np.array_equal(fitted.checkpoint[name], tensor) != name.startswith("parameter/critic")


def test_a_critic_that_shares_layers_with_the_actor_is_left_out() -> None:
    images = moved_snapshot(find("MiniGrid-Empty-8x8-v0"), n_steps=24, n_epochs=1)
    with pytest.raises(LeftOutError, match="the actor shares parameters with the critic"):
        with_fitted_critic(images)


@pytest.mark.parametrize(("name", "other"), [("another lambda", 1.0), ("TD errors for advantages", 0.0)])
def test_another_lambda_is_what_the_check_of_advantages_reads_off(
    snapshot: Snapshot, name: str, other: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Snapshot] = []
    monkeypatch.setattr(
        "engine.intervention.autopsy.arm.replay", lambda made, **how: seen.append(made) or engine.replay(made)
    )
    leads_to(arms(snapshot)[name])
    as_if = seen[0].changed(config=replace(snapshot.config, gae_lambda=other))
    assert advantages(as_if).ok
    assert not advantages(seen[0]).ok
    np.testing.assert_allclose(as_if.buffer.returns, as_if.buffer.advantage + as_if.buffer.value)


def test_advantages_are_recomputed_where_they_do_not_follow(snapshot: Snapshot) -> None:
    name = "advantages recomputed from the record"
    assert arms(snapshot, advantages(snapshot))[name].why_not == "it leads to the recorded ones"
    wrong = snapshot.buffer.advantage.copy()
    inner = np.flatnonzero(kind_of(snapshot).trajectories(snapshot).following >= 0)[::7]
    wrong[inner] *= -3
    planted = snapshot.changed(buffer=replace(snapshot.buffer, advantage=wrong))
    arm = arms(planted, advantages(planted))[name]
    found, right = leads_to(arm), engine.replay(snapshot).checkpoint
    for tensor, expected in right.items():
        np.testing.assert_allclose(found[tensor], expected, rtol=1e-2, atol=2e-4)


def test_the_worst_records_are_those_of_the_scores(snapshot: Snapshot) -> None:
    every, scores = arms(snapshot), engine.influence(snapshot, "return", "tracin_adam")
    bottom = scores.bottom(13)  # 5 % of 256
    assert (
        every["without the worst records"].what
        == "the bottom 13, by tracin_adam on the return target (not measured here)"
    )
    same_tensors(leads_to(every["without the worst records"], 2), engine.replay(snapshot, bottom, order=2).checkpoint)
    same_tensors(leads_to(every["worst records repaired"]), engine.replay(snapshot, repair=bottom).checkpoint)
    random = kind_of(snapshot).control(snapshot, bottom, 1)
    assert len(random) == len(bottom)
    same_tensors(
        leads_to(every["without as many random records"], 1), engine.replay(snapshot, random, order=1).checkpoint
    )


def test_the_worst_episode_has_the_lowest_sum(snapshot: Snapshot) -> None:
    scores, episode = engine.influence(snapshot, "return", "tracin_adam").influence, snapshot.buffer.episode
    sums = {number: scores[episode == number].sum() for number in np.unique(episode)}
    assert len(sums) > 1
    worst = np.flatnonzero(episode == min(sums, key=lambda number: sums[number]))
    np.testing.assert_array_equal(WorstRecords(snapshot).group(lambda: None), worst)
    alone = snapshot.changed(buffer=replace(snapshot.buffer, episode=np.zeros_like(episode)))
    with pytest.raises(LeftOutError, match="one episode"):
        WorstRecords(alone).group(lambda: None)


def test_advantages_of_rollouts_stand_in_for_the_worst_ones(cartpole: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advantage_arms, "MOST_PLAYED", 5)
    snapshot = cartpole.snapshot(1)
    bottom = WorstRecords(snapshot).bottom(lambda: None, 5)
    expected = snapshot.buffer.advantage.copy()
    arm = arms(snapshot)["advantages of the worst records from rollouts"]
    assert arm.prepare is not None
    arm.prepare(engine.Pool("inline"), lambda: None)
    found = kept_estimates(snapshot, advantage_arms.PLAYED)
    assert found is not None
    assert found.record.tolist() == sorted(bottom)
    expected[found.record] = found.advantage
    by_hand = snapshot.changed(buffer=replace(snapshot.buffer, advantage=expected))
    same_tensors(leads_to(arm), engine.replay(by_hand).checkpoint)
    nowhere = snapshot.changed(checkpoint={k: v for k, v in snapshot.checkpoint.items() if "environment" not in k})
    with pytest.raises(BadInputError, match="without the states of its environments"):
        leads_to(arms(nowhere)["advantages of the worst records from rollouts"])

"""Removals in runs whose policies can't be played: numbers on records, held to what the trainer's own policy says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import MultiDiscrete
from recorded_policies import MODELS, RECURRENT, VECTOR, AnyWorld
from sb3_contrib import MaskablePPO
from sb3_contrib.common.wrappers import ActionMasker
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack
from unplayed_models import SMALL, said

import engine
from engine.core.kind import kind_of
from engine.core.targets.question import TargetName
from engine.errors import BadInputError
from engine.intervention.outcome import UnplayedOutcome
from engine.intervention.plan import Intervention, draws
from engine.intervention.unplayed import NUMBERS, means_on_records, not_played
from engine.recording import sb3
from engine.store.documents import read_json
from engine.store.read import Run

sys.path.insert(0, str(Path(engine.__file__).parents[1] / "docs" / "examples"))
import ppo_single_file as loop

DROP = list(range(0, 64, 3))


@pytest.fixture(scope="module")
def outcome(unplayed_run: Run, tmp_path_factory: pytest.TempPathFactory) -> UnplayedOutcome:
    found = engine.retrain(unplayed_run, 0, DROP, tmp_path_factory.mktemp("without") / "run", orders=3)
    assert isinstance(found, UnplayedOutcome)
    return found


def test_numbers_are_those_of_the_trainers_own_policy(
    outcome: UnplayedOutcome, unplayed_run: Run, unplayed_model: Any
) -> None:
    snapshot = unplayed_run.snapshot(0)
    plan = Intervention(round=0, removed=tuple(DROP), orders=3)
    assert [(on.round, on.records) for on in outcome.by_round] == [(0, 64), (1, 64), (2, 64)]
    for order, original in ((0, unplayed_run.checkpoint(1)), (1, engine.replay(snapshot, order=1).checkpoint)):
        for arm, drop in draws(snapshot, plan, order).items():
            checkpoint = engine.replay(snapshot, drop, order=order).checkpoint
            for on in outcome.by_round:
                expected = said(unplayed_model, checkpoint, original, unplayed_run.snapshot(on.round).buffer)
                assert {name for name in NUMBERS if getattr(on, name) is not None} == expected.keys()
                for name in expected:
                    found = getattr(getattr(on, name).order_values, arm)[order]
                    assert found == pytest.approx(expected[name], rel=1e-4, abs=1e-6), (order, arm, on.round, name)


def test_numbers_of_no_records_are_left_out(outcome: UnplayedOutcome) -> None:
    """The first values are near 0, so that all advantages of CartPole's first round are positive."""
    assert outcome.by_round[0].log_prob_negative is None
    assert outcome.left_out[0] == "log-probability of actions with negative advantage: round 0 has no such record"
    missing = [name for on in outcome.by_round for name in NUMBERS if getattr(on, name) is None]
    assert len(outcome.left_out) == len(missing)


def test_the_verdict_is_about_later_records_beside_the_controls(outcome: UnplayedOutcome) -> None:
    assert outcome.judged.rounds == [1, 2]
    arms = {
        arm: np.mean([getattr(on.return_target.order_values, arm) for on in outcome.by_round[1:]], axis=0)
        for arm in ("original", "counterfactual", "control")
    }
    change = arms["counterfactual"] - arms["original"]
    assert outcome.judged.counterfactual.mean == pytest.approx(change.mean())
    from_control = outcome.judged.difference_from_control
    assert from_control.mean == pytest.approx((arms["counterfactual"] - arms["control"]).mean())
    both = (outcome.judged.counterfactual, from_control)
    rises, falls = all(each.low > 0 for each in both), all(each.high < 0 for each in both)
    assert outcome.verdict == ("target rises" if rises else "target falls" if falls else "within noise")
    words = f"{means_on_records(outcome)} {not_played(outcome)}"
    assert "the return target over the records of rounds 1-2" in words
    assert "Nothing was played: can't play this run's environment 'CartPole-v1'" in words
    assert "which another policy collected" in words


def test_what_is_written_is_what_is_returned_and_the_branch_is_sound(
    outcome: UnplayedOutcome, unplayed_run: Run
) -> None:
    document = read_json(Path(outcome.run) / "result.json")
    assert document is not None
    assert document.values == outcome == json.loads(json.dumps(outcome.to_json(), allow_nan=False))
    assert not {"original", "evaluation_seeds", "order_means"} & set(outcome), "nothing is said of returns"
    assert engine.verify_run(outcome.run) == []
    branch = engine.open_run(outcome.run)
    assert np.flatnonzero(~branch.snapshot(0).buffer.kept).tolist() == DROP
    assert "nothing was played" in repr(outcome)


def test_without_later_records_or_about_an_action_the_measured_target_is_judged(
    unplayed_run: Run, tmp_path: Path
) -> None:
    last = engine.retrain(unplayed_run, 2, [1, 2], tmp_path / "last", orders=2)
    assert (last.judged.rounds, [on.round for on in last.by_round]) == ([], [2])
    assert last["judged"]["order_values"] == last["target"]["order_values"]
    assert "the round's own records (which the update used" in means_on_records(last)
    action = engine.retrain(
        unplayed_run, 0, [1, 2], tmp_path / "action", orders=2, target=TargetName(target="action", about=5)
    )
    assert action.judged.rounds == []
    assert "the measured action target" in means_on_records(action)


def test_what_a_policy_has_no_answer_for_is_left_out_with_its_reason(tmp_path: Path) -> None:
    loop.main(str(tmp_path / "loop"), 2)
    before = engine.allow(packages=("ppo_single_file",))
    try:
        found = engine.retrain(tmp_path / "loop", 0, [1, 2], tmp_path / "out", orders=2)
    finally:
        engine.allow(**vars(before))
    assert [on.kl for on in found.by_round] == [None, None]
    assert found.left_out[0].startswith("KL from the original: this policy's probabilities are not known: ")


def test_a_policy_that_remembers_is_asked_about_whole_sequences(tmp_path: Path) -> None:
    """The original in the recorded order is the policy that collected the next round: it says what was recorded there."""
    with sb3.Recorder(tmp_path / "run") as recorder:
        RECURRENT["shared"]().learn(2 * 32, callback=recorder)
    found = engine.retrain(tmp_path / "run", 0, [1, 2], tmp_path / "out", orders=2)
    buffer = engine.open_run(tmp_path / "run").snapshot(1).buffer
    following = found.by_round[1]
    for name, rows in (("log_prob_positive", buffer.advantage > 0), ("log_prob_negative", buffer.advantage < 0)):
        original = getattr(following, name).order_values.original[0]
        assert original == pytest.approx(buffer.log_prob[rows].mean(), rel=1e-5)
    assert following.kl.order_values.original == [0, 0]
    assert following.kl.counterfactual.mean > 0


def masked() -> Any:
    env = ActionMasker(gym.make("CartPole-v1"), lambda _: np.ones(2, bool))
    return MaskablePPO("MlpPolicy", env, device="cpu", **SMALL)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (masked, "which actions are allowed is known"),
        (MODELS["several discrete"], "such environments are recorded but not"),
    ],
)
def test_it_is_said_what_keeps_a_run_from_being_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any], says: str
) -> None:
    monkeypatch.setitem(gym.registry, "AnyWorld", EnvSpec("AnyWorld", lambda: AnyWorld(VECTOR, MultiDiscrete([3, 2]))))
    model = make()
    with sb3.Recorder(tmp_path / "run") as recorder:
        model.learn(3 * 64, callback=recorder)
    snapshot = engine.open_run(tmp_path / "run").snapshot(1)
    assert says in kind_of(snapshot).unplayed(snapshot)


def test_rounds_to_train_on_need_an_environment(tmp_path: Path) -> None:
    """Of a run of our own, too, which can be trained on elsewhere; frame stacks are another environment."""
    stacked = PPO("MlpPolicy", VecFrameStack(make_vec_env("CartPole-v1", 1, seed=0), 2), device="cpu", **SMALL)
    with sb3.Recorder(tmp_path / "stacked") as recorder:
        stacked.learn(64, callback=recorder)
    snapshot = engine.open_run(tmp_path / "stacked").snapshot(1)
    assert kind_of(snapshot).unplayed(snapshot).endswith("other observations or actions; name a factory with --make")
    with pytest.raises(BadInputError, match="can't be trained on here"):
        engine.retrain(tmp_path / "stacked", 1, [1], tmp_path / "out", orders=2, continue_rounds=1)
    assert not (tmp_path / "out").exists()


def test_the_first_round_is_played_where_another_one_knows_its_environment(tmp_path: Path) -> None:
    """Nothing leads back to the episodes that ran when the recorder began, for 25 rounds; whichever round is asked first."""
    model = A2C("MlpPolicy", make_vec_env("MountainCar-v0", 1, seed=0), n_steps=8, device="cpu")
    with sb3.Recorder(tmp_path / "run", self_test=False) as recorder:
        model.learn(30 * 8, callback=recorder)
    run = engine.open_run(tmp_path / "run")
    for k in (0, 2):
        snapshot = run.snapshot(k)
        assert kind_of(snapshot).unplayed(snapshot) == ""


def test_other_processes_say_the_same(outcome: UnplayedOutcome, unplayed_run: Run, tmp_path: Path) -> None:
    found = engine.retrain(unplayed_run, 0, DROP, tmp_path / "run", orders=3, pool=engine.Pool("processes", 2))
    assert {**found, "run": ""} == {**outcome, "run": ""}

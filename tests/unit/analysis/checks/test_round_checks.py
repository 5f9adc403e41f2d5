"""A round's checks, on rounds of which it is known what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from planted import ROUND, planted_run
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

import engine
from engine.analysis.checks.checked import Check, fault_named
from engine.analysis.checks.round_checks import advantages, check_round, numbers, records_before
from engine.experiments.faultlab.plants import PLANTS
from engine.kinds.language.advantages import regrouped
from engine.recording import sb3
from engine.store.read import Run

PINNED = Path(__file__).resolve().parents[4] / "tests" / "pins" / "data"
SMALL = {"rounds": 7, "n_envs": 2, "n_steps": 128, "n_epochs": 2, "batch_size": 64, "seed": 3}
ASKED = [
    "numbers",
    "policy",
    "critic",
    "advantages",
    "environment",
    "records before",
    "reward sign",
    "settings",
    "replay before",
    "replay",
]
CASES = [
    ("negated advantages", 1.0, "advantages", "rewards of the other sign"),
    ("corrupted", 0.25, "advantages", "do not follow from rewards and values in records"),
    ("corrupted", 0.02, "advantages", "do not follow from rewards and values in records"),
    ("rate", 30.0, "replay", "times"),
    ("rate", 3.0, "replay", "times the learning rate"),
    ("critic", 1.0, "replay before", "only parameters of the critic"),
    ("critic", 0.1, "replay before", "only parameters of the critic"),
    ("gamma", 0.5, "advantages", "gamma 0.5"),
    ("gamma", 0.97, "advantages", "gamma 0.97"),
    ("sign", 1.0, "environment", "other observations or rewards"),
    ("sign", 0.25, "environment", "other observations or rewards"),
    ("observation", 0.25, "environment", "other observations or rewards"),
]


def wrong(run: Run, k: int) -> list[Check]:
    return [each for each in check_round(run, k) if each.ok is False]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, float], Run]:
    config = engine.preset("CartPole-v1", "default", **SMALL)
    return lambda name, strength: planted_run(tmp_path_factory.mktemp("planted") / "run", name, strength, config)


@pytest.mark.parametrize(("plant", "strength", "name", "words"), CASES)
def test_what_was_planted_is_named(
    planted: Callable[[str, float], Run], plant: str, strength: float, name: str, words: str
) -> None:
    found, *others = wrong(planted(plant, strength), ROUND)
    assert {each.fault for each in others} <= {found.fault}
    assert (found.name, found.fault) == (name, PLANTS[plant].verdict)
    assert words in found.what


def test_where_nothing_is_planted_nothing_is_named(planted: Callable[[str, float], Run]) -> None:
    run = planted("nothing", 0.0)
    for k in run.stored_rounds:
        assert [each.name for each in check_round(run, k)] == ASKED
        assert wrong(run, k) == []
    last = {each.name: each for each in check_round(run, ROUND)}
    assert last["replay"].what == f"the replay of round {ROUND} lands on theta({ROUND + 1}), bit for bit"
    first = {each.name: each for each in check_round(run, 0)}
    assert first["replay before"].ok is None


class Plants(BaseCallback):
    """Plants a fault in one round of a Stable-Baselines3 model."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault, self.round = fault, -1

    @property
    def now(self) -> str:
        return self.fault if self.round == ROUND else ""

    def _on_rollout_start(self) -> None:
        self.round += 1
        model: Any = self.model
        model.rollout_buffer.gamma = 0.5 if "gamma" in self.now else 0.99
        model.gamma = 0.5 if self.now == "gamma" else 0.99
        model.lr_schedule = lambda left: 3e-4
        model.max_grad_norm = 0.05 if self.now == "max_grad_norm" else 0.5
        if self.now == "critic":
            for layer in (model.policy.value_net, model.policy.mlp_extractor.value_net[0]):
                layer.reset_parameters()

    def _on_step(self) -> bool:
        if self.now == "sign":
            self.locals["rewards"] *= -1
        return True

    def _on_rollout_end(self) -> None:
        if "rate" in self.now:
            self.model.lr_schedule = lambda left: 30 * 3e-4


@pytest.mark.parametrize(
    ("plant", "verdict", "words"),
    [
        ("nothing", None, ""),
        ("gamma", "advantages", "gamma from 0.99 to 0.5"),
        ("silent gamma", "advantages", "gamma 0.5"),
        ("rate", "step", "learning_rate from 0.0003 to 0.009"),
        ("silent rate", "step", "times the learning rate"),
        ("max_grad_norm", "step", "max_grad_norm from 0.5 to 0.05"),
        ("critic", "critic", "only parameters of the critic"),
        ("sign", "environment", "other observations or rewards"),
    ],
)
def test_what_a_callback_does_to_another_trainer_is_named(
    plant: str, verdict: str | None, words: str, tmp_path: Path
) -> None:
    model = PPO("MlpPolicy", make_vec_env("CartPole-v1", 2, seed=0), n_steps=128, n_epochs=2, seed=3, device="cpu")
    recorder, planting = sb3.Recorder(tmp_path / "run", quiet=True, self_test=False), Plants(plant)
    unseen = plant.startswith("silent")
    model.learn((ROUND + 2) * 256, callback=[recorder, planting] if unseen else [planting, recorder])
    recorder.close()
    run = engine.open_run(tmp_path / "run")
    found = wrong(run, ROUND)
    assert fault_named(found) == verdict
    assert any(words in each.what for each in found if each.fault == verdict) == (verdict is not None)
    assert (plant == "silent rate") == any(each.name == "replay" for each in found), (
        "it is replayed with what was in force"
    )


@pytest.mark.parametrize(
    ("observation", "compared"),
    [
        (np.zeros((200, 4), np.float32), "rewards and observations"),
        (np.zeros(200, np.int64), "rewards"),
        ({"parts": np.zeros((200, 4), np.float32)}, "rewards"),
        (np.zeros((200, 9, 9), np.float32), "rewards"),
    ],
    ids=["vectors", "Discrete", "Dict", "pictures"],
)
def test_records_are_like_those_before_only_as_far_as_they_were_compared(
    observation: Any, compared: str, tmp_path: Path
) -> None:
    class Buffer(SimpleNamespace):
        def __len__(self) -> int:
            return 200

    buffer = Buffer(reward=np.ones(200, np.float32), observation=observation)
    space = SimpleNamespace(shape=(4,), component_names=tuple("abcd"))
    manifest = SimpleNamespace(observation_space=space, action_space=SimpleNamespace(kind="discrete"))

    def found(stored: list[int]) -> Check:
        infos = [SimpleNamespace(round=k, hash=str(k), stored=k in stored) for k in range(9)]
        run: Any = SimpleNamespace(rounds=infos, final=None, stored_rounds=stored, manifest=manifest, path=tmp_path)
        return records_before(run, 8, lambda k: SimpleNamespace(round=k, buffer=buffer))

    assert found([5, 6, 7, 8]).what == f"{compared} are like those of the rounds before"
    assert found([5, 6, 7, 8]).ok is True
    for too_few in ([6, 7, 8], [8], [4, 5, 6, 8]):
        assert found(too_few).ok is None
        assert found(too_few).what.startswith("too few records are stored to compare with; it takes 500 records")


def test_which_records_are_corrupted(planted: Callable[[str, float], Run]) -> None:
    run = planted("corrupted", 0.02)
    clean = planted("nothing", 0.0)
    changed = np.flatnonzero(run.snapshot(ROUND).buffer.advantage != clean.snapshot(ROUND).buffer.advantage)
    (found,) = wrong(run, ROUND)
    before = {i - run.config.n_envs for i in changed}
    assert set(changed.tolist()) <= set(found.records) <= set(changed.tolist()) | before, "or the step before them"


@pytest.mark.parametrize("column", ["reward", "observation"])
def test_a_number_that_is_none_is_named(cartpole: Run, column: str) -> None:
    snapshot = cartpole.snapshot(1)
    values = getattr(snapshot.buffer, column).copy()
    values[[3, 20]] = np.nan
    found = numbers(snapshot.changed(buffer=replace(snapshot.buffer, **{column: values})), {})
    assert (found.ok, found.fault, found.records) == (False, "numbers", (3, 20))
    assert found.what == f"{column} is not finite in 2 of 140 records (3, 20)"


@pytest.mark.parametrize("sample", ["FrozenLake-v1", "CliffWalking-v1", "LunarLander-v3", "courtesy"])
def test_sample_runs_are_what_they_claim_to_be(sample: str) -> None:
    run = engine.open_run(Path(__file__).resolve().parents[4] / "sample_runs" / sample)
    k = run.stored_rounds[len(run.stored_rounds) // 2]
    assert wrong(run, k) == []


@pytest.mark.parametrize(
    "path",
    [*sorted(PINNED.glob("*/run")), PINNED.parents[2] / "sample_runs" / "CliffWalking-v1"],
    ids=lambda path: path.parent.name,
)
def test_advantages_follow_in_every_kind_and_version_and_who_does_not_is_named(path: Path) -> None:
    snapshot = engine.open_run(path).snapshot(1)
    assert advantages(snapshot).ok is True
    buffer, chosen = snapshot.buffer, 5
    tokens = getattr(buffer, "record_of_token", buffer.record) == chosen
    column = "advantage" if path.parent.name != "language-v3-ppo" else "returns"
    values = getattr(buffer, column).copy()
    values[tokens] += np.float32(0.5)
    found = advantages(snapshot.changed(buffer=replace(buffer, **{column: values})))
    assert (found.ok, found.fault) == (False, "records")
    assert chosen in found.records
    assert len(found.records) <= 2, "or the step before"


def test_another_rule_of_grpo_is_named() -> None:
    snapshot: Any = engine.open_run(PINNED / "language-v3-grpo" / "run").snapshot(1)
    other = "dr_grpo" if snapshot.language.normalizer != "dr_grpo" else "grpo"
    undivided = regrouped(snapshot.changed(language=replace(snapshot.language, normalizer=other)))
    found = advantages(snapshot.changed(buffer=undivided.buffer))
    assert (found.ok, found.fault) == (False, "advantages")
    assert found.what.startswith("each advantage is its reward less its group's mean")
    turned = replace(snapshot.buffer, advantage=-snapshot.buffer.advantage)
    assert advantages(snapshot.changed(buffer=turned)).fault == "environment"
    shuffled = np.random.default_rng(0).permutation(snapshot.buffer.advantage)
    assert advantages(snapshot.changed(buffer=replace(snapshot.buffer, advantage=shuffled))).fault == "advantages"


def test_every_round_is_read_once(planted: Callable[[str, float], Run], monkeypatch: pytest.MonkeyPatch) -> None:
    run, seen = planted("rate", 3.0), list[int]()
    snapshot = Run.snapshot
    monkeypatch.setattr(Run, "snapshot", lambda self, k: seen.append(k) or snapshot(self, k))
    check_round(run, ROUND)
    assert sorted(seen) == run.stored_rounds

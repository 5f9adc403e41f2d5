"""A loop of one's own, recorded: replayed bit for bit from the files, and what it declares wrongly is named."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import engine
from engine.core.policy import trained
from engine.core.replays.replayed_run import replay_run
from engine.errors import BadInputError, EngineError
from engine.kinds.recorded.rebuilding import rebuilt
from engine.recording import Loss, Recorder, rebuilds

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "docs" / "examples"
ELSEWHERE = os.environ | {"PYTHONPATH": os.pathsep.join((str(EXAMPLES), str(ROOT)))}
sys.path.insert(0, str(EXAMPLES))
import ppo_single_file as loop  # noqa: E402

ROUNDS = 4


@pytest.fixture(scope="module")
def allowed() -> Iterator[None]:
    before = engine.allow(packages=("ppo_single_file",))
    yield
    engine.allow(**vars(before))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, allowed: None) -> tuple[Path, Any]:
    """The example's run, and its agent at the end."""
    path = tmp_path_factory.mktemp("loop") / "run"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the self-test has nothing to say
        return path, loop.main(str(path), ROUNDS)


def test_every_round_is_replayed_bit_for_bit_by_another_process(recorded: tuple[Path, Any]) -> None:
    command = [
        sys.executable,
        "-m",
        "engine",
        "verify",
        str(recorded[0]),
        "--replay",
        "--json",
        "--allow",
        "ppo_single_file",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ELSEWHERE, timeout=120)
    found = json.loads(done.stdout)
    assert found["ok"]
    assert [each["round"] for each in found["replay"]] == list(range(ROUNDS))
    assert all(each["equal"] and each["moved"] > 0 for each in found["replay"])


def test_recording_changes_no_bit(recorded: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None: ...

        def round(self, **_: Any) -> None: ...

        def minibatch(self, _: Any) -> None: ...

    monkeypatch.setattr(loop, "Recorder", Nothing)
    alone = loop.main("nowhere", ROUNDS).state_dict()
    assert all(torch.equal(tensor, alone[name]) for name, tensor in recorded[1].state_dict().items())


def test_phantoms_of_a_next_step_reset_are_marked(recorded: tuple[Path, Any]) -> None:
    buffer = engine.open_run(recorded[0]).snapshot(1).buffer
    assert buffer.valid is not None
    phantoms = ~buffer.valid
    assert 0 < phantoms.sum() < len(buffer) / 5
    assert (buffer.reward[phantoms] == 0).all()
    assert (buffer.reward[buffer.valid] == 1).all()
    before = np.flatnonzero(phantoms) - 4
    assert buffer.terminated[before[before >= 0]].all()


def test_scores_are_those_of_a_gradient_a_record(recorded: tuple[Path, Any]) -> None:
    snapshot = engine.open_run(recorded[0]).snapshot(2)
    assert snapshot.config.learning_rate == loop.RATE * (1 - 2 / ROUNDS)
    buffer, agent = snapshot.buffer, loop.Agent()
    agent.load_state_dict({name: torch.as_tensor(tensor) for name, tensor in snapshot.parameters.items()})
    own = list(trained(agent).values())
    advantage = torch.as_tensor(buffer.advantage)
    observation, action = torch.as_tensor(buffer.observation), torch.as_tensor(buffer.action)
    direction = torch.autograd.grad((advantage * agent.act(observation, action)[1]).mean(), own, materialize_grads=True)
    used = advantage.clone()
    for rows in snapshot.minibatches[0].reshape(-1, loop.MINIBATCH):
        used[rows] = (advantage[rows] - advantage[rows].mean()) / (advantage[rows].std() + 1e-8)
    expected = []
    for i in range(0, len(buffer), 11):
        _, log_prob, entropy, value = agent.act(observation[i], action[i])
        old, goal = float(buffer.value[i]), float(buffer.returns[i])
        ratio = (log_prob - float(buffer.log_prob[i])).exp()
        gain = torch.minimum(ratio * used[i], ratio.clamp(1 - loop.CLIP, 1 + loop.CLIP) * used[i])
        near = old + (value - old).clamp(-loop.CLIP, loop.CLIP)
        error = torch.maximum((value - goal) ** 2, (near - goal) ** 2)
        total = gain - loop.VF_COEF * 0.5 * error + loop.ENT_COEF * entropy
        gradient = torch.autograd.grad(total, own, materialize_grads=True)
        expected.append(float(sum((g * d).sum() for g, d in zip(gradient, direction, strict=True))))
    found = engine.influence(snapshot, "return", "first_order", cache=False).influence[::11]
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()
    for estimator in ("tracin_adam", "replay_gradient"):
        assert np.isfinite(engine.influence(snapshot, "return", estimator, cache=False).influence).all()


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"vf_coef": 0.5}, r"value loss counts 0\.5 times as much as declared"),
        ({"ent_coef": 0.02}, r"entropy counts 0\.5 times as much as declared"),
        ({"clip": None}, "declared loss leads"),
        ({"value_clip": 0.01}, "its first gradient is as declared: look at value clip"),
    ],
)
def test_a_wrong_declaration_is_caught_and_named(
    declared: dict[str, Any], says: str, tmp_path: Path, allowed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "Loss", lambda **right: Loss(**{**right, **declared}))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop.main(str(tmp_path / "run"), 3)
    told = [str(each.message) for each in caught if "declared" in str(each.message)]
    assert len(told) == 1
    assert re.search(says, told[0]), told
    found = list(replay_run(engine.open_run(tmp_path / "run")))
    assert not all(each.equal for each in found)
    assert all(each.largest is not None and each.largest > 0 for each in found if not each.equal)


# Bad input.


def small(path: Path, **changes: Any) -> tuple[Recorder, Any]:
    agent = loop.Agent()
    settings = {"evaluate": loop.evaluate, "loss": Loss(), "rebuild": loop.make_agent, "self_test": False}
    return Recorder(path, agent, torch.optim.Adam(agent.parameters()), **{**settings, **changes}), agent


def columns(n: int = 8, **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    made: dict[str, Any] = {
        name: rng.normal(size=n) for name in ("log_prob", "value", "advantage", "returns", "reward")
    }
    made |= {
        "observation": rng.normal(size=(n, 4)).astype(np.float32),
        "action": np.arange(n) % 2,
        "starts": np.zeros(n),
    }
    return {**made, "n_envs": 2, **changes}


def refusal(function: Callable[[], Any]) -> str:
    with pytest.raises(EngineError) as caught:
        function()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_bad_calls_say_what_would_be_right(tmp_path: Path) -> None:
    recorder, _ = small(tmp_path / "run")
    assert "minibatch comes after round" in refusal(lambda: recorder.minibatch([0]))
    assert "reward has 7 records, and log_prob has 8" in refusal(lambda: recorder.round(**columns(reward=np.zeros(7))))
    assert "no whole steps of 3" in refusal(lambda: recorder.round(**columns(n_envs=3)))
    assert "it must be numbers" in refusal(lambda: recorder.round(**columns(reward=["all"] * 8)))
    recorder.round(**columns())
    for wrong in ([8], [-1], [0.5], []):
        assert "from 0 to 7" in refusal(lambda wrong=wrong: recorder.minibatch(wrong))
    recorder.minibatch(np.arange(8))
    assert "say n_actions=" in refusal(lambda: recorder.round(**columns(action=np.full(8, 5))))
    assert "the rounds of a run are of one size" in refusal(lambda: recorder.round(**columns(n_envs=1)))
    recorder.close()
    assert engine.open_run(tmp_path / "run").stored_rounds == [0]
    assert "record into another folder" in refusal(lambda: small(tmp_path / "run"))


def test_one_number_a_record_may_have_an_axis_of_its_own(tmp_path: Path) -> None:
    plain = columns()
    given = {name: column.reshape(4, 2, 1) for name, column in plain.items() if np.shape(column) == (8,)}
    recorder, _ = small(tmp_path / "run")
    recorder.round(**plain | given | {"action": plain["action"]}, luck=given["reward"])
    recorder.minibatch(np.arange(8))
    recorder.close()
    buffer = engine.open_run(tmp_path / "run").snapshot(0).buffer
    assert np.array_equal(buffer.reward, plain["reward"].astype(np.float32))
    assert np.array_equal(buffer.extra["luck"], plain["reward"])


def test_names_are_those_given_else_numbers(tmp_path: Path) -> None:
    names = {"observation": ["x", "speed", "angle", "turn"]}
    assert "names" in refusal(lambda: small(tmp_path / "run", names={"reward": ["much"]}))
    recorder, _ = small(tmp_path / "other", names=names)
    other = columns(observation=np.zeros((8, 5), np.float32))
    assert "observation has 4 names; 5 are needed" in refusal(lambda: recorder.round(**other))
    for path, given, shown in (("a", names, names["observation"]), ("b", {}, [f"observation {i}" for i in range(4)])):
        recorder, _ = small(tmp_path / path, names=given)
        recorder.round(**columns())
        recorder.minibatch(np.arange(8))
        recorder.close()
        said = engine.open_run(tmp_path / path).manifest
        assert said.observation_space.component_names == tuple(shown)
        assert said.action_space.value_names == ("action 0", "action 1")


def test_rebuild_must_be_a_marked_function_of_a_module(tmp_path: Path) -> None:
    assert "marked with @engine.recording.rebuilds" in refusal(lambda: small(tmp_path / "a", rebuild=loop.main))
    assert "must be a function of a module" in refusal(lambda: small(tmp_path / "b", rebuild=rebuilds(lambda: None)))
    assert not any(tmp_path.iterdir())


def test_a_run_without_rebuild_can_be_looked_at(tmp_path: Path) -> None:
    recorder, _ = small(tmp_path / "run", rebuild=None)
    recorder.round(**columns())
    recorder.minibatch(np.arange(8))
    recorder.close()
    run = engine.open_run(tmp_path / "run")
    assert len(run.snapshot(0).buffer) == 8
    assert "given no rebuild function" in refusal(lambda: engine.influence(run.snapshot(0), "return"))
    assert run.manifest.settings["capabilities"]["view"] == ""


def test_minibatches_that_are_no_passes_leave_influence_but_no_replay(tmp_path: Path, allowed: None) -> None:
    recorder, _ = small(tmp_path / "run", self_test=True)
    recorder.round(**columns())
    for rows in ([0, 1, 2], [2, 3, 4]):
        recorder.minibatch(rows)
    with pytest.warns(UserWarning, match="can't be replayed: an epoch takes a record more than once"):
        recorder.close()
    run = engine.open_run(tmp_path / "run")
    assert run.rounds[0].metrics["not_replayable"] == "an epoch takes a record more than once"
    assert np.isfinite(engine.influence(run.snapshot(0), "return", cache=False).influence).all()
    assert "recorded without its minibatches" in refusal(lambda: engine.replay(run.snapshot(0)))


def test_a_loop_that_fails_within_an_update_keeps_the_rounds_before(tmp_path: Path) -> None:
    recorder, _ = small(tmp_path / "run")

    def train() -> None:
        with recorder:
            for _ in range(3):
                recorder.round(**columns())
                recorder.minibatch(np.arange(8))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    run = engine.open_run(tmp_path / "run")
    assert run.stored_rounds == [0, 1]
    assert run.final is not None  # what the last round that is kept led to


def test_a_package_that_is_not_allowed_is_not_imported(recorded: tuple[Path, Any]) -> None:
    before = engine.allow()
    try:
        assert "--allow ppo_single_file" in refusal(lambda: engine.replay(engine.open_run(recorded[0]).snapshot(0)))
    finally:
        engine.allow(**vars(before))
    with pytest.raises(BadInputError, match="is no function marked"):
        rebuilt("ppo_single_file:main", {})

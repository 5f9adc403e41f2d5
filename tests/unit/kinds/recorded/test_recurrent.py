"""RecurrentPPO against the trainer's own code: replay, scores, removals, and what its policy plays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from recorded_policies import RECURRENT
from sb3_contrib.common.recurrent.buffers import create_sequencers
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from torch import Tensor

import engine
from engine.analysis.films import film
from engine.analysis.restoring import points
from engine.analysis.rollout_advantages import monte_carlo
from engine.core.estimators.registry import first_order
from engine.core.kind import kind_of
from engine.core.policy import trained
from engine.core.replays.replay import intervene
from engine.errors import EngineError
from engine.kinds.control.fields import record_fields
from engine.kinds.recorded.kind import loss_of
from engine.recording import sb3
from engine.store.read import Run
from engine.store.snapshot import parameters_of

TESTS = Path(__file__).resolve().parents[3]
ROUNDS, STEPS, ENVS = 3, 16, 2
N = STEPS * ENVS
DROPPED = np.array([0, 2, 4, 6, 9, 20, 21, 30])
"""The beginning of a sequence among them."""


def begun(name: str) -> Any:
    torch.manual_seed(0)
    return RECURRENT[name]()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder, found = tmp_path_factory.mktemp("recurrent"), {}
    for name in RECURRENT:
        found[name] = begun(name)
        with sb3.Recorder(folder / name, quiet=True) as recorder:
            found[name].learn(ROUNDS * N, callback=recorder)
    return found | {"": folder}


@pytest.fixture(scope="module")
def runs(models: dict[str, Any]) -> dict[str, Run]:
    return {name: engine.open_run(models[""] / name) for name in RECURRENT}


def test_every_round_is_replayed_bit_for_bit_by_another_process(models: dict[str, Any], runs: dict[str, Run]) -> None:
    ask = (
        "import sys, json, engine\n"
        "from pathlib import Path\n"
        "from engine.core.replays.replayed_run import replay_run\n"
        "found = {p.name: [r.to_json() for r in replay_run(engine.open_run(p))] for p in Path(sys.argv[1]).iterdir()}\n"
        "print(json.dumps(found))"
    )
    where = os.environ | {"PYTHONPATH": str(TESTS.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", ask, str(models[""])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=where, timeout=300)
    found = json.loads(done.stdout)
    assert found.keys() == RECURRENT.keys()
    for name, rounds in found.items():
        assert [each["round"] for each in rounds] == [0, 1, 2], name
        assert all(each["equal"] and each["largest"] == 0 and each["moved"] > 0 for each in rounds), (name, rounds)
        assert runs[name].rounds[0].metrics["self_test"] == "equal bit for bit"


@pytest.mark.parametrize("name", ["critic with its own", "shared"])
def test_recording_changes_no_bit_of_the_training(models: dict[str, Any], name: str) -> None:
    alone = begun(name)
    alone.learn(ROUNDS * N)
    recorded = models[name].policy.state_dict()
    assert all(torch.equal(tensor, recorded[key]) for key, tensor in alone.policy.state_dict().items())


def theirs(column: NDArray[Any]) -> NDArray[Any]:
    """A column in the trainer's order, one environment after the other."""
    return column.reshape(STEPS, ENVS, *column.shape[1:]).swapaxes(0, 1).reshape(N, *column.shape[1:])


OUR_NUMBER = theirs(np.arange(N))
"""By the trainer's number."""


def said(model: Any, buffer: Any, rows: NDArray[Any]) -> tuple[Tensor, Tensor, Tensor]:
    """What the trainer's policy says of records by its own numbers, padded and masked by its own functions."""
    parts, own = dict(buffer.observation), model.policy.lstm_critic is not None
    starts = theirs(parts.pop("lstm/starts")).astype(np.float32)
    parts.pop("lstm/place")
    states = {
        who: [parts.pop(f"lstm/{who}_{kind}") for kind in ("hidden", "cell")] for who in ("actor", "critic")[: 1 + own]
    }
    changes = np.zeros(N)
    changes[::STEPS] = 1
    first, pad, pad_flat = create_sequencers(starts[rows], changes[rows], torch.device("cpu"))

    def padded(column: NDArray[Any]) -> Tensor:
        column = theirs(column)[rows]
        return pad(column.reshape(len(column), -1)).reshape(-1, *column.shape[1:])

    inputs = {key: padded(part[:, None] if part.ndim == 1 else part) for key, part in parts.items()}
    memory = {
        who: tuple(torch.as_tensor(theirs(one)[rows][first]).swapaxes(0, 1).contiguous() for one in pair)
        for who, pair in states.items()
    }
    value, log_prob, entropy = model.policy.evaluate_actions(
        inputs["observation"] if inputs.keys() == {"observation"} else inputs,
        padded(buffer.action),
        RNNStates(memory["actor"], memory.get("critic", memory["actor"])),
        pad_flat(starts[rows]),
    )
    there = pad_flat(np.ones(len(rows))) > 0
    return log_prob[there], entropy[there], value.flatten()[there]


@pytest.mark.parametrize("name", RECURRENT)
def test_scores_are_those_of_a_gradient_a_record(models: dict[str, Any], runs: dict[str, Run], name: str) -> None:
    snapshot, model = runs[name].snapshot(1), models[name]
    buffer, loss, config = snapshot.buffer, loss_of(snapshot), snapshot.config
    own = trained(model.policy)
    with torch.no_grad():
        for key, tensor in parameters_of(snapshot.checkpoint).items():
            own[key].copy_(torch.as_tensor(tensor))
    model.policy.set_training_mode(False)
    columns = buffer.advantage, buffer.log_prob, buffer.value, buffer.returns
    advantage, before, old, returns = (torch.as_tensor(theirs(column)) for column in columns)
    target = (advantage * said(model, buffer, np.arange(N))[0]).mean()
    direction = torch.autograd.grad(target, list(own.values()), materialize_grads=True)
    expected = np.zeros(N)
    number = np.empty(N, np.int64)
    number[OUR_NUMBER] = np.arange(N)
    for start in range(0, N, config.batch_size):
        rows = number[snapshot.minibatches[0][start : start + config.batch_size]]
        log_prob, entropy, value = said(model, buffer, rows)
        used = (advantage[rows] - advantage[rows].mean()) / (advantage[rows].std() + 1e-8)
        ratio = (log_prob - before[rows]).exp()
        gain = torch.minimum(ratio * used, ratio.clamp(0.8, 1.2) * used)
        if loss.value_clip is not None:
            value = old[rows] + (value - old[rows]).clamp(-loss.value_clip, loss.value_clip)
        each = gain - loss.vf_coef * (value - returns[rows]) ** 2 + loss.ent_coef * entropy
        for row, one in zip(rows, each, strict=True):
            gradient = torch.autograd.grad(one, list(own.values()), materialize_grads=True, retain_graph=True)
            expected[OUR_NUMBER[row]] = sum(float((g * d).sum()) for g, d in zip(gradient, direction, strict=True))
    found = engine.influence(snapshot, "return", "first_order", cache=False).influence
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("name", RECURRENT)
def test_a_removed_step_stays_in_its_sequence_as_if_the_trainer_masked_it(runs: dict[str, Run], name: str) -> None:
    model = begun(name)
    buffer = model.rollout_buffer
    take, kept = type(buffer)._get_samples, theirs(~np.isin(np.arange(N), DROPPED)).astype(np.float32)

    def masked(rows: NDArray[Any], *rest: Any) -> Any:
        samples = take(buffer, rows, *rest)
        return samples._replace(mask=samples.mask * buffer.pad_and_flatten(kept[rows]))

    buffer._get_samples = masked
    model.learn(N)
    snapshot = runs[name].snapshot(0)
    found, whole = (parameters_of(engine.replay(snapshot, drop=drop).checkpoint) for drop in (DROPPED, ()))
    expected = {key: tensor.detach().numpy() for key, tensor in trained(model.policy).items()}
    assert all(np.array_equal(found[key], tensor) for key, tensor in expected.items())
    assert max(np.abs(whole[key] - tensor).max() for key, tensor in expected.items()) > 1e-4
    weights = np.where(np.isin(np.arange(N), DROPPED), 0, 1)
    again = parameters_of(engine.replay(snapshot, weights=weights).checkpoint)
    assert all(np.allclose(found[key], tensor, atol=1e-6) for key, tensor in again.items())


def test_every_estimator_works_and_gives_removed_steps_nothing(runs: dict[str, Run]) -> None:
    snapshot = runs["parts"].snapshot(1)
    removed = kind_of(snapshot).removed(snapshot, DROPPED)
    for estimator in ("first_order", "tracin", "tracin_adam", "replay_gradient"):
        found = engine.influence(removed, "return", estimator, cache=False).influence
        assert np.array_equal(np.flatnonzero(found == 0), DROPPED)
    found = engine.validate(snapshot, "return", "first_order", subsets=3, orders=1, executor="inline")
    assert np.isfinite(found.estimators["first_order"].lds)


def test_replay_gradient_is_the_slope_in_a_records_weight(runs: dict[str, Run]) -> None:
    snapshot = runs["shared"].snapshot(1)
    target, slopes = kind_of(snapshot).return_target(snapshot), []
    for record in (3, 8, 17):
        ends = []
        for weight in (0.9, 1.1):
            weights = np.ones(N)
            weights[record] = weight
            with torch.no_grad():
                ends.append(float(target.value(engine.replay(snapshot, weights=weights).policy)))
        slopes.append((ends[1] - ends[0]) / 0.2)
    found = engine.influence(snapshot, target, "replay_gradient", cache=False).influence[[3, 8, 17]]
    assert np.allclose(found, slopes, rtol=0.05, atol=1e-6)


def test_other_orders_begin_elsewhere_and_go_through_the_environments_as_the_trainer_does(runs: dict[str, Run]) -> None:
    run = runs["critic without"]
    snapshot = run.snapshot(1)
    assert run.rounds[1].metrics["steps"] < 9  # target_kl stopped it, and it is known how it would have gone on
    orders = [intervene(snapshot, (), order=order).minibatches for order in (0, 1, 2)]
    for minibatches in orders:
        assert minibatches.shape == (3, N)
        for epoch in minibatches:
            assert np.array_equal(np.roll(epoch, int(np.flatnonzero(epoch == 0)[0]) * -1), OUR_NUMBER)
    assert len(np.unique(np.concatenate(orders)[:, 0])) > 3


def test_what_it_had_in_memory_is_recorded_and_not_shown_as_an_observation(runs: dict[str, Run]) -> None:
    snapshot = runs["critic with its own"].snapshot(2)
    assert snapshot.buffer.observation["lstm/actor_hidden"].shape == (N, 2, 8)
    assert "lstm/critic_hidden" not in runs["shared"].snapshot(0).buffer.observation
    assert not any("lstm" in name for name in record_fields(snapshot))
    assert runs["critic with its own"].manifest.settings["capabilities"]["replay"] == ""
    policy = kind_of(snapshot).policy(snapshot)
    values = policy.value(snapshot.buffer.observation)
    assert np.allclose(values, snapshot.buffer.value, atol=1e-5)
    logits, _ = policy.action_parameters(snapshot.buffer.observation)
    taken = logits.log_softmax(-1)[np.arange(N), snapshot.buffer.action]
    assert np.allclose(taken, snapshot.buffer.log_prob, atol=1e-5)


def test_it_is_played_from_an_episodes_beginning_with_what_it_remembers(runs: dict[str, Run], tmp_path: Path) -> None:
    run = runs["critic with its own"]
    snapshot = run.snapshot(2)
    buffer = snapshot.buffer
    start = int(np.flatnonzero(buffer.observation["lstm/starts"])[0])
    rows = np.arange(start, N, ENVS)
    rows = rows[buffer.episode[rows] == buffer.episode[start]]
    many = 1000
    act = kind_of(snapshot).policy(snapshot).begin_episodes(many)
    noise = ((np.arange(many) + 0.5) / many)[:, None]
    found = []
    for row in rows:
        shown = np.repeat(buffer.observation["observation"][row][None], many, axis=0)
        found.append((act(shown, noise, np.arange(many)) == buffer.action[row]).mean())
    assert len(rows) > 4
    assert np.allclose(found, np.exp(buffer.log_prob[rows]), atol=2 / many)
    assert sum(point is not None for point in points(snapshot)) > N // 2
    assert film(run, 2, seed=3, cache=False).steps > 0
    outcome = engine.retrain(run, 1, range(8), tmp_path / "out", orders=2, episodes=4)
    assert outcome.verdict in ("helps", "hurts", "within noise")


def test_what_can_not_be_had_is_said_in_one_line(runs: dict[str, Run], tmp_path: Path) -> None:
    run = runs["critic with its own"]
    snapshot = run.snapshot(1)
    target = kind_of(snapshot).return_target(snapshot)
    for ask, says in (
        (lambda: engine.replay(snapshot, drop=[3], mode="rebatch"), "take the mode mask"),
        (lambda: first_order(snapshot, target, "ghost"), "use double"),
        (lambda: first_order(snapshot, target, "jvp"), "use double"),
        (lambda: engine.action_target(snapshot, observation=[0, 0, 0, 0], action=1), "name a record"),
        (lambda: engine.behaviour(run, engine.action_target(snapshot, record=3)), "remembers"),
        (lambda: monte_carlo(snapshot, [3], executor="inline"), "has in memory"),
    ):
        with pytest.raises(EngineError, match=says) as caught:
            ask()
        assert len(str(caught.value).splitlines()) == 1

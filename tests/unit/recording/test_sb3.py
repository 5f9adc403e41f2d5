"""Stable-Baselines3 models, recorded as they train: bit for bit again from the files, scores as by plain gradients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from deadlines import wait_until
from recorded_policies import MODELS, SMALL, THREE, VECTOR, world
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from stable_baselines3.common.distributions import kl_divergence
from torch import Tensor

import engine
from engine.analysis.films import film
from engine.analysis.restoring import points
from engine.core.divergence import divergence
from engine.core.kind import kind_of
from engine.core.policy import trained
from engine.core.replays.replayed_run import replay_run
from engine.errors import BadInputError, EngineError, LockedRunError
from engine.kinds.control.fields import observation_pictures
from engine.kinds.control.normalization import normalizer_at
from engine.kinds.recorded.kind import loss_of
from engine.kinds.recorded.policy import unmasked
from engine.recording import sb3
from engine.store.commit import RunWriter
from engine.store.read import Run
from engine.store.snapshot import parameters_of

TESTS = Path(__file__).resolve().parents[2]
ROUNDS = 3
ELSEWHERE = os.environ | {"PYTHONPATH": os.pathsep.join((str(TESTS), str(TESTS.parent))), "OMP_NUM_THREADS": "1"}


def train(name: str, path: Path | None) -> Any:
    """A model of that name after three rounds, recorded or not."""
    torch.manual_seed(0)
    model = MODELS[name]()
    recorder = None if path is None else sb3.Recorder(path)
    model.learn(ROUNDS * model.n_steps * model.n_envs, callback=recorder)
    if recorder is not None:
        recorder.close()
    return model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every model, recorded below the folder `runs`."""
    folder = tmp_path_factory.mktemp("runs")
    found = {name: train(name, folder / name) for name in MODELS}
    return found | {"": folder}


@pytest.fixture(scope="module")
def runs(models: dict[str, Any]) -> dict[str, Run]:
    before = engine.allow(packages=("recorded_policies",))
    yield {name: engine.open_run(models[""] / name) for name in MODELS}
    engine.allow(**vars(before))


def test_every_round_is_replayed_bit_for_bit_by_another_process(models: dict[str, Any]) -> None:
    ask = (
        "import sys, json, engine\n"
        "from pathlib import Path\n"
        "from engine.core.replays.replayed_run import replay_run\n"
        "engine.allow(packages=('recorded_policies',))\n"
        "found = {p.name: [r.to_json() for r in replay_run(engine.open_run(p))] for p in Path(sys.argv[1]).iterdir()}\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask, str(models[""])],
        capture_output=True,
        text=True,
        check=True,
        env=ELSEWHERE,
        timeout=300,
    )
    found = json.loads(done.stdout)
    assert found.keys() == MODELS.keys()
    for name, rounds in found.items():
        assert [each["round"] for each in rounds] == [0, 1, 2], name
        assert all(each["equal"] and each["largest"] == 0 for each in rounds), (name, rounds)
        assert all(each["log_prob"] < 1e-4 for each in rounds), (name, rounds)
        assert name == "schedules and value clip" or all(each["moved"] > 0 for each in rounds), (name, rounds)


@pytest.mark.parametrize("name", ["schedules and value clip", "normalized", "own extractor", "gsde", "a2c"])
def test_recording_changes_no_bit_of_the_training(models: dict[str, Any], name: str) -> None:
    alone, recorded = train(name, None).policy.state_dict(), models[name].policy.state_dict()
    assert all(torch.equal(alone[key], recorded[key]) for key in alone)


def evaluated(model: Any, buffer: Any, rows: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What the trainer's own policy says of records, given as its update gives them."""
    observation = buffer.observation
    if isinstance(observation, dict):
        inputs: Any = {name: torch.as_tensor(part[rows]) for name, part in observation.items()}
    else:
        inputs = torch.as_tensor(observation[rows])
        inputs = inputs.reshape(-1, 1) if observation.ndim == 1 else inputs
    masks = (inputs.pop("action_mask"),) if isinstance(inputs, dict) and "action_mask" in inputs else ()
    inputs = inputs["observation"] if masks and inputs.keys() == {"observation"} else inputs
    value, log_prob, entropy = model.policy.evaluate_actions(inputs, torch.as_tensor(buffer.action[rows]), *masks)
    return log_prob, -log_prob if entropy is None else entropy, value.flatten()


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_a_gradient_a_record(
    models: dict[str, Any], runs: dict[str, Run], name: str, request: pytest.FixtureRequest
) -> None:
    snapshot, model = runs[name].snapshot(1), models[name]
    trained_to = {key: tensor.clone() for key, tensor in model.policy.state_dict().items()}
    request.addfinalizer(lambda: model.policy.load_state_dict(trained_to))
    buffer, loss, config = snapshot.buffer, loss_of(snapshot), snapshot.config
    with torch.no_grad():
        for key, tensor in parameters_of(snapshot.checkpoint).items():
            dict(model.policy.named_parameters())[key].copy_(torch.as_tensor(tensor))
        for key, held in model.policy.named_buffers():
            held.copy_(torch.as_tensor(snapshot.checkpoint[f"buffer/{key}"]))
    model.policy.set_training_mode(False)
    own = list(trained(model.policy).values())
    advantage = torch.as_tensor(buffer.advantage)
    everything = np.arange(len(buffer))
    target = (advantage * evaluated(model, buffer, everything)[0]).mean()
    direction = torch.autograd.grad(target, own, materialize_grads=True)
    used = advantage.clone()
    if config.normalize_advantage:
        for start in range(0, len(buffer), config.batch_size):
            rows = snapshot.minibatches[0][start : start + config.batch_size]
            used[rows] = (advantage[rows] - advantage[rows].mean()) / (advantage[rows].std() + 1e-8)
    expected = []
    for i in range(0, len(buffer), 7):
        log_prob, entropy, value = evaluated(model, buffer, [i])
        ratio = (log_prob - float(buffer.log_prob[i])).exp()
        gain = log_prob * used[i]
        if loss.clip is not None:
            gain = torch.minimum(ratio * used[i], ratio.clamp(1 - loss.clip, 1 + loss.clip) * used[i])
        near = value
        if loss.value_clip is not None:
            old = float(buffer.value[i])
            near = old + (value - old).clamp(-loss.value_clip, loss.value_clip)
        total = gain - loss.vf_coef * (near - float(buffer.returns[i])) ** 2 + loss.ent_coef * entropy
        gradient = torch.autograd.grad(total.sum(), own, materialize_grads=True)
        expected.append(float(sum((g * d).sum() for g, d in zip(gradient, direction, strict=True))))
    found = engine.influence(snapshot, "return", "first_order", cache=False).influence[::7]
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize(
    "name", ["two by three actions", "images", "parts", "own policy", "a2c by adam", "discrete states"]
)
def test_every_estimator_and_removal_work(runs: dict[str, Run], name: str) -> None:
    snapshot = runs[name].snapshot(1)
    for estimator in ("tracin", "tracin_adam", "replay_gradient"):
        assert np.isfinite(engine.influence(snapshot, "return", estimator, cache=False).influence).all()
    here = engine.replay(snapshot, drop=[3, 9])
    again = engine.replay(snapshot, weights=[0 if i in (3, 9) else 1 for i in range(len(snapshot.buffer))])
    for key, tensor in here.checkpoint.items():
        assert np.allclose(tensor, again.checkpoint[key], atol=1e-6)
    found = engine.validate(snapshot, "return", "tracin", subsets=4, orders=2, executor="inline")
    assert np.isfinite(found.estimators["tracin"].lds)


def test_optimizers_whose_steps_are_not_known_say_so(runs: dict[str, Run]) -> None:
    snapshot = runs["rmsprop"].snapshot(1)
    engine.influence(snapshot, "return", "tracin", cache=False)
    for estimator in ("tracin_adam", "replay_gradient"):
        with pytest.raises(BadInputError, match=r"by RMSprop, whose steps are not .* Take tracin or first_order"):
            engine.influence(snapshot, "return", estimator, cache=False)


def test_what_the_round_says(models: dict[str, Any], runs: dict[str, Run]) -> None:
    run = runs["schedules and value clip"]
    assert run.kind == "recorded"
    assert run.manifest.schema_version == 4
    assert run.manifest.environment is not None
    assert run.manifest.environment.id == "CartPole-v1"
    settings = [run.snapshot(k).config for k in range(ROUNDS)]
    assert [round(each.clip_range, 6) for each in settings[:2]] == [0.133333, 0.066667]
    assert [round(each.learning_rate, 9) for each in settings[:2]] == [0.000666667, 0.000333333]
    assert settings[2].learning_rate < 1e-200
    buffer = run.snapshot(0).buffer
    assert (buffer.reward == 1).all()  # raw, also where the time limit or a normaliser would add to it
    assert buffer.record.tolist() == list(range(128))
    assert buffer.env.tolist() == [0, 1, 2, 3] * 32
    normalized = runs["normalized"].snapshot(1)
    assert normalized.config.normalize_observation
    assert normalized.buffer.reward.min() < -1
    assert normalized.checkpoint["normalizer/observation_mean"].shape == (3,)
    told = run.manifest.settings["trainer"]
    assert told["name"] == "Stable-Baselines3 PPO"
    assert told["versions"]["torch"] == torch.__version__


def test_parts_and_images_come_back(runs: dict[str, Run]) -> None:
    parts = runs["parts"].snapshot(2)
    assert {name: part.shape for name, part in parts.buffer.observation.items()} == {
        "image": (64, 3, 36, 36),
        "v": (64, 5),
    }
    assert parts.observation_space.parts["image"].dtype == "uint8"
    stacked = runs["images apart, stacked"]
    assert stacked.snapshot(0).buffer.observation.shape == (64, 12, 36, 36)
    for file in (stacked.path / "data").glob("*-records-*"):
        assert file.stat().st_size < 0.45 * 64 * 12 * 36 * 36, "each frame of the noise once"
    image = parts.buffer.observation["image"]
    image[:, 1] //= 2  # dim green stays dim
    image[0, 0, 0, 0] = 255
    assert np.array_equal(observation_pictures(parts, 3)["image"], image[3].transpose(1, 2, 0))
    assert runs["two by three actions"].snapshot(0).buffer.action.shape == (64, 6)


def test_each_normalized_part_keeps_its_statistics(models: dict[str, Any], runs: dict[str, Run]) -> None:
    run, trained_on = runs["normalized parts"], models["normalized parts"].get_vec_normalize_env()
    last = run.checkpoint(ROUNDS)
    names = {name for name in last if name.startswith("normalizer/observation")}
    assert names == {f"normalizer/observation/u_{part}" for part in ("mean", "var", "count")}
    shown = trained_on.get_original_obs()
    normalizer = normalizer_at(run.config, last)
    assert normalizer is not None
    seen, expected = normalizer.normalize(shown), trained_on.normalize_obs(shown)
    assert not np.allclose(seen["u"], shown["u"])
    assert all(np.array_equal(seen[name], expected[name]) for name in ("u", "v"))


def test_what_a_mask_forbade_is_part_of_what_the_policy_saw(runs: dict[str, Run]) -> None:
    snapshot = runs["masked"].snapshot(1)
    mask = snapshot.buffer.observation["action_mask"]
    assert mask.shape == (64, 3)
    assert not mask.all()
    assert mask[np.arange(64), snapshot.buffer.action].all()
    table = pq.read_table(next((runs["masked"].path / "data").glob("000001-records-*")))
    assert {"observation", "action_mask"} <= set(table.column_names)
    target = engine.action_target(snapshot, record=3)
    with torch.no_grad():
        assert float(target.value(kind_of(snapshot).policy(snapshot))) == pytest.approx(
            float(snapshot.buffer.log_prob[3]), abs=1e-6
        )


def test_a_model_that_does_not_train_on_rollouts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="a DQN can't be recorded"):
        DQN("MlpPolicy", "CartPole-v1", device="cpu").learn(10, callback=sb3.Recorder(tmp_path / "q"))
    assert not (tmp_path / "q").exists()


def test_an_epoch_that_stopped_early_is_completed_as_it_would_have_gone_on(runs: dict[str, Run]) -> None:
    run = runs["target_kl"]
    steps = [info.metrics["steps"] for info in run.rounds]
    assert min(steps) < 9
    for k in range(ROUNDS):
        minibatches = run.snapshot(k).minibatches
        assert minibatches.shape == (3, 64)
        assert (np.sort(minibatches, axis=1) == np.arange(64)).all()


@pytest.mark.parametrize(
    "name", ["several discrete", "binary", "gsde", "gsde, squashed", "eight actions", "masked parts"]
)
def test_how_far_policies_are_apart_is_what_the_trainer_says(runs: dict[str, Run], name: str) -> None:
    first, last = (kind_of(snapshot).policy(snapshot) for snapshot in map(runs[name].snapshot, (0, 2)))
    observation = runs[name].snapshot(1).buffer.observation
    with torch.no_grad():
        both = [vars(each)["theirs"].get_distribution(*unmasked(each.encode(observation))) for each in (first, last)]
        expected = kl_divergence(*both)
        expected = expected if expected.ndim == 1 else expected.sum(1)  # theirs sums neither normal nor binary parts
    found = divergence(first, last, observation)
    assert found.shape == (len(runs[name].snapshot(1).buffer),)
    assert found == pytest.approx(expected.double().numpy(), rel=1e-4, abs=1e-6)
    assert found.max() > 1e-6
    assert not divergence(first, first, observation).any()


@pytest.mark.parametrize("name", ["schedules and value clip", "rmsprop"])
def test_its_environment_is_played_and_a_removal_is_judged(runs: dict[str, Run], name: str, tmp_path: Path) -> None:
    run = runs[name]
    if name == "schedules and value clip":
        found = points(run.snapshot(2))
        assert sum(point is not None for point in found) > 64
        assert film(run, 2, seed=3, cache=False).steps > 0
        outcome = engine.retrain(run, 1, range(20), tmp_path / "out", orders=2, episodes=8)
        assert outcome.verdict in ("helps", "hurts", "within noise")
        branch = engine.open_run(tmp_path / "out")
        assert branch.kind == "recorded"
        assert branch.manifest.parent is not None
        with pytest.raises(BadInputError, match="can't be trained on here"):
            engine.retrain(run, 1, [3], tmp_path / "more", continue_rounds=2)
        assert not (tmp_path / "more").exists()


def test_learn_may_be_called_twice_and_beside_other_callbacks(tmp_path: Path) -> None:
    model = PPO("MlpPolicy", world(VECTOR, THREE), **SMALL)
    with sb3.Recorder(tmp_path / "run", info=["luck", "lukc"]) as recorder:
        with pytest.warns(UserWarning, match="no step of the first round has a number 'lukc' in `info`"):
            model.learn(128, callback=[CheckpointCallback(64, str(tmp_path / "zips")), recorder])
        model.learn(64, callback=recorder, reset_num_timesteps=False)
    run = engine.open_run(tmp_path / "run")
    assert run.stored_rounds == [0, 1, 2]
    assert run.final is not None
    buffer = run.snapshot(2).buffer
    assert np.allclose(buffer.extra["luck"], buffer.reward)
    assert len(np.unique(buffer.episode)) > 2
    assert buffer.episode.min() > run.snapshot(0).buffer.episode.min()
    loaded = PPO.load(next((tmp_path / "zips").glob("*.zip")), env=world(VECTOR, THREE))
    with sb3.Recorder(tmp_path / "on") as recorder:
        loaded.learn(64, callback=recorder)
    on = engine.open_run(tmp_path / "on")
    assert engine.replay(on.snapshot(0)).checkpoint.keys() <= on.checkpoint(1).keys()


class Told(BaseCallback):
    """What Stable-Baselines3's own Monitor says of the episodes that ended, a list a round; stops once, within a round."""

    def __init__(self, stop_at: int) -> None:
        super().__init__()
        self.stop_at, self.rounds = stop_at, list[list[dict[str, float]]]()

    def _on_rollout_start(self) -> None:
        self.rounds.append([])

    def _on_step(self) -> bool:
        self.rounds[-1] += [info["episode"] for info in self.locals["infos"] if "episode" in info]
        return self.num_timesteps != self.stop_at


def test_rounds_say_of_their_episodes_what_a_monitor_says(tmp_path: Path) -> None:
    model, told = PPO("MlpPolicy", "CartPole-v1", **SMALL), Told(stop_at=32 * 3 + 5)
    with sb3.Recorder(tmp_path / "run", self_test=False) as recorder:
        model.learn(32 * 4, callback=[told, recorder])
        broken_off = told.rounds.pop()
        model.learn(32 * 4, callback=[told, recorder], reset_num_timesteps=False)
    run = engine.open_run(tmp_path / "run")
    assert len(told.rounds) == len(run.stored_rounds) > 6
    for k, episodes in enumerate(told.rounds):
        metrics = run.rounds[k].metrics
        assert metrics["episodes"] == len(episodes)
        if episodes:
            assert metrics["mean_return"] == pytest.approx(np.mean([each["r"] for each in episodes]))
            assert metrics["mean_length"] == pytest.approx(np.mean([each["l"] for each in episodes]))
    assert not broken_off, "the episode that ran when it was broken off ended in the round after"


@pytest.mark.long
def test_a_script_that_ends_keeps_its_last_round_also_where_schedules_go_below_0(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from recorded_policies import *\nfrom engine.recording import sb3\n"
        "recorder, falls = sb3.Recorder(sys.argv[1], self_test=False), lambda left: 0.1 * left\n"
        "model = PPO('MlpPolicy', world(VECTOR, THREE), **SMALL | {'learning_rate': falls, 'clip_range': falls})\n"
        "model.learn(100, callback=recorder)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "run"), str(TESTS)]
    done = subprocess.run(command, capture_output=True, text=True, env=ELSEWHERE, timeout=120, check=True)
    assert "Error" not in done.stderr
    run = engine.open_run(tmp_path / "run")
    last = run.snapshot(run.stored_rounds[-1])
    assert loss_of(last).clip == pytest.approx(0.1 * (1 - 128 / 100))
    assert last.in_force["learning_rate"] < 0
    found, recorded = engine.replay(last).checkpoint, run.checkpoint(last.round + 1)
    assert all(np.array_equal(found[key], tensor) for key, tensor in recorded.items() if key.startswith("parameter/"))


# Bad input, and what strikes from outside.


def refusal(function: Callable[[], Any]) -> str:
    with pytest.raises(EngineError) as caught:
        function()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def forged(run: Run, folder: Path, change: Callable[[dict[str, Any]], None]) -> Run:
    """A copy with another run.json, its chain of commits written anew."""
    from dataclasses import replace

    from engine.store.commit import RunWriter

    settings = json.loads(json.dumps(run.manifest.settings))
    change(settings)
    with RunWriter.create(folder, replace(run.manifest, settings=settings)) as writer:
        for k in run.stored_rounds:
            snapshot = run.snapshot(k)
            writer.commit_round(snapshot, dict(snapshot.metrics))
    return engine.open_run(folder)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("os:system", "is not made from a run's word alone"),
        ("stable_baselines3.common.save_util:load_from_pkl", "is not made from a run's word alone"),
        ("stable_baselines3.common.policies:create_sde_features_extractor", "no class of layers"),
        ("torch.nn.modules.module:_load_state_dict", "no class of layers"),
        ("torch.nn.modules.linear:Linear", "no policy that evaluates actions"),
        ("stable_baselines3.common.policies:Gone", "no class of layers"),
        ("evil.package:Policy", "--allow evil"),
        ("__main__:Policy", "is not made from a run's word alone"),
    ],
)
def test_a_class_that_is_not_allowed_is_not_touched(runs: dict[str, Run], tmp_path: Path, name: str, says: str) -> None:
    run = forged(runs["discrete states"], tmp_path / "run", lambda said: said["policy"].update(name=name))
    before = set(sys.modules)
    said = refusal(lambda: engine.influence(run.snapshot(1), "return", cache=False))
    assert says in said
    assert ("--allow" in said) == name.startswith("evil")
    assert {module.partition(".")[0] for module in set(sys.modules) - before} <= {"stable_baselines3", "torch"}
    assert len(run.snapshot(1).buffer) == 64  # what needs no policy is there


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"net_arch": [2**19, 2**19]}, "larger networks than its checkpoint"),
        ({"net_arch": [2**40]}, "at most"),
        ({"activation_fn": {"class": "os:system"}}, "is not made from a run's word alone"),
        ({"nothing_known": 3}, "can't be made again from its recipe"),
        ({"optimizer_class": {"class": "torch.optim.lr_scheduler:LRScheduler"}}, "no class of layers"),
        ({"net_arch": [[[[[[[[[[[[[[3]]]]]]]]]]]]]]}, "too large"),
    ],
)
def test_arguments_are_checked_before_anything_is_built(
    runs: dict[str, Run], tmp_path: Path, arguments: dict[str, Any], says: str
) -> None:
    run = forged(runs["discrete states"], tmp_path / "run", lambda said: said["policy"]["arguments"].update(arguments))
    assert says in refusal(lambda: engine.influence(run.snapshot(1), "return", cache=False))


def test_own_classes_need_the_readers_word(runs: dict[str, Run]) -> None:
    before = engine.allow()
    try:
        assert "--allow recorded_policies" in refusal(lambda: engine.replay(runs["own policy"].snapshot(1)))
    finally:
        engine.allow(**vars(before))


def test_two_recorders_on_one_folder(tmp_path: Path) -> None:
    first, second = sb3.Recorder(tmp_path / "run"), sb3.Recorder(tmp_path / "run")
    PPO("MlpPolicy", world(VECTOR, THREE), **SMALL).learn(64, callback=first)
    model = PPO("MlpPolicy", world(VECTOR, THREE), **SMALL)
    assert "record into another folder" in refusal(lambda: model.learn(64, callback=second))
    first.close()
    assert "record into another folder" in refusal(lambda: sb3.Recorder(tmp_path / "run"))
    assert engine.open_run(tmp_path / "run").stored_rounds == [0]


def test_a_training_that_stops_within_an_update_keeps_its_rounds(tmp_path: Path) -> None:
    model = PPO("MlpPolicy", world(VECTOR, THREE), **SMALL)
    recorder = sb3.Recorder(tmp_path / "run")
    taken, step = [], model.policy.optimizer.step

    def fails(*args: Any, **kwargs: Any) -> Any:
        taken.append(1)
        if len(taken) == 14:  # in the second update
            raise KeyboardInterrupt
        return step(*args, **kwargs)

    model.policy.optimizer.step = fails
    with pytest.raises(KeyboardInterrupt):
        model.learn(10_000, callback=recorder)
    recorder.close()
    run = engine.open_run(tmp_path / "run")
    assert run.stored_rounds == [0]
    assert [each.equal for each in replay_run(run)] == [True]
    assert engine.verify_run(tmp_path / "run") == []
    assert "was closed" in refusal(lambda: model.learn(64, callback=recorder))


class Interrupts(BaseCallback):
    """Stops a training in the middle of a rollout."""

    def _on_step(self) -> bool:
        if self.n_calls == 40:
            raise KeyboardInterrupt
        return True


def test_a_training_that_stops_while_it_collects_keeps_what_the_last_update_led_to(tmp_path: Path) -> None:
    for name, goes_on, says in (("stopped", False, "verified"), ("went on", True, "not recorded")):
        model = PPO("MlpPolicy", world(VECTOR, THREE), **SMALL)
        recorder = sb3.Recorder(tmp_path / name)
        with pytest.raises(KeyboardInterrupt):
            model.learn(10_000, callback=[recorder, Interrupts()])
        if goes_on:
            model.learn(64)
        recorder.close()
        [found] = replay_run(engine.open_run(tmp_path / name))
        assert says in found.words


def test_a_recorder_is_of_one_model(tmp_path: Path) -> None:
    model, recorder = PPO("MlpPolicy", world(VECTOR, THREE), **SMALL), sb3.Recorder(tmp_path / "run")
    model.learn(64, callback=recorder)
    model.learn(64)
    assert "another recorder" in refusal(lambda: model.learn(64, callback=recorder))


def test_a_forked_process_neither_ends_the_recording_nor_gives_its_lock_back(tmp_path: Path) -> None:
    model, recorder = PPO("MlpPolicy", world(VECTOR, THREE), **SMALL), sb3.Recorder(tmp_path / "run")
    model.learn(64, callback=recorder)
    process = get_context("fork").Process(target=recorder.close)
    process.start()
    process.join()
    assert process.exitcode == 0
    assert engine.open_run(tmp_path / "run").final is None
    with pytest.raises(LockedRunError, match="another process"):
        RunWriter.append(tmp_path / "run")
    model.learn(64, callback=recorder)
    recorder.close()
    assert engine.open_run(tmp_path / "run").final is not None


def test_a_forked_process_does_not_train_into_the_run(tmp_path: Path) -> None:
    model, recorder = PPO("MlpPolicy", world(VECTOR, THREE), **SMALL), sb3.Recorder(tmp_path / "run")
    model.learn(64, callback=recorder)

    def goes_on() -> None:
        with pytest.raises(LockedRunError, match="this one was forked from"):
            model.learn(64, callback=recorder)

    process = get_context("fork").Process(target=goes_on)
    process.start()
    process.join()
    assert process.exitcode == 0
    recorder.close()
    assert engine.verify_run(tmp_path / "run") == []


def records_for_ever(path: Path) -> None:
    PPO("MlpPolicy", world(VECTOR, THREE), **SMALL).learn(10**7, callback=sb3.Recorder(path))


def test_kill_9_while_recording_loses_no_round_that_was_committed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for attempt in range(2):
        path = tmp_path / str(attempt)
        process = get_context("fork").Process(target=records_for_ever, args=(path,))
        process.start()
        wait_until((path / "commits" / "000003.json").exists, every=0.01)
        time.sleep(float(rng.random()) * 0.2)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it was over before it could be killed"
        run = engine.open_run(path)
        assert len(run.stored_rounds) >= 4
        assert engine.verify_run(path) == []
        last = run.stored_rounds[-2]
        found, recorded = engine.replay(run.snapshot(last)).checkpoint, run.checkpoint(last + 1)
        assert all(
            np.array_equal(tensor, recorded[key]) for key, tensor in found.items() if key.startswith("parameter/")
        )


def test_the_first_round_is_tested_as_it_is_recorded(runs: dict[str, Run]) -> None:
    for name, run in runs.items():
        assert run.rounds[0].metrics["self_test"] == "equal bit for bit", name


def test_what_can_not_be_made_again_is_warned_of(tmp_path: Path) -> None:
    model = PPO("MlpPolicy", world(VECTOR, THREE), **SMALL)
    model.policy.optimizer = torch.optim.Adam(
        model.policy.parameters(), lr=3e-4, eps=1e-2
    )  # not what its arguments say
    with pytest.warns(UserWarning, match="declared loss leads"), sb3.Recorder(tmp_path / "run") as recorder:
        model.learn(64, callback=recorder)
    assert "leads" in engine.open_run(tmp_path / "run").rounds[0].metrics["self_test"]


def test_an_update_of_its_own_is_said_and_not_replayed(tmp_path: Path) -> None:
    class Mine(PPO):
        def train(self) -> None:
            super().train()

    model = Mine("MlpPolicy", world(VECTOR, THREE), **SMALL)
    with sb3.Recorder(tmp_path / "run") as recorder:
        model.learn(64, callback=recorder)
    run = engine.open_run(tmp_path / "run")
    assert "Mine has an update of its own" in refusal(lambda: engine.replay(run.snapshot(0)))
    assert np.isfinite(engine.influence(run.snapshot(0), "return", cache=False).influence).all()

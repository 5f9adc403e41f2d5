"""Record a Stable-Baselines3 model as it trains: a callback.

    from engine.recording import sb3
    model.learn(1_000_000, callback=sb3.Recorder("runs/mine"))

It changes no bit of the training. Every round, before its update: the rollout buffer with raw rewards, parameters, optimizer and
generators, and the settings in force; during the update, which records each minibatch takes.
"""

from __future__ import annotations

import math
import warnings
import weakref
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnvWrapper

from engine.config import TrainConfig
from engine.environment_spec import EnvironmentSpec, plain_arguments
from engine.envs.outside import spec_of
from engine.errors import BadInputError
from engine.kinds.recorded.agent import TORCH_GENERATOR
from engine.kinds.recorded.kind import recorded_fingerprint
from engine.kinds.recorded.loss import Loss
from engine.kinds.recorded.policy import StableBaselinesPolicy
from engine.kinds.recorded.remaking import as_policy
from engine.kinds.recorded.settings import Capabilities, RecordedSettings, Trainer
from engine.kinds.recorded.snapshot import RecordedSnapshot
from engine.kinds.recorded.tensors import state_of
from engine.recording.disk_space import AsFits
from engine.recording.episode_states import EpisodeStates, in_this_process
from engine.recording.episodes import Episodes
from engine.recording.known_updates import IN_FORCE, arguments_of, is_recurrent, recipe_of, unknown_update
from engine.recording.optimizers import SMALLEST, optimizer_name
from engine.recording.policy_inputs import spaces_of
from engine.recording.run_recording import Recording
from engine.recording.self_test import compare, recipe_differs
from engine.recording.vec_normalize import normalizing, statistics
from engine.recording.watched_rollout import Rollout
from engine.store.manifest import RunManifest
from engine.store.snapshot import parameters_of

LOGGED = {
    "policy_gradient_loss": ("train/policy_gradient_loss", "train/policy_loss"),
    "value_loss": ("train/value_loss",),
    "approx_kl": ("train/approx_kl",),
    "clip_fraction": ("train/clip_fraction",),
}
"""Metric -> what the trainer's logger calls it."""


class Recorder(BaseCallback):
    """Records every round of a PPO or A2C model into a run folder."""

    model: Any

    def __init__(
        self,
        path: str | Path,
        info: Sequence[str] = (),
        *,
        keep: AsFits = "as fits",
        quiet: bool = False,
        self_test: bool = True,
    ) -> None:
        """A recorder of one run; `learn` may be called several times, and the rounds go on.

        Args:
            path: the run folder to make.
            info: keys of the environments' `info` whose numbers become columns of the records; NaN where a step has
                none, with a warning where none has.
            keep: which rounds keep their records: an `engine.Keep`, None for all of them, or what fits: all of a run that
                takes up to 4 GB, and of another one what keeps it below 20 GB.
            quiet: do not say on stderr at round 1 what the run will take on disk and what is kept.
            self_test: make the first round again while it is there, which takes as long as its update, and warn where it differs.

        Raises:
            BadInputError: the folder holds a run already, or `keep` is something else.
        """
        super().__init__()
        self.info, self.self_test = tuple(info), self_test
        self._kept = _Kept(Recording(path, keep, quiet))
        self._ending = weakref.finalize(self, self._kept.finish)
        self._rollout: Rollout | None = None
        self._episodes = Episodes()
        self._states = EpisodeStates([])
        self._before: dict[str, NDArray[Any]] = {}

    def close(self) -> None:
        """Commit the parameters after the last update, after which nothing more is recorded; also done when Python ends."""
        self._ending()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _on_training_start(self) -> None:
        self._check_model()
        if self._kept.recording.writer is None:
            self._said, self._spec = self._settings(), self._environment()
            manifest = self._manifest()
            self._kept.recording.begin(manifest, manifest.config.rounds)
        self._states = EpisodeStates(in_this_process(self.training_env))
        self._watch_minibatches()

    def _check_model(self) -> None:
        """Rounds follow each other: what trains now is what the update before led to."""
        if self._kept.last is None:
            return
        now, before = parameters_of(self._state()), parameters_of(self._kept.last)
        if not all(name in now and np.array_equal(now[name], was, equal_nan=True) for name, was in before.items()):
            raise BadInputError(
                f"the parameters are not those with which the recording into {self._kept.recording.path} stopped; "
                "record another model, or what became of this one elsewhere, with another recorder"
            )

    def _on_rollout_start(self) -> None:
        self._commit()
        self._kept.last, self._kept.collecting = None, _Collecting(self.model)
        normalized = self.model.get_vec_normalize_env()
        shown = self.model._last_obs if normalized is None else normalized.get_original_obs()
        if self._rollout is not None:
            self._rollout.break_off()
        self._rollout = Rollout(self.model, self.info, self._episodes)
        self._before = self._states.tensors(self._rollout.first, shown)

    def _on_step(self) -> bool:
        if self._rollout is not None:
            normalized = self.model.get_vec_normalize_env()
            rewards = self.locals["rewards"] if normalized is None else normalized.get_original_reward()
            self._states.step(self.locals["actions"], self.locals["dones"])
            self._rollout.step(rewards, self.locals["dones"], self.locals["infos"])
        return True

    def _on_rollout_end(self) -> None:
        rollout, model = self._rollout, self.model
        assert rollout is not None, "a rollout began"
        buffer = rollout.buffer(model)
        if self._kept.recording.round == 0 and (never := rollout.never()):
            warnings.warn(
                f"no step of the first round has a number {' or '.join(map(repr, never))} in `info`", stacklevel=2
            )
        config = self._config()
        rate = float(model.lr_schedule(self._progress))
        shown, acts = spaces_of(model)
        snapshot = RecordedSnapshot(
            round=self._kept.recording.round,
            config=config,
            settings=self._said.to_json(),
            in_force={
                "config": {name: getattr(config, name) for name in IN_FORCE},
                "learning_rate": rate,
                "threads": torch.get_num_threads(),
                "loss": self._loss().to_json(),
                **normalizing(model),
            },
            observation_space=shown,
            action_space=acts,
            environment=self._spec,
            buffer=buffer,
            checkpoint=self._state() | self._before,
            minibatches=np.zeros((0, len(buffer)), np.int32),
            fingerprint=recorded_fingerprint(),
            metrics=rollout.metrics(buffer),
        )
        self._rollout, self._kept.collecting = None, None
        self._kept.recording.collected(snapshot, _foreseen(config, is_recurrent(model)))

    def _on_training_end(self) -> None:
        self._commit()
        self._states.stop()
        self._kept.last, self._kept.collecting = self._state(), None

    def _commit(self) -> None:
        """The round whose update is over, with what the trainer's logger says of it."""
        logged, metrics = self.model.logger.name_to_value, dict[str, Any]()
        for name, theirs in LOGGED.items():
            metrics[name] = next((float(logged[each]) for each in theirs if each in logged), None)
        entropy = logged.get("train/entropy_loss")
        metrics["entropy"] = None if entropy is None else -float(entropy)
        recording = self._kept.recording
        metrics["steps"] = len(recording.steps)
        first = recording.pending is not None and recording.pending.round == 0
        if self.self_test and first and not self._said.capabilities.replay:
            metrics["self_test"] = self._tested(recording.whole()[0])
        recording.updated(metrics)

    def _tested(self, snapshot: RecordedSnapshot) -> str:
        """Whether the first round can be made again, from the recipe and by the known update; a warning where it can't."""
        found = recipe_differs(snapshot) or compare(snapshot, self._fresh, None, self._state())
        if found:
            warnings.warn(f"{self._kept.recording.path}: {found}", stacklevel=2)
        return found or "equal bit for bit"

    def _fresh(self) -> StableBaselinesPolicy:
        model = self.model
        spaces = model.observation_space, model.action_space
        return as_policy(model.policy_class(*spaces, model.lr_schedule, **arguments_of(model)))

    @property
    def _progress(self) -> float:
        """What schedules are asked at; the model's own number is that of the round before."""
        return 1.0 - self.model.num_timesteps / float(self.model._total_timesteps)

    def _watch_minibatches(self) -> None:
        """See which records each minibatch takes, whatever drew them.

        The buffer is put into no file, so that saving the model is as before.
        """
        buffer, recording = self.model.rollout_buffer, self._kept.recording
        take = type(buffer)._get_samples

        def seen(batch_inds: NDArray[Any], *args: Any, **kwargs: Any) -> Any:
            if recording.pending is not None:
                recording.minibatch(_our_numbers(batch_inds, recording.pending.config))
            return take(buffer, batch_inds, *args, **kwargs)

        buffer._get_samples = seen

    def _state(self) -> dict[str, NDArray[Any]]:
        return _state_of(self.model)

    def _config(self) -> TrainConfig:
        model, normalized = self.model, self.model.get_vec_normalize_env()
        n_steps, n_envs = model.n_steps, model.n_envs
        is_ppo = hasattr(model, "clip_range")
        per_round = n_steps * n_envs
        return TrainConfig(
            env_id=self._spec.id,
            rounds=max(1, math.ceil(model._total_timesteps / per_round)),
            seed=model.seed or 0,
            n_envs=n_envs,
            n_steps=n_steps,
            batch_size=min(model.batch_size, per_round) if is_ppo else per_round,
            n_epochs=model.n_epochs if is_ppo else 1,
            learning_rate=max(float(model.lr_schedule(self._progress)), SMALLEST),
            optimizer=optimizer_name(model.policy.optimizer),
            gamma=model.gamma,
            gae_lambda=model.gae_lambda,
            clip_range=max(float(model.clip_range(self._progress)), SMALLEST) if is_ppo else 0.2,
            normalize_advantage=getattr(model, "normalize_advantage", True),
            normalize_observation=bool(normalized is not None and normalized.norm_obs),
            normalize_reward=bool(normalized is not None and normalized.norm_reward),
            ent_coef=model.ent_coef,
            vf_coef=model.vf_coef,
            max_grad_norm=model.max_grad_norm,
            target_kl=model.target_kl if is_ppo else None,
            path="torch",
        )

    def _loss(self) -> Loss:
        model = self.model
        clips = [getattr(model, name, None) for name in ("clip_range", "clip_range_vf")]
        clip, value_clip = (None if schedule is None else float(schedule(self._progress)) for schedule in clips)
        return Loss(
            clip=clip,
            value_clip=value_clip,
            value_error="square" if is_recurrent(model) else "mse_loss",
            vf_coef=model.vf_coef,
            ent_coef=model.ent_coef,
        )

    def _environment(self) -> EnvironmentSpec:
        """As Gymnasium says it, with the wrappers of vectorised environments."""
        envs = in_this_process(self.training_env)
        if envs:
            found = spec_of(envs[0])
        else:
            said = self.training_env.get_attr("spec")[0]
            given = {} if said is None else {k: v for k, v in said.kwargs.items() if k != "render_mode"}
            found = EnvironmentSpec("unnamed" if said is None else said.id, plain_arguments(given))
        outer, names = self.training_env, []
        while isinstance(outer, VecEnvWrapper):
            names.append(type(outer).__name__)
            outer = outer.venv
        own = [name for name in (*names, *found.wrappers) if name not in ("Monitor", "VecNormalize", "VecMonitor")]
        return replace(found, wrappers=tuple(own))

    def _settings(self) -> RecordedSettings:
        model = self.model
        if not isinstance(model, OnPolicyAlgorithm):
            raise BadInputError(
                f"a {type(model).__name__} can't be recorded; PPO, A2C and others that train on rollouts can"
            )
        recipe, why = recipe_of(model)
        packages = {kind.__module__.partition(".")[0] for kind in type(model).__mro__} & {
            "stable_baselines3",
            "sb3_contrib",
        }
        versions = {name: version(name) for name in (*sorted(packages), "gymnasium", "torch")}
        return RecordedSettings(
            trainer=Trainer(name=f"Stable-Baselines3 {type(model).__name__}", versions=versions),
            policy=recipe,
            capabilities=Capabilities(influence=why, replay=why or unknown_update(model)),
        )

    def _manifest(self) -> RunManifest:
        shown, acts = spaces_of(self.model)
        return RunManifest(
            env_id=self._spec.id,
            environment=self._spec,
            config=self._config(),
            encoder=shown.encoder,
            observation_space=shown,
            action_space=acts,
            kind="recorded",
            settings=self._said.to_json(),
            fingerprint=recorded_fingerprint(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )


class _Collecting:
    """A model that collects a round: its parameters are still those after the update before."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._began = self._changes()

    def state(self) -> dict[str, NDArray[Any]] | None:
        """Its checkpoint; None where it was changed since, without a recorder."""
        return _state_of(self._model) if self._changes() == self._began else None

    def _changes(self) -> list[tuple[int, int]]:
        return [(id(each), each._version) for each in self._model.policy.parameters()]


class _Kept:
    """What outlives the recorder: the run, and the parameters after the last update."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.last: dict[str, NDArray[Any]] | None = None
        self.collecting: _Collecting | None = None
        """Where the training has not come to an end."""

    def finish(self) -> None:
        """Commit them, also where the training was stopped while it collected."""
        last = self.collecting.state() if self.collecting else self.last
        if last is None:
            self.recording.close()
        else:
            self.recording.finish(last)


def _state_of(model: Any) -> dict[str, NDArray[Any]]:
    policy, normalized = model.policy, model.get_vec_normalize_env()
    tensors = state_of(policy, policy.optimizer) | {TORCH_GENERATOR: torch.get_rng_state().numpy().copy()}
    return tensors if normalized is None else tensors | statistics(normalized)


def _foreseen(config: TrainConfig, recurrent: bool) -> list[NDArray[np.int64]]:
    """The permutations that NumPy's generator would give next; a recurrent model turns round where to begin."""
    generator = np.random.RandomState()
    generator.set_state(np.random.get_state())
    n = config.records_per_round
    drawn = (
        np.roll(np.arange(n), -generator.randint(n)) if recurrent else generator.permutation(n)
        for _ in range(config.n_epochs)
    )
    return [_our_numbers(theirs, config) for theirs in drawn]


def _our_numbers(theirs: NDArray[Any], config: TrainConfig) -> NDArray[np.int64]:
    """Records are t * n_envs + env; the trainer's buffer counts environment by environment once it is flat."""
    env, t = np.divmod(theirs, config.n_steps)
    return np.asarray(t * config.n_envs + env)

"""Record a training loop of one's own: four lines in it.

rec = Recorder("runs/mine", agent, optimizer, evaluate=evaluate, loss=Loss(vf_coef=0.25), rebuild=make_agent)
rec.round(observation=obs, action=actions, log_prob=logprobs, value=values, advantage=advantages, returns=returns,
reward=rewards, starts=dones, n_envs=n)   # after collecting
rec.minibatch(indices)                              # before each step
rec.close()                                         # after the last update
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.core.policy import trained
from engine.environment_spec import EnvironmentSpec
from engine.envs.names import Names, names_from
from engine.errors import BadInputError
from engine.kinds.recorded.agent import TORCH_GENERATOR
from engine.kinds.recorded.kind import recorded_fingerprint
from engine.kinds.recorded.loss import Loss, OwnTerms
from engine.kinds.recorded.policy import Evaluate, RecordedPolicy, Terms
from engine.kinds.recorded.rebuilding import made_by, rebuilds, recipe_by
from engine.kinds.recorded.recipe import made
from engine.kinds.recorded.settings import Capabilities, RecordedSettings, RoundConfig, Trainer
from engine.kinds.recorded.snapshot import RecordedBuffer, RecordedSnapshot
from engine.kinds.recorded.tensors import state_of
from engine.recording.disk_space import AsFits
from engine.recording.episodes import Episodes
from engine.recording.given_columns import array, column, numbers, parts, spaces_of
from engine.recording.measured_updates import MeasuredUpdates
from engine.recording.optimizers import SMALLEST, optimizer_name, optimizer_recipe
from engine.recording.run_recording import Recording
from engine.recording.self_test import NotCopiedError, compare, copied
from engine.spaces import Space
from engine.store.manifest import RunManifest

__all__ = ["Loss", "Recorder", "rebuilds"]

Autoreset = Literal["next_step", "same_step"]


class Recorder:
    """Records every round of a loop into a run folder. It changes nothing of the training.

    Use it as a context manager, or close it: a round is committed when the next one is there, and the last by `close`. A loop
    that fails within an update keeps all earlier rounds.
    """

    def __init__(
        self,
        path: str | Path,
        agent: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        evaluate: Evaluate,
        loss: Loss | None = None,
        terms: Terms | None = None,
        rebuild: Callable[..., tuple[Any, ...]] | None = None,
        arguments: Mapping[str, Any] | None = None,
        normalize_advantage: bool = True,
        max_grad_norm: float | None = 0.5,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        n_epochs: int | None = None,
        target_kl: float | None = None,
        kl_stop: Literal["epoch", "minibatch"] = "epoch",
        env_id: str = "unnamed",
        seed: int = 0,
        trainer: str = "own loop",
        autoreset: Autoreset = "next_step",
        n_actions: int | None = None,
        names: Names | Mapping[str, Any] = Names(),  # noqa: B008 - it does not change
        self_test: bool = True,
        keep: AsFits = "as fits",
        quiet: bool = False,
    ) -> None:
        """A recorder of one run.

        Args:
            path: the run folder to make.
            agent: the module that the optimizer moves.
            optimizer: of the agent's parameters, in one group.
            evaluate: (agent, observation, action) -> log_prob (n,), entropy (n,) or None, value (n,); rows in order.
            loss: what a minibatch minimises, as the loop has it.
            terms: in its place, where it is none of these: (agent, observation, action, *, log_prob, value, advantage, returns,
                **extra) -> the losses of policy, value and entropy, (n,) each, the sum of whose means a minibatch minimises.
                The columns are those of `round`, its extra ones too; advantages are normalised already where the loop does so.
            rebuild: a function marked with `rebuilds` that returns an agent of the same shape, `evaluate`, and `terms` where
                there are any; without it the run can be viewed, but nothing is computed from its policy.
            arguments: keyword arguments of `rebuild`: numbers, texts, lists and dicts of these.
            normalize_advantage: whether the loop does so within each minibatch, by the unbiased deviation + 1e-8.
            max_grad_norm: global norm at which gradients are clipped; None: they are not.
            gamma: discount.
            gae_lambda: of generalised advantage estimation.
            n_epochs: passes over the records in one update, at most; by default as many as the first round took.
            target_kl: the update stops where the approximate KL, the mean of ratio - 1 - log ratio, is larger; None: it does not.
            kl_stop: where that is looked at. `epoch`: after every epoch, the KL that its last minibatch had before its step, as
                single-file loops have it. `minibatch`: before every step, and 1.5 * target_kl is the limit, as
                Stable-Baselines3 has it; `minibatch` is to be called before that, also of the one that is not trained on.
            env_id: what people call the environment.
            seed: of the training, for people.
            trainer: what people call the loop.
            autoreset: what `starts` marks. `next_step` (Gymnasium's vector environments by default): a step whose action is
                ignored, as it resets the environment; it is recorded as a phantom. `same_step`: an episode's first step.
            n_actions: how many actions there are, where they are whole numbers; by default those that the first round took.
            names: what the numbers of observations and the actions are called, {"observation": [...], "action": [...]}, either of
                them; by default `observation 0` and so on.
            self_test: replay the first round with another agent, of `rebuild` or a copy of the live one, and warn where the
                declared loss leads elsewhere.
            keep: which rounds keep their records: an `engine.Keep`, None for all of them, or what fits: all of them up to 4 GB,
                and then what keeps the run below 20 GB.
            quiet: do not say on stderr at round 1 what the run takes on disk and what is kept.

        Raises:
            BadInputError: the folder holds a run already, or an argument can't be used.
        """
        if len(optimizer.param_groups) != 1:
            raise BadInputError(
                f"the optimizer has {len(optimizer.param_groups)} groups of parameters; it must have one"
            )
        if target_kl is not None and n_epochs is None:
            raise BadInputError(
                "say n_epochs= beside target_kl=: an update that stopped does not show how long it was to be"
            )
        if (loss is None) == (terms is None):
            raise BadInputError("say what a minibatch minimises: loss= or terms=, one of them")
        self.agent, self.optimizer, self.evaluate, self.terms = agent, optimizer, evaluate, terms
        self.loss: Loss | OwnTerms = loss or OwnTerms()
        self.normalize_advantage, self.max_grad_norm = normalize_advantage, max_grad_norm
        self.gamma, self.gae_lambda = gamma, gae_lambda
        self.n_actions, self.target_kl, self.kl_stop = n_actions, target_kl, kl_stop
        self.env_id, self.seed, self.trainer, self.autoreset = env_id, seed, trainer, autoreset
        self._test = self_test
        self._gradient: NDArray[Any] | None = None
        self._hook = optimizer.register_step_pre_hook(self._first_gradient) if self_test else None
        self._rebuild = rebuild
        self._recipe = None if rebuild is None else recipe_by(rebuild, arguments or {})
        self._optimizer = optimizer_recipe(optimizer)
        self._recording = Recording(path, keep, quiet)
        self._recording.most_epochs = n_epochs
        self._names = names_from(names)
        self._spaces: tuple[Space, Space] | None = None
        self._steps: tuple[int, int] | None = None
        self._episodes, self._measured = Episodes(), MeasuredUpdates(agent, evaluate)

    def round(
        self,
        *,
        observation: Any,
        action: Any,
        log_prob: Any,
        value: Any,
        advantage: Any,
        returns: Any,
        reward: Any,
        starts: Any,
        n_envs: int,
        truncated: Any = None,
        loss: Loss | None = None,
        **extra: Any,
    ) -> None:
        """A round, collected and not yet trained on. Columns are (T, E, ...) or (T * E, ...) step by step, E environments.

        What is one number a record may have a last axis of its own, (T, E, 1).

        Args:
            observation: as `evaluate` takes it; a dict of columns where it has parts.
            action: (..., ) whole numbers or (..., d) numbers.
            log_prob: at collection.
            value: at collection.
            advantage: not normalised.
            returns: what the value is trained towards.
            reward: raw.
            starts: whether an episode begins at the step, see `autoreset`; what is called `dones[t]` in single-file loops.
            n_envs: E.
            truncated: whether the episode was cut off by its time limit at the step; without it every end counts as terminal.
            loss: in force in this round, where it changes; of a loop with `terms` a column says what changes.
            extra: further columns of numbers.

        Raises:
            BadInputError: a column has another length, or is not as in the first round; there are terms beside the loss; or an
                earlier round was not committed. Nothing of the round is recorded, and the one before it is whole.
        """
        if loss is not None and self.terms is not None:
            raise BadInputError("this loop has terms= of its own; give what changes as a further column, not as loss=")
        begins_with = self._state()
        self._commit(begins_with)
        self._recording.led_to(begins_with)
        n = int(np.prod(np.shape(array(log_prob))))
        if n_envs < 1 or n % n_envs:
            raise BadInputError(f"{n} records are no whole steps of {n_envs} environments")
        if self._steps not in (None, (n // n_envs, n_envs)):
            raise BadInputError(
                f"this round has {n // n_envs} steps of {n_envs} environments, and the first one had {self._steps[0]} of "
                f"{self._steps[1]}; the rounds of a run are of one size"
            )
        columns = {"log_prob": log_prob, "value": value, "advantage": advantage, "returns": returns, "reward": reward}
        flat: dict[str, Any] = {name: numbers(name, given, n).astype(np.float32) for name, given in columns.items()}
        further = {name: numbers(name, given, n).astype(np.float64) for name, given in extra.items()}
        begins = numbers("starts", starts, n).astype(bool).reshape(-1, n_envs)
        cut = np.zeros(n, bool) if truncated is None else numbers("truncated", truncated, n).astype(bool)
        seen, taken = parts(observation, n), column("action", action, n)
        discrete = taken.dtype.kind in "iu" and taken.ndim == 1
        taken = taken.astype(np.int64) if discrete else taken.reshape(n, -1).astype(np.float32)
        spaces = spaces_of(seen, taken, self.n_actions, self._spaces, self._names)
        ends = np.vstack([begins[1:], np.zeros((1, n_envs), bool)]).ravel()
        t, env = (index.ravel() for index in np.indices((n // n_envs, n_envs)))
        phantom = begins.ravel() & (self.autoreset == "next_step")
        buffer = RecordedBuffer(
            env=env.astype(np.int16),
            t=t.astype(np.int32),
            episode=self._episodes.numbers(begins).ravel(),
            observation=seen,
            action=taken,
            terminated=ends & ~cut,
            truncated=ends & cut,
            kept=np.ones(n, bool),
            critic_kept=np.ones(n, bool),
            repaired=np.zeros(n, bool),
            valid=~phantom if phantom.any() else None,
            extra=further,
            **flat,
        )
        metrics = self._episodes.metrics(buffer, np.zeros(n_envs, bool))
        config = self._config(n // n_envs, n_envs)
        snapshot = RecordedSnapshot(
            round=self._recording.round,
            config=config,
            in_force={
                "config": {
                    "learning_rate": config.learning_rate,
                    **({} if self.target_kl is None else {"kl_stop": self.kl_stop}),
                },
                "learning_rate": float(self.optimizer.param_groups[0]["lr"]),
                "threads": torch.get_num_threads(),
                "loss": (loss or self.loss).to_json(),
            },
            settings=self._settings().to_json(),
            observation_space=spaces[0],
            action_space=spaces[1],
            environment=EnvironmentSpec(self.env_id),
            buffer=buffer,
            checkpoint=begins_with,
            minibatches=np.zeros((0, n), np.int32),
            fingerprint=recorded_fingerprint(),
            metrics=metrics,
        )
        self._recording.collected(snapshot)
        self._steps, self._spaces = (n // n_envs, n_envs), spaces

    def minibatch(self, indices: Any) -> None:
        """The records that the next step takes: positions in the round's columns, step by step.

        Raises:
            BadInputError: there is no round, or a position is out of range.
        """
        pending = self._recording.pending
        if pending is None:
            raise BadInputError("minibatch comes after round; no round is being trained on")
        records, n = np.asarray(array(indices)).ravel(), len(pending.buffer)
        if records.dtype.kind not in "iu" or len(records) == 0 or records.min() < 0 or records.max() >= n:
            raise BadInputError(f"a minibatch must name records from 0 to {n - 1}")
        self._recording.minibatch(records)

    def close(self) -> None:
        """Commit the last round and the parameters after it; a second call does nothing."""
        try:
            last = self._state()
            self._commit(last)
        except BaseException:
            self._recording.close()
            raise
        self._recording.finish(last)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if kind is None:
            self.close()
        else:  # the update that was going on is no round's
            self._recording.close()

    def _commit(self, after: Mapping[str, NDArray[Any]]) -> None:
        recording = self._recording
        if recording.pending is None or recording.failed:
            return
        with recording.ends_on_error():
            found: dict[str, Any] = {"steps": len(recording.steps), "update_seconds": recording.seconds}
            whole, why = recording.whole()
            if recording.writer is None:
                recording.begin(self._manifest(whole))
            if self._test and whole.round == 0:
                found["self_test"] = self._untested(why) if why else self._tested(whole, after)
            recording.updated({**found, **self._measured.metrics(whole, after)})

    def _untested(self, why: str) -> str:
        warnings.warn(f"{self._recording.path}: the first round can't be replayed: {why}", stacklevel=4)
        return f"not made: {why}"

    def _tested(self, whole: RecordedSnapshot, after: Mapping[str, NDArray[Any]]) -> str:
        """What replaying the first round says; a difference is warned of."""
        try:
            fresh = self._another()
        except NotCopiedError as error:
            return f"not made: {error}"
        said = compare(whole, fresh, self._optimizer, after, self._gradient)
        if said:
            warnings.warn(f"{self._recording.path}: {said}", stacklevel=4)
        return said or "equal bit for bit"

    def _another(self) -> Callable[[], RecordedPolicy]:
        """How another policy of the same make is had: as a reader of the run makes it, else as a copy of the live agent.

        Raises:
            NotCopiedError: there is none.
        """
        rebuild, recipe = self._rebuild, self._recipe
        if rebuild is not None and recipe is not None:
            return lambda: made_by(rebuild, made(recipe.arguments))
        return partial(RecordedPolicy, copied(self.agent), self.evaluate, self.terms)

    def _first_gradient(self, *_: Any) -> None:
        """Keep the gradient of the first step of all, and look no longer."""
        if self._recording.pending is None or self._hook is None:
            return
        self._hook.remove()
        own = trained(self.agent).values()
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in own]
        self._gradient = torch.cat([part.detach().ravel() for part in parts]).cpu().numpy()

    def _state(self) -> dict[str, NDArray[Any]]:
        return state_of(self.agent, self.optimizer) | {TORCH_GENERATOR: torch.get_rng_state().numpy().copy()}

    def _config(self, n_steps: int, n_envs: int) -> RoundConfig:
        loss = self.loss if isinstance(self.loss, Loss) else Loss(vf_coef=1.0)  # own terms have their weights in them
        return RoundConfig(
            env_id=self.env_id,
            seed=self.seed,
            rounds=max(20, self._recording.round + 1),
            n_envs=n_envs,
            n_steps=n_steps,
            batch_size=n_steps * n_envs,
            n_epochs=self._recording.most_epochs or 1,
            learning_rate=max(float(self.optimizer.param_groups[0]["lr"]), SMALLEST),
            optimizer=optimizer_name(self.optimizer),
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
            clip_range=loss.clip or 0.2,
            normalize_advantage=self.normalize_advantage,
            ent_coef=loss.ent_coef,
            vf_coef=loss.vf_coef,
            max_grad_norm=float("inf") if self.max_grad_norm is None else self.max_grad_norm,
            target_kl=self.target_kl,
            kl_stop=self.kl_stop,
            path="torch",
        )

    def _settings(self) -> RecordedSettings:
        why = "" if self._recipe else "the recorder was given no rebuild function, by which the policy is made again"
        if not self._optimizer:
            why = why or "the optimizer's settings can't be kept"
        return RecordedSettings(
            trainer=Trainer(name=self.trainer, versions={"torch": version("torch")}),
            policy=self._recipe,
            capabilities=Capabilities(influence=why, replay=why),
            optimizer=self._optimizer,
        )

    def _manifest(self, first: RecordedSnapshot) -> RunManifest:
        """What `run.json` says, once the first round shows how the loop draws its minibatches."""
        return RunManifest(
            env_id=self.env_id,
            config=replace(first.config, n_epochs=self._recording.most_epochs or first.config.n_epochs),
            encoder=first.observation_space.encoder,
            observation_space=first.observation_space,
            action_space=first.action_space,
            kind="recorded",
            settings=first.settings,
            environment=first.environment,
            fingerprint=recorded_fingerprint(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )

"""A language model's training in memory, between two rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.core.checkpoint import (
    Tensors,
    fingerprint,
    learner_tensors,
    one_thread,
    restore_rng,
    rng_tensors,
    same_machine,
)
from engine.core.objective import draw_minibatches, explained_variance, make_optimizer
from engine.errors import BadInputError
from engine.kinds.control.rollout import BadNumberError
from engine.kinds.language.advantages import next_kl_coef, totals
from engine.kinds.language.collect import Scene
from engine.kinds.language.dependencies import transformers
from engine.kinds.language.models import (
    Reference,
    check_tokenizer,
    describe_model,
    hashes,
    load_policy,
    model_source,
    recorded_tokenizer,
)
from engine.kinds.language.policy import LanguagePolicy
from engine.kinds.language.prompts import Prompts, make_prompts
from engine.kinds.language.replay import Replayed
from engine.kinds.language.rewards import RewardModel, make_reward
from engine.kinds.language.sequences import LanguageSnapshot, SequenceBuffer
from engine.kinds.language.update import update
from engine.spaces import Space
from engine.store.manifest import Parent, RunManifest
from engine.store.snapshot import Snapshot

GENERATORS = ("prompts", "sampling", "validation", "flips", "minibatches")
"""The random generators of a run: each has one purpose, so that none disturbs another."""


@dataclass
class LanguageLearner:
    """Policy, optimizer and all that collects the next round."""

    scene: Scene
    prompts: Prompts
    policy: LanguagePolicy
    optimizer: torch.optim.Optimizer
    generators: dict[str, np.random.Generator]
    kl_coef: float
    round: int
    """The next round to collect."""
    path: Path
    """The run's folder."""
    validation: SequenceBuffer | None = None
    """Where it is fixed: the responses before the first round."""
    named_here: bool = False
    """Whether the person at the keyboard named the models, see `LanguageSnapshot.named_here`."""

    @classmethod
    def begin(
        cls, config: TrainConfig, language: LanguageConfig, path: Path, reward_model: RewardModel | None = None
    ) -> LanguageLearner:
        """Round 0: everything from `config.seed` and the models that are named.

        Raises:
            BadInputError: a model, the tokenizer or the prompts can't be used.
        """
        check_settings(config, language)
        prompts = make_prompts(language, config.seed)
        policy, tokenizer = load_policy(config, language, model_source(language))
        scene = Scene(config, language, tokenizer, reward_model or make_reward(language), Reference(policy, language))
        generators = {name: np.random.default_rng([config.seed, i]) for i, name in enumerate(GENERATORS, 10)}
        optimizer = make_optimizer(policy, config)
        return cls(scene, prompts, policy, optimizer, generators, language.kl_coef, 0, path, named_here=True)

    @classmethod
    def after(cls, replayed: Replayed, path: Path, reward_model: RewardModel | None = None) -> LanguageLearner:
        """As it stood after a round's update.

        Args:
            replayed: that update.
            path: folder of the run that goes on.
            reward_model: in the place of the one that the settings name.

        Raises:
            BadInputError: a model can't be loaded any more, or the reference is another one now.
        """
        snapshot = replayed.snapshot
        config, language, home = snapshot.config, snapshot.language, snapshot.path or path
        received = not snapshot.named_here
        reference = Reference(replayed.policy, language, received)
        tokenizer = recorded_tokenizer(home)
        check_tokenizer(tokenizer, replayed.policy.model, home / "model")
        scene = Scene(config, language, tokenizer, reward_model or make_reward(language, received), reference)
        scene.check_reference(snapshot.buffer)
        return cls(
            scene,
            make_prompts(language, config.seed),
            replayed.policy,
            replayed.optimizer,
            {name: restore_rng(snapshot.checkpoint, name) for name in GENERATORS},
            _kl_coef_after(snapshot),
            snapshot.round + 1,
            path,
            snapshot.validation if language.validation == "fixed" else None,
            snapshot.named_here,
        )

    def reseed(self, rng: np.random.Generator) -> None:
        """From here on collect with luck drawn from `rng`."""
        self.generators = dict(zip(GENERATORS, rng.spawn(len(GENERATORS)), strict=True))

    @cached_property
    def model(self) -> dict[str, bytes]:
        """The files of the run's folder `model`, by name."""
        return describe_model(self.policy, self.scene.tokenizer)

    def manifest(self) -> RunManifest:
        """What `run.json` says of this run."""
        config = self.scene.config
        vocabulary = Space("discrete", n=len(self.scene.tokenizer))
        return RunManifest(
            env_id=config.env_id,
            config=config,
            encoder="tokens",
            observation_space=vocabulary,
            action_space=vocabulary,
            language=self.scene.language,
            model=hashes(self.model),
            **origins(),
        )

    def state(self) -> Tensors:
        """The checkpoint at this point."""
        return _tensors(self.policy, self.optimizer, self.generators, self.kl_coef)

    def collect(self) -> LanguageSnapshot:
        """Collect the next round; the learner then waits for `update`.

        Raises:
            BadInputError: a prompt is too long.
            BadNumberError: a reward is NaN, or the model's numbers are.
        """
        start = time.perf_counter()
        config, language, scene = self.scene.config, self.scene.language, self.scene
        try:
            prompts = self.prompts.draw(self.generators["prompts"], config.n_steps // language.group_size)
            buffer = scene.respond(self.policy, prompts, self.generators["sampling"], self.generators["flips"])
            buffer = scene.judged(buffer, self.kl_coef)
            validation = self._validate()
        except BadNumberError as error:
            raise BadNumberError(f"{error} in round {self.round}; earlier rounds are intact") from None
        minibatches = draw_minibatches(self.generators["minibatches"], len(buffer), config.n_epochs)
        metrics = {**round_metrics(buffer, self.kl_coef), **_validation_metrics(validation)}
        return LanguageSnapshot(
            round=self.round,
            config=config,
            language=language,
            buffer=buffer,
            validation=validation,
            checkpoint=self.state(),
            minibatches=minibatches,
            fingerprint=language_fingerprint(),
            metrics=metrics | {"collect_seconds": time.perf_counter() - start},
            path=self.path,
            named_here=self.named_here,
        )

    def update(self, snapshot: LanguageSnapshot, on_step: Callable[[], None] | None = None) -> dict[str, Any]:
        """Update on the collected round; returns the update's metrics.

        Raises:
            BadNumberError: a parameter is no longer finite.
        """
        start = time.perf_counter()
        config, language = snapshot.config, snapshot.language
        metrics = update(
            self.policy, self.optimizer, snapshot.buffer, snapshot.minibatches, config, language, on_step=on_step
        )
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.policy.parameters()):
            raise BadNumberError(
                f"the update of round {snapshot.round} made parameters NaN or infinite; earlier rounds are intact. "
                f"Train with a smaller learning_rate than {config.learning_rate:g}"
            )
        self.kl_coef = _kl_coef_after(snapshot)
        self.round += 1
        return {**asdict(metrics), "update_seconds": time.perf_counter() - start}

    def _validate(self) -> SequenceBuffer | None:
        """The responses to the held-out prompts; their rewards are never flipped."""
        if not self.prompts.held_out or self.validation is not None:
            return self.validation
        found = self.scene.respond(self.policy, self.prompts.held_out, self.generators["validation"], None)
        found = self.scene.judged(found, self.kl_coef)
        if self.scene.language.validation == "fixed":
            self.validation = found
        return found


def origins(parent: Parent | None = None) -> dict[str, Any]:
    """Fields of a manifest: where a run comes from."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"fingerprint": language_fingerprint(), "parent": parent, "created": now}


def state_after(replayed: Replayed) -> Tensors:
    """The checkpoint after a round's update."""
    snapshot = replayed.snapshot
    generators = {name: restore_rng(snapshot.checkpoint, name) for name in GENERATORS}
    return _tensors(replayed.policy, replayed.optimizer, generators, _kl_coef_after(snapshot))


def _tensors(
    policy: LanguagePolicy,
    optimizer: torch.optim.Optimizer,
    generators: Mapping[str, np.random.Generator],
    kl_coef: float,
) -> Tensors:
    coefficient = {"kl/coefficient": np.asarray(kl_coef, np.float64)}
    return {**learner_tensors(policy, optimizer), **rng_tensors(generators), **coefficient}


def _kl_coef_after(snapshot: LanguageSnapshot) -> float:
    """The next round's coefficient."""
    now, buffer = float(snapshot.checkpoint["kl/coefficient"]), snapshot.buffer
    return next_kl_coef(now, mean_kl(buffer), len(buffer), snapshot.language)


def check_settings(config: TrainConfig, language: LanguageConfig) -> None:
    """Refuse settings that don't go together.

    Raises:
        BadInputError: names the setting.
    """
    if config.n_envs != 1 or config.n_steps % language.group_size:
        raise BadInputError(
            f"a round has n_steps * n_envs = {config.records_per_round} sequences; n_envs must be 1, and n_steps a multiple of "
            f"group_size ({language.group_size})"
        )
    if config.path != "torch":
        raise BadInputError(f"path is {config.path}; language models need torch")
    if language.flip and language.reward != "courtesy":
        raise BadInputError("flip plants faults in the rewards of the demonstration courtesy alone; leave it 0")


def round_metrics(buffer: SequenceBuffer, kl_coef: float) -> dict[str, Any]:
    """What a round's commit says of its sequences."""
    spoken = buffer.mask
    return {
        "records": len(buffer),
        "episodes": len(buffer),
        "mean_return": float(buffer.reward.mean()),
        "std_return": float(buffer.reward.std()),
        "mean_length": float(spoken.sum() / len(buffer)),
        "mean_kl": mean_kl(buffer),
        "kl_coef": kl_coef,
        "mean_penalized": float(totals(buffer).mean()),
        "truncated": float(buffer.truncated.mean()),
        "explained_variance": explained_variance(buffer.value[spoken], buffer.returns[spoken]),
        **{f"reward/{name}": float(part.mean()) for name, part in buffer.reward_parts.items()},
    }


def mean_kl(buffer: SequenceBuffer) -> float:
    """Mean over the records of the KL to the reference, summed over a record's tokens."""
    return float(buffer.kl.sum(dtype=np.float64) / len(buffer))


def _validation_metrics(validation: SequenceBuffer | None) -> dict[str, Any]:
    return {} if validation is None else {"validation_reward": float(validation.reward.mean())}


def recorded_here(snapshot: Snapshot) -> bool:
    """Whether replays of a round of any kind have the recorded bits here; False as well where the extra is missing."""
    if not isinstance(snapshot, LanguageSnapshot):
        return same_machine(snapshot.fingerprint)
    try:
        return same_language_machine(snapshot.fingerprint)
    except BadInputError:  # the extra is not installed
        return False


def same_language_machine(recorded: Mapping[str, str]) -> bool:
    """Whether a replay here has the recorded bits. On another machine it agrees to rounding."""
    one_thread()
    return dict(recorded) == language_fingerprint()


def language_fingerprint() -> dict[str, str]:
    """Software and hardware that replay's bits depend on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {**fingerprint(), "transformers": transformers().__version__, "device": gpu}

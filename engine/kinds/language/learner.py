"""A language model's training in memory, between two rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    restore_rng,
    rng_tensors,
)
from engine.core.learner import Learner
from engine.core.objective import draw_minibatches, explained_variance, make_optimizer
from engine.errors import BadInputError, BadNumberError
from engine.kinds.language.advantages import next_kl_coef, totals
from engine.kinds.language.agent import LanguageAgent
from engine.kinds.language.collect import RolloutContext
from engine.kinds.language.dependencies import transformers
from engine.kinds.language.flips import FlippedRewards
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
from engine.kinds.language.reward_model import RewardModel
from engine.kinds.language.rewards import make_reward
from engine.kinds.language.sequences import LanguageSnapshot, SequenceBuffer
from engine.named_worlds import is_world
from engine.named_worlds import names as worlds
from engine.spaces import Space
from engine.store.manifest import KIND_VERSION, Parent, RunManifest
from engine.store.read import Run, open_run

GENERATORS = ("prompts", "sampling", "validation", "flips", "minibatches")
"""The random generators that a run may have, seeded by their places here: each has one purpose, so that none disturbs another."""


def drawn_from(language: LanguageConfig) -> tuple[str, ...]:
    """The generators that a run has and saves: `flips` only where rewards are flipped."""
    return tuple(name for name in GENERATORS if name != "flips" or language.flip)


@dataclass
class LanguageLearner(Learner[LanguageSnapshot]):
    """Policy, optimizer and all that collects the next round."""

    config: TrainConfig
    language: LanguageConfig
    agent: LanguageAgent
    generators: dict[str, np.random.Generator]
    kl_coef: float
    round: int
    """The next round to collect."""
    path: Path
    """The run's folder."""
    context: RolloutContext | None
    """None where nothing more is to be collected."""
    prompts: Prompts | None
    origin: Run | None = None
    """The recorded run that it goes on from; None where it began."""
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
        context = RolloutContext(
            config, language, tokenizer, reward_model or make_reward(language), Reference(policy, language)
        )
        seeded = {name: np.random.default_rng([config.seed, i]) for i, name in enumerate(GENERATORS, 10)}
        generators = {name: seeded[name] for name in drawn_from(language)}
        agent = LanguageAgent(config, language, policy, make_optimizer(policy, config))
        return cls(config, language, agent, generators, language.kl_coef, 0, path, context, prompts, named_here=True)

    @classmethod
    def after(
        cls,
        snapshot: LanguageSnapshot,
        agent: LanguageAgent,
        path: Path,
        reward_model: RewardModel | None = None,
        *,
        collects: bool = True,
    ) -> LanguageLearner:
        """As it stood after a round's update.

        Args:
            snapshot: the round, of a recorded run.
            agent: after its update.
            path: folder of the run that goes on.
            reward_model: in the place of the one that the settings name.
            collects: whether more is to be collected, for which the other models are loaded.

        Raises:
            BadInputError: a model can't be loaded any more, or the reference is another one now.
        """
        if snapshot.path is None:
            raise BadInputError("a snapshot that is not from a run can't be gone on from")
        language = snapshot.language
        return cls(
            snapshot.config,
            language,
            agent,
            {name: restore_rng(snapshot.checkpoint, name) for name in drawn_from(language)},
            _kl_coef_after(snapshot),
            snapshot.round + 1,
            path,
            _context_after(snapshot, agent, reward_model) if collects else None,
            make_prompts(language, snapshot.config.seed) if collects else None,
            open_run(snapshot.path),
            snapshot.validation if language.validation == "fixed" else None,
            snapshot.named_here,
        )

    def reseed(self, rng: np.random.Generator) -> None:
        """From here on collect with luck drawn from `rng`."""
        spawned = dict(zip(GENERATORS, rng.spawn(len(GENERATORS)), strict=True))
        self.generators = {name: spawned[name] for name in self.generators}

    def respond(self, prompts: Sequence[str], rng: np.random.Generator) -> SequenceBuffer:
        """Responses of the present policy, scored without planted faults."""
        return self._context.respond(self.agent.policy, prompts, rng)

    def player(self) -> LanguagePolicy:
        """The present policy."""
        return self.agent.policy

    @cached_property
    def model(self) -> Mapping[str, bytes]:
        """The files of the run's folder `model`, by name."""
        if self.origin is not None:
            return self.origin.model_files()
        return describe_model(self.agent.policy, self._context.tokenizer)

    def manifest(self, parent: Parent | None = None) -> RunManifest:
        """What `run.json` says of this run."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        origin: dict[str, Any] = {"fingerprint": language_fingerprint(), "parent": parent, "created": now}
        if self.origin is not None:
            return replace(self.origin.manifest, **origin, config=self.config)
        vocabulary = Space("discrete", n=len(self._context.tokenizer))
        return RunManifest(
            env_id=self.config.env_id,
            config=self.config,
            encoder="tokens",
            observation_space=vocabulary,
            action_space=vocabulary,
            schema_version=KIND_VERSION,
            language=self.language,
            model=hashes(self.model),
            **origin,
        )

    @property
    def _context(self) -> RolloutContext:
        if self.context is None:
            raise RuntimeError("this learner was restored without what collects")
        return self.context

    def state(self) -> Tensors:
        """The checkpoint at this point."""
        coefficient = {"kl/coefficient": np.asarray(self.kl_coef, np.float64)}
        return {**self.agent.tensors(), **rng_tensors(self.generators), **coefficient}

    def collect(self) -> LanguageSnapshot:
        """Collect the next round; the learner then waits for `update`.

        Raises:
            BadInputError: a prompt is too long.
            BadNumberError: a reward is NaN, or the model's numbers are.
        """
        start = time.perf_counter()
        config, language, context = self.config, self.language, self._context
        try:
            prompts = self._prompts.draw(self.generators["prompts"], config.n_steps // language.group_size)
            buffer = context.respond(self.agent.policy, prompts, self.generators["sampling"], self._training_rewards())
            buffer = context.judged(buffer, self.kl_coef)
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
        """Update on the collected round; the coefficient of the KL penalty follows."""
        metrics = super().update(snapshot, on_step)
        self.kl_coef = _kl_coef_after(snapshot)
        return metrics

    def _training_rewards(self) -> RewardModel:
        """What scores the responses that are trained on: the reward model, with the faults that the settings plant."""
        reward, share = self._context.reward_model, self.language.flip
        return FlippedRewards(reward, share, self.generators["flips"]) if share else reward

    def _validate(self) -> SequenceBuffer | None:
        """The responses to the held-out prompts; their rewards are never flipped."""
        if not self._prompts.held_out or self.validation is not None:
            return self.validation
        found = self._context.respond(self.agent.policy, self._prompts.held_out, self.generators["validation"])
        found = self._context.judged(found, self.kl_coef)
        if self.language.validation == "fixed":
            self.validation = found
        return found

    @property
    def _prompts(self) -> Prompts:
        if self.prompts is None:
            raise RuntimeError("this learner was restored without what collects")
        return self.prompts


def _context_after(
    snapshot: LanguageSnapshot, agent: LanguageAgent, reward_model: RewardModel | None
) -> RolloutContext:
    """What collects after a recorded round. Errors as `LanguageLearner.after`."""
    language, home, received = snapshot.language, snapshot.path or Path(), not snapshot.named_here
    reference = Reference(agent.policy, language, received)
    tokenizer = recorded_tokenizer(home)
    check_tokenizer(tokenizer, agent.policy.model, home / "model")
    context = RolloutContext(
        snapshot.config, language, tokenizer, reward_model or make_reward(language, received), reference
    )
    context.check_reference(snapshot.buffer)
    return context


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
    if language.flip and not is_world(language.reward):
        raise BadInputError(f"flip plants faults in the rewards of {' or '.join(worlds())} alone; leave it 0")


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


def language_fingerprint() -> dict[str, str]:
    """Software and hardware that replay's bits depend on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {**fingerprint(), "transformers": transformers().__version__, "device": gpu}

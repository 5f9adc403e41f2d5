"""Language models as a kind of run: a record is a sequence, a prompt and the response to it; PPO or GRPO on their tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.advantage_steps import Trajectories
from engine.core.checkpoint import restore_optimizer
from engine.core.effort import Effort
from engine.core.estimators.registry import ESTIMATORS
from engine.core.features import Feature
from engine.core.filtering import Filtered
from engine.core.gradients.attribution import Attribution
from engine.core.gradients.inner_products import Direction
from engine.core.kind import Given, Kind, Words
from engine.core.objective import Batch
from engine.core.stated_advantages import StatedAdvantages
from engine.core.targets.functions import LogProbTarget, Target
from engine.core.targets.question import TargetName
from engine.errors import BadInputError
from engine.kinds.language.advantages import (
    NO_VALUES,
    group_rules,
    no_signal,
    regrouped,
    token_trajectories,
    with_other_advantages,
)
from engine.kinds.language.agent import LanguageAgent
from engine.kinds.language.credits import TokenDerivatives, at_theta_k
from engine.kinds.language.evaluation import Answers
from engine.kinds.language.features import features
from engine.kinds.language.filtering import make_filter
from engine.kinds.language.learner import LanguageLearner, check_settings, language_fingerprint
from engine.kinds.language.models import check_base, log_probs, restore_policy
from engine.kinds.language.objective import TokenObjective
from engine.kinds.language.policy import LanguagePolicy
from engine.kinds.language.presets import LanguageSettings
from engine.kinds.language.removals import random_sequences, sequence_removals
from engine.kinds.language.rewards import unrewarded
from engine.kinds.language.sequences import LanguageSnapshot, SequenceBuffer
from engine.kinds.language.targets import TokenTarget, named_target, return_target
from engine.kinds.language.update import batch_of, compared, normalizer_of
from engine.store.snapshot import Float32s

UNKNOWN_SECONDS = 60.0
"""What an update is taken to take where it was not recorded."""
BY_LAYER = 3.0
"""Times as long a split by layer takes, roughly."""


class LanguageKind(Kind):
    """What is different from the contract's defaults: tokens, GRPO's groups, and responses in the place of episodes."""

    name = "language"
    words = Words("sequences", "responses", "reward", "responses to held-out prompts")
    default_target = "sequence"
    effort = Effort(subsets=32, orders=4, pairs=128)
    takes = ("reward_model",)
    has_texts = True
    no_rollouts = "rollouts are played in an environment, and a response is written in none"

    def policy(self, snapshot: LanguageSnapshot) -> LanguagePolicy:
        """The causal language model."""
        return restore_policy(snapshot)

    def agent(self, snapshot: LanguageSnapshot) -> LanguageAgent:
        """With its optimizer."""
        policy = restore_policy(snapshot)
        optimizer = restore_optimizer(policy, snapshot.config, snapshot.checkpoint)
        return LanguageAgent(snapshot.config, snapshot.language, policy, optimizer)

    def batch(self, snapshot: LanguageSnapshot, policy: Any) -> Batch:
        """The sequences' tokens, padded."""
        return batch_of(policy, snapshot.buffer)

    def log_probs(self, snapshot: LanguageSnapshot) -> tuple[Float32s, Float32s]:
        """Of the responses' tokens."""
        return log_probs(restore_policy(snapshot), snapshot.buffer, snapshot.language)

    def log_probs_by(self, policy: Any, snapshot: LanguageSnapshot) -> Float32s:
        """One a token of a response."""
        return log_probs(policy, snapshot.buffer, snapshot.language)[0]

    def advantages(self, snapshot: LanguageSnapshot) -> Float32s:
        """One a token of a response."""
        return snapshot.buffer.advantage[snapshot.buffer.mask]

    def near_log_prob(self, snapshot: LanguageSnapshot) -> float:
        """bfloat16 rounds more coarsely."""
        return 0.1 if snapshot.language.precision == "bfloat16" else super().near_log_prob(snapshot)

    def trajectories(self, snapshot: LanguageSnapshot) -> Trajectories:
        """Of the tokens of PPO's responses."""
        if snapshot.language.algorithm == "grpo":
            raise BadInputError(NO_VALUES)
        return token_trajectories(snapshot.buffer)

    def with_advantages(
        self, snapshot: LanguageSnapshot, advantage: Float32s, **columns: NDArray[Any]
    ) -> LanguageSnapshot:
        """Of tokens."""
        return with_other_advantages(snapshot, advantage, **columns)

    def stated_advantages(self, snapshot: LanguageSnapshot) -> StatedAdvantages | None:
        """Of the tokens of GRPO's responses."""
        return group_rules(snapshot.buffer, snapshot.language) if snapshot.language.algorithm == "grpo" else None

    def objective(self, snapshot: LanguageSnapshot) -> TokenObjective:
        """Tokens are averaged as the algorithm says."""
        groups = compared(snapshot.buffer, snapshot.language) if snapshot.language.algorithm == "grpo" else None
        language = snapshot.language
        return TokenObjective(snapshot.config, normalizer_of(language), language.max_new_tokens, groups)

    def derivatives(self, snapshot: LanguageSnapshot) -> TokenDerivatives:
        """Which know what each token is credited with."""
        return TokenDerivatives(restore_policy(snapshot), snapshot, self.objective(snapshot))

    def credit(
        self, snapshot: LanguageSnapshot, policy: Any, direction: Direction, by_layer: bool = False
    ) -> Attribution:
        """By token, and in GRPO through the advantages of the others in the group."""
        return at_theta_k(snapshot, policy, direction, by_layer)

    def seconds_an_order(self, snapshot: LanguageSnapshot, estimator: str, by_layer: bool = False) -> float:
        """From what the update took; unknown: as if it took long."""
        update = float(snapshot.metrics.get("update_seconds") or UNKNOWN_SECONDS)
        return update * ESTIMATORS[estimator].cost(snapshot.config) * (BY_LAYER if by_layer else 1)

    def target(self, snapshot: LanguageSnapshot, name: TargetName) -> TokenTarget:
        """`sequence`, `return` or `action`."""
        return named_target(snapshot, name)

    def return_target(self, snapshot: LanguageSnapshot, reference: SequenceBuffer | None = None) -> TokenTarget:
        """Over sequences."""
        return return_target(snapshot, reference)

    def check_target(self, snapshot: LanguageSnapshot, target: Target) -> None:
        """States and actions are nothing that a language model knows."""
        super().check_target(snapshot, target)
        if isinstance(target, LogProbTarget):
            raise BadInputError(
                f"this {target.name} target is over states and actions, and round {snapshot.round} has sequences of tokens; "
                "make the target of this round"
            )

    def check_loadable(self, snapshot: LanguageSnapshot) -> None:
        """Of adapters the base model is not in the run."""
        check_base(snapshot.language, snapshot.named_here)

    def removed(self, snapshot: LanguageSnapshot, drop: Any, *, actor_only: bool = False) -> LanguageSnapshot:
        """In GRPO the others of a group are compared as if these had never been sampled."""
        return regrouped(snapshot.without(drop, actor_only=actor_only))

    def random_removals(self, snapshot: LanguageSnapshot, fraction: float, m: int, seed: int) -> NDArray[np.bool_]:
        """Of a GRPO round the same share of each group."""
        return sequence_removals(snapshot, fraction, m, seed)

    def control(self, snapshot: LanguageSnapshot, removed: Any, order: int = 0) -> NDArray[np.int64]:
        """Of no group all."""
        return random_sequences(snapshot, removed, order)

    def no_signal(self, snapshot: LanguageSnapshot) -> NDArray[np.bool_]:
        """GRPO: those of groups whose rewards are all equal."""
        return no_signal(snapshot)

    def columns(self, snapshot: LanguageSnapshot, records: Sequence[int]) -> dict[str, list[Any]]:
        """What was said, and what it was worth."""
        buffer = snapshot.buffer
        return {
            "reward": [float(buffer.reward[i]) for i in records],
            "response": [shortened(buffer.response[i]) for i in records],
        }

    def features(self, snapshot: LanguageSnapshot) -> Iterator[Feature]:
        """Lengths, rewards, what the policy thought of the tokens, and the place in the round."""
        return features(snapshot)

    def groups(self, snapshot: LanguageSnapshot) -> tuple[str, NDArray[Any]]:
        """The responses to a prompt."""
        return "prompt", snapshot.buffer.group

    def unjudged(self, snapshot: LanguageSnapshot) -> str:
        """Where the reward model that the run names is not here."""
        return unrewarded(snapshot.language, received=not snapshot.named_here)

    def evaluation(self, snapshot: LanguageSnapshot, given: Given) -> Answers:
        """Responses to held-out prompts."""
        return Answers(snapshot, given.get("reward_model"))

    def player(self, snapshot: LanguageSnapshot, agent: Any) -> LanguagePolicy:
        """The policy itself."""
        policy: LanguagePolicy = agent.policy
        return policy

    def settings(self, source: Any) -> LanguageSettings:
        """Both kinds of settings."""
        return LanguageSettings(source.language, source.config)

    def checked(self, settings: LanguageSettings) -> LanguageSettings:
        """As they are."""
        check_settings(settings.config, settings.language)
        return settings

    def own(self, snapshot: LanguageSnapshot) -> LanguageSnapshot:
        """Whose models the person at the keyboard named."""
        return replace(snapshot, named_here=True)

    def begin(self, settings: LanguageSettings, out: Path, given: Given) -> LanguageLearner:
        """From the models that are named."""
        return LanguageLearner.begin(settings.config, settings.language, out, given.get("reward_model"))

    def after(
        self, snapshot: LanguageSnapshot, agent: Any, out: Path, given: Given, *, collects: bool = True
    ) -> LanguageLearner:
        """With the models that the run names, where more is to be collected."""
        return LanguageLearner.after(snapshot, agent, out, given.get("reward_model"), collects=collects)

    def make_filter(self, settings: LanguageSettings) -> Callable[[LanguageSnapshot], Filtered] | None:
        """IIF, its baselines, and where there is a critic re-estimation."""
        if settings.config.repairs and settings.language.algorithm == "grpo":
            raise BadInputError(f"filter is {settings.config.filter}; {NO_VALUES}")
        return make_filter(settings.config)

    def fingerprint(self) -> dict[str, str]:
        """With the versions of the extra."""
        return language_fingerprint()


KIND = LanguageKind()


def shortened(text: str, length: int = 60) -> str:
    """A text on one line, cut off where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"

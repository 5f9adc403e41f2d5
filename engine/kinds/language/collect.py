"""Collect a round of sequences: sample responses, score them, and what the update needs to know of each token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.errors import BadInputError, BadNumberError
from engine.kinds.language.advantages import with_advantages, with_token_rewards
from engine.kinds.language.models import Reference, context_length
from engine.kinds.language.policy import PAD, LanguagePolicy
from engine.kinds.language.prompts import encode_prompts
from engine.kinds.language.reward_model import RewardModel
from engine.kinds.language.rewards import check_rewards
from engine.kinds.language.sampling import Generated, generate, precision
from engine.kinds.language.sequences import SequenceBuffer
from engine.kinds.language.targets import at_once
from engine.kinds.language.token_texts import token_texts
from engine.store.snapshot import Float32s


@dataclass(frozen=True)
class RolloutContext:
    """What stays the same while a language model is trained."""

    config: TrainConfig
    language: LanguageConfig
    tokenizer: Any
    reward_model: RewardModel
    reference: Reference | None
    """None where nothing is collected that an update is to learn from."""

    def respond(
        self,
        policy: LanguagePolicy,
        prompts: Sequence[str],
        rng: np.random.Generator,
        reward_model: RewardModel | None = None,
    ) -> SequenceBuffer:
        """`language.group_size` responses of the policy to each prompt, scored, with their tokens' log-probabilities.

        Args:
            policy: pi_theta(k).
            prompts: texts.
            rng: the luck of sampling.
            reward_model: scores them; by default the context's own.

        Raises:
            BadInputError: a prompt is too long.
            BadNumberError: a reward or a log-probability is not finite.
        """
        size = self.language.group_size
        texts = [prompt for prompt in prompts for _ in range(size)]
        encoded, generated, responses, scores = self._answered(policy, texts, rng, reward_model)
        reward, parts = _parts(scores)
        buffer = _buffer(texts, responses, encoded, generated, size, reward, parts)
        said = token_texts(self.tokenizer, buffer.token, buffer.start)
        return replace(self._evaluated(policy, buffer), text=said)

    def rewards(self, policy: LanguagePolicy, prompts: Sequence[str], rng: np.random.Generator) -> Float32s:
        """(n,) rewards of one response to each prompt. Errors as `respond`."""
        return self._answered(policy, prompts, rng)[-1]["reward"]

    def _answered(
        self,
        policy: LanguagePolicy,
        prompts: Sequence[str],
        rng: np.random.Generator,
        reward_model: RewardModel | None = None,
    ) -> tuple[list[NDArray[np.int32]], list[Generated], list[str], dict[str, Float32s]]:
        """One response to each prompt: the prompt's tokens, the response's, its text, and what it is worth."""
        language = self.language
        encoded = encode_prompts(prompts, self.tokenizer, language.max_new_tokens, context_length(policy.model))
        noise = rng.random((len(encoded), language.max_new_tokens))
        generated = generate(policy, encoded, noise, self.tokenizer.eos_token_id, language)
        responses = [self._text(ids, answer) for ids, answer in zip(encoded, generated, strict=True)]
        scores = (reward_model or self.reward_model).score(prompts, responses)
        check_rewards(scores, len(prompts))
        return encoded, generated, responses, scores

    def judged(self, buffer: SequenceBuffer, kl_coef: float) -> SequenceBuffer:
        """The buffer with token rewards, advantages and returns."""
        return with_advantages(with_token_rewards(buffer, kl_coef), self.config, self.language)

    def check_reference(self, buffer: SequenceBuffer) -> None:
        """Refuse to go on where the reference is not the one that a recorded round was measured against.

        Raises:
            BadInputError: the model that the settings name has other weights now.
        """
        some = buffer.take(np.arange(min(4, len(buffer))))
        reference = self._reference()
        found = self._evaluated(reference.policy, some).reference_log_prob
        if not np.allclose(found, some.reference_log_prob, rtol=1e-2, atol=1e-2):
            raise BadInputError(
                f"the model {self.language.policy} is not the one that this run began with, so the KL penalty would change; "
                "put the old one back"
            )

    def _text(self, prompt: NDArray[np.int32], answer: Generated) -> str:
        """What the response adds to the prompt's text."""
        tokens = answer.tokens if answer.truncated else answer.tokens[:-1]

        def decode(ids: NDArray[np.int32]) -> str:
            return str(self.tokenizer.decode(ids.tolist(), skip_special_tokens=True))

        before, whole = decode(prompt), decode(np.concatenate([prompt, tokens]))
        return whole[len(before) :] if whole.startswith(before) else decode(tokens)

    def _reference(self) -> Reference:
        if self.reference is None:
            raise RuntimeError("nothing can be collected here without a reference")
        return self.reference

    @torch.no_grad()
    def _evaluated(self, policy: LanguagePolicy, buffer: SequenceBuffer) -> SequenceBuffer:
        """The buffer with log-probabilities, entropies and values of its response tokens."""
        frozen = self._reference()
        columns: dict[str, list[Float32s]] = {
            name: [] for name in ("log_prob", "reference_log_prob", "entropy", "value")
        }
        for rows in at_once((len(buffer), int(buffer.lengths.max())), policy):
            part = buffer.take(buffer.record[rows])
            ids, mask = part.padded(part.token, PAD), part.padded(part.mask)
            inputs, action = policy.encode(ids), policy.actions(ids, mask)
            with precision(self.language, policy.device):
                evaluation = policy(inputs, action)
                reference = frozen.log_prob(inputs, action)
            value = torch.zeros_like(evaluation.log_prob) if evaluation.value is None else evaluation.value
            present = np.arange(ids.shape[1]) < part.lengths[:, None]
            for name, found in (
                ("log_prob", evaluation.log_prob),
                ("entropy", evaluation.entropy),
                ("value", value),
                ("reference_log_prob", torch.as_tensor(reference)),
            ):
                shifted = np.pad(found.cpu().numpy().astype(np.float32), ((0, 0), (1, 0)))
                columns[name].append(shifted[present])
        joined: dict[str, Any] = {name: np.concatenate(parts) for name, parts in columns.items()}
        if not all(np.isfinite(column).all() for column in joined.values()):
            raise BadNumberError("the model gave log-probabilities or values that are NaN or infinite")
        return replace(buffer, **joined, kl=joined["log_prob"] - joined["reference_log_prob"])


def _parts(scores: dict[str, Float32s]) -> tuple[Float32s, dict[str, Float32s]]:
    """The reward that training sees, and what it is made of: `model` first, which is the same unless it is told apart."""
    reward = np.asarray(scores["reward"], np.float32)
    others = {name: part.astype(np.float32) for name, part in scores.items() if name != "reward"}
    return reward, {"model": reward} | others


def _buffer(
    texts: list[str],
    responses: list[str],
    prompts: list[NDArray[np.int32]],
    generated: list[Generated],
    size: int,
    reward: Float32s,
    parts: dict[str, Float32s],
) -> SequenceBuffer:
    n = len(texts)
    pairs = list(zip(prompts, generated, strict=True))
    mask = [np.repeat([False, True], [len(ids), len(answer.tokens)]) for ids, answer in pairs]
    start = np.concatenate([[0], np.cumsum([len(row) for row in mask])]).astype(np.int64)
    nothing = np.zeros(start[-1], np.float32)
    return SequenceBuffer(
        prompt=texts,
        response=responses,
        group=(np.arange(n) // size).astype(np.int32),
        reward=reward,
        reward_parts=parts,
        truncated=np.array([answer.truncated for answer in generated]),
        kept=np.ones(n, bool),
        repaired=np.zeros(n, bool),
        start=start,
        token=np.concatenate([np.concatenate([ids, answer.tokens]) for ids, answer in pairs]).astype(np.int32),
        mask=np.concatenate(mask),
        log_prob=nothing,
        reference_log_prob=nothing,
        value=nothing,
        kl=nothing,
        token_reward=nothing,
        advantage=nothing,
        returns=nothing,
        entropy=nothing,
    )

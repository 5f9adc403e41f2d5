"""From rewards to advantages, token by token: the KL penalty, GAE, and what GRPO has in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.core.advantage_steps import Trajectories
from engine.core.gae import gae
from engine.core.stated_advantages import StatedAdvantages
from engine.kinds.language.grpo import EPSILON, group_advantages, without_signal
from engine.kinds.language.objective import Normalizer
from engine.kinds.language.sequences import LanguageSnapshot, SequenceBuffer
from engine.store.snapshot import Float32s

RULES: dict[Normalizer, str] = {
    "grpo": f"reward less its group's mean, divided by the group's standard deviation + {EPSILON:g}",
    "dr_grpo": "reward less its group's mean",
}
"""How GRPO compares the responses to a prompt, in words."""
NO_VALUES = "advantages of GRPO are relative to the responses of a prompt, and follow from no values"
"""Why they can't be put right by a critic."""


def with_token_rewards(buffer: SequenceBuffer, kl_coef: float) -> SequenceBuffer:
    """Each token is rewarded with -kl_coef * kl, and the last one with the response's reward as well.

    kl [.5, 0, -1], reward 2, coefficient .1 -> [-.05, 0, 2.1] (Ziegler et al. 2019, eq. 2).
    """
    reward = np.where(buffer.mask, np.float32(-kl_coef) * buffer.kl, np.float32(0))
    reward[buffer.start[1:] - 1] += buffer.reward
    return replace(buffer, token_reward=reward)


def with_advantages(buffer: SequenceBuffer, config: TrainConfig, language: LanguageConfig) -> SequenceBuffer:
    """Advantages and returns of a buffer that has its token rewards, and for PPO its values."""
    if language.algorithm == "grpo":
        return replace(buffer, advantage=group_relative(buffer, language), returns=np.zeros_like(buffer.value))
    advantage = token_advantages(buffer, gamma=config.gamma, gae_lambda=config.gae_lambda)
    returns = np.where(buffer.mask, advantage + buffer.value, np.float32(0))
    if config.normalize_advantage:
        advantage = whiten(advantage, buffer.mask)
    return replace(buffer, advantage=advantage, returns=returns)


def token_trajectories(buffer: SequenceBuffer) -> Trajectories:
    """The tokens of PPO's responses; their raw advantages are the returns less the values, where these were whitened."""
    last = np.zeros(len(buffer.mask), bool)
    last[buffer.start[1:] - 1] = True
    following = np.where(last, -1, np.arange(len(last)) + 1)
    following[~buffer.mask | ~buffer.mask[following]] = -1
    reward, value = buffer.token_reward, buffer.value
    record = buffer.record_of_token.astype(np.int64)
    return Trajectories(reward, value, buffer.returns - value, following, last & buffer.mask, record)


def with_other_advantages(snapshot: LanguageSnapshot, advantage: Float32s, **columns: Any) -> LanguageSnapshot:
    """A round of PPO with other raw advantages (N,), whitened where the settings say so."""
    mask = snapshot.buffer.mask
    own = whiten(advantage, mask) if snapshot.config.normalize_advantage else np.where(mask, advantage, np.float32(0))
    return snapshot.changed(buffer=replace(snapshot.buffer, advantage=own, **columns))


def estimated(snapshot: LanguageSnapshot, buffer: SequenceBuffer) -> Float32s:
    """(N,) the advantages of some responses to PPO's update as they were before any of these was repaired."""
    if not buffer.repaired.any():
        return buffer.advantage
    raw = np.where(buffer.mask, buffer.returns - buffer.value, np.float32(0))
    return whiten(raw, buffer.mask) if snapshot.config.normalize_advantage else raw


def token_advantages(buffer: SequenceBuffer, *, gamma: float, gae_lambda: float) -> Float32s:
    """(N,) generalised advantage estimation along each response; nothing follows its last token.

    With gamma = lambda = 1 and values 0: token rewards [-.05, 0, 2.1] -> [2.05, 2.1, 2.1].
    """
    reward, value, mask = (buffer.padded(column).T for column in (buffer.token_reward, buffer.value, buffer.mask))
    last = np.zeros_like(mask)
    last[buffer.lengths - 1, buffer.record] = True
    nothing = np.zeros(len(buffer), np.float32)
    advantage = gae(
        reward, value, last, np.zeros_like(mask), np.zeros_like(reward), nothing, gamma=gamma, gae_lambda=gae_lambda
    )
    present = np.arange(len(mask)) < buffer.lengths[:, None]
    return np.where(buffer.mask, advantage.T[present], np.float32(0))


def whiten(advantage: Float32s, mask: NDArray[np.bool_]) -> Float32s:
    """Mean 0 and unbiased standard deviation 1 over the tokens of the mask; 0 elsewhere, and all 0 if they are equal.

    [1, 2, 3, 9] with a mask of the first three -> [-1, 0, 1, 0].
    """
    chosen = advantage[mask].astype(np.float64)
    centred = chosen - chosen.mean() if len(chosen) else chosen
    if len(chosen) > 1:
        centred /= chosen.std(ddof=1) + 1e-8
    white = np.zeros_like(advantage)
    white[mask] = centred
    return white


def group_relative(buffer: SequenceBuffer, language: LanguageConfig) -> Float32s:
    """(N,) GRPO's advantage of each kept response, on all of its tokens."""
    advantage = group_advantages(totals(buffer), buffer.group, buffer.kept, language.normalizer)
    return np.where(buffer.mask, np.repeat(advantage, buffer.lengths), 0).astype(np.float32)


def group_rules(buffer: SequenceBuffer, language: LanguageConfig) -> StatedAdvantages:
    """GRPO's rule for the tokens of kept responses, and what may have been done in its place."""
    rewarded = totals(buffer)
    own: Normalizer = "dr_grpo" if language.normalizer == "dr_grpo" else "grpo"
    other: Normalizer = "grpo" if own == "dr_grpo" else "dr_grpo"
    tokens = np.flatnonzero(buffer.mask & buffer.kept[buffer.record_of_token])
    record = buffer.record_of_token[tokens].astype(np.int64)

    def by(reward: NDArray[np.floating], normalizer: Normalizer) -> NDArray[np.float64]:
        return group_advantages(reward, buffer.group, buffer.kept, normalizer)[record]

    by_rule = {RULES[own]: by(rewarded, own), RULES[other]: by(rewarded, other)}
    without_penalty = {f"{RULES[own]}, of rewards without the KL penalty": by(buffer.reward, own)}
    return StatedAdvantages(
        record, buffer.advantage[tokens].astype(np.float64), by_rule | without_penalty, by(-rewarded, own)
    )


def totals(buffer: SequenceBuffer) -> NDArray[np.float64]:
    """(n,) sum of each record's token rewards: its reward less the KL penalty."""
    sums: NDArray[np.float64] = np.bincount(buffer.record_of_token, buffer.token_reward, len(buffer)).astype(np.float64)
    return sums


def regrouped(snapshot: LanguageSnapshot) -> LanguageSnapshot:
    """The snapshot after a removal: in GRPO a response that was never sampled has no part in its group's baseline."""
    if snapshot.language.algorithm != "grpo":
        return snapshot
    return snapshot.changed(
        buffer=replace(snapshot.buffer, advantage=group_relative(snapshot.buffer, snapshot.language))
    )


def next_kl_coef(kl_coef: float, mean_kl: float, records: int, language: LanguageConfig) -> float:
    """The coefficient for the next round: it grows while the KL is above its target (Ziegler et al. 2019, section 2.2).

    Coefficient .1, target 6, horizon 100, a round of 10 records with a mean KL of 12 -> .1 * (1 + .2 * 10 / 100).
    """
    if language.kl_target is None:
        return kl_coef
    error = float(np.clip(mean_kl / language.kl_target - 1, -0.2, 0.2))
    return kl_coef * (1 + error * records / language.kl_horizon)


def no_signal(snapshot: LanguageSnapshot) -> NDArray[np.bool_]:
    """(n,) GRPO: records whose group has nothing to tell apart."""
    buffer = snapshot.buffer
    if snapshot.language.algorithm != "grpo":
        return np.zeros(len(buffer), bool)
    return without_signal(totals(buffer), buffer.group, buffer.kept)

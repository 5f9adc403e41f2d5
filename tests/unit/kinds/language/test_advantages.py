"""KL penalty and generalised advantage estimation by hand, on a response of three tokens."""

from dataclasses import replace

import numpy as np
import pytest

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.kinds.language.advantages import (
    group_relative,
    next_kl_coef,
    token_advantages,
    totals,
    whiten,
    with_advantages,
    with_token_rewards,
)
from engine.kinds.language.sequences import SequenceBuffer

LANGUAGE = LanguageConfig(policy="p", reward="r")
CONFIG = TrainConfig(env_id="language", gamma=1.0, gae_lambda=0.95)


def sequences(*records: tuple[int, int], **columns: list[float]) -> SequenceBuffer:
    """Records of (prompt tokens, response tokens); token columns are 0 where they are not given."""
    total, n = sum(prompt + response for prompt, response in records), len(records)
    numbers = {name: np.zeros(total, np.float32) for name in (
        "log_prob", "reference_log_prob", "value", "kl", "token_reward", "advantage", "returns", "entropy",
    )}  # fmt: skip
    reward = np.asarray(columns.pop("reward", [0.0] * n), np.float32)
    numbers |= {name: np.asarray(column, np.float32) for name, column in columns.items()}
    return SequenceBuffer(
        prompt=[""] * n,
        response=[""] * n,
        group=np.zeros(n, np.int32),
        reward=reward,
        reward_parts={},
        truncated=np.zeros(n, bool),
        kept=np.ones(n, bool),
        repaired=np.zeros(n, bool),
        start=np.concatenate([[0], np.cumsum([sum(record) for record in records])]).astype(np.int64),
        token=np.zeros(total, np.int32),
        mask=np.concatenate([np.repeat([False, True], record) for record in records]),
        **numbers,
    )


def test_the_penalty_is_on_every_token_and_the_reward_on_the_last():
    buffer = with_token_rewards(sequences((2, 3), kl=[9, 9, 0.5, 0, -1], reward=[2]), 0.1)
    np.testing.assert_allclose(buffer.token_reward, [0, 0, -0.05, 0, 2.1], rtol=1e-6)
    assert totals(buffer) == pytest.approx([2.05])


def test_advantages_of_three_tokens_by_hand():
    buffer = sequences(
        (1, 3), (3, 1), token_reward=[0, -0.1, 0.2, 1.0, 0, 0, 0, 0.5], value=[0, 0.3, 0.6, 0.4, 0, 0, 0, 0.1]
    )
    third = 1.0 - 0.4
    second = 0.2 + 0.4 - 0.6 + 0.95 * third
    first = -0.1 + 0.6 - 0.3 + 0.95 * second
    found = token_advantages(buffer, gamma=1.0, gae_lambda=0.95)
    np.testing.assert_allclose(found, [0, first, second, third, 0, 0, 0, 0.5 - 0.1], rtol=1e-6)
    discounted = token_advantages(buffer, gamma=0.5, gae_lambda=0.0)
    np.testing.assert_allclose(discounted[1:4], [-0.1 + 0.5 * 0.6 - 0.3, 0.2 + 0.5 * 0.4 - 0.6, third], atol=1e-7)


def test_returns_are_raw_and_advantages_are_normalised_over_all_response_tokens():
    buffer = sequences(
        (1, 3), (3, 1), token_reward=[0, -0.1, 0.2, 1.0, 0, 0, 0, 0.5], value=[0, 0.3, 0.6, 0.4, 0, 0, 0, 0.1]
    )
    raw = token_advantages(buffer, gamma=1.0, gae_lambda=0.95)
    found = with_advantages(buffer, CONFIG, LANGUAGE)
    np.testing.assert_allclose(found.returns, np.where(buffer.mask, raw + buffer.value, 0), rtol=1e-6)
    spoken = found.advantage[buffer.mask]
    np.testing.assert_allclose([spoken.mean(), spoken.std(ddof=1)], [0, 1], atol=1e-6)
    assert (found.advantage[~buffer.mask] == 0).all()
    plain = with_advantages(buffer, replace(CONFIG, normalize_advantage=False), LANGUAGE)
    np.testing.assert_array_equal(plain.advantage, raw)


def test_whitening_of_equal_or_single_values_is_zero():
    for chosen in ([True, True, True, False], [True, False, False, False]):
        assert whiten(np.array([2, 2, 2, 9], np.float32), np.array(chosen)).tolist() == [0, 0, 0, 0]
    assert whiten(np.array([1, 2, 3, 9], np.float32), np.array([True, True, True, False])).tolist() == [-1, 0, 1, 0]


def test_group_advantages_count_the_penalty_and_leave_out_who_is_not_kept():
    grpo = replace(LANGUAGE, algorithm="grpo", normalizer="dr_grpo", group_size=3)
    buffer = sequences((1, 2), (1, 1), (1, 1), token_reward=[0, 1, 2, 0, 1, 0, 5])
    assert group_relative(buffer, grpo).tolist() == [0, 0, 0, 0, -2, 0, 2]
    without = replace(buffer, kept=np.array([True, True, False]))
    assert group_relative(without, grpo).tolist() == [0, 1, 1, 0, -1, 0, 0]


def test_an_adaptive_coefficient_follows_the_divergence():
    adaptive = replace(LANGUAGE, kl_target=6.0, kl_horizon=100)
    assert next_kl_coef(0.1, 12, 10, LANGUAGE) == 0.1
    assert next_kl_coef(0.1, 12, 10, adaptive) == pytest.approx(0.1 * 1.02)
    assert next_kl_coef(0.1, 6.6, 10, adaptive) == pytest.approx(0.1 * 1.01)
    assert next_kl_coef(0.1, 0, 10, adaptive) == pytest.approx(0.1 * 0.98)

"""Advantages whose rule is known."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.checks.advantage_rule import Rule, follow, follow_changing
from engine.core.advantage_steps import Steps
from engine.core.gae import gae

DECLARED = Rule(0.99, 0.95, 1.0)


def steps(
    gamma: float, gae_lambda: float, factor: float = 1.0, share: float = 0.0, reward: float | None = None
) -> Steps:
    """300 steps in episodes of 30, of which a share has another advantage."""
    rng = np.random.default_rng(0)
    n = 300
    rewards = rng.normal(size=(n, 1)).astype(np.float32) if reward is None else np.full((n, 1), reward, np.float32)
    value = rng.normal(size=(n, 1)).astype(np.float32)
    ends = (np.arange(n) % 30 == 29)[:, None]
    never = np.zeros_like(ends)
    advantage = gae(
        np.float32(factor) * rewards, value, ends, never, value, value[-1], gamma=gamma, gae_lambda=gae_lambda
    ).ravel()
    some = rng.choice(n, round(share * n), replace=False)
    advantage[some] += 1
    following = np.where(ends.ravel(), -1, np.arange(n) + 1)
    return Steps.of(rewards.ravel(), value.ravel(), advantage, following, ends.ravel())


@pytest.mark.parametrize(
    "rule", [DECLARED, Rule(0.5, 0.95, 1.0), Rule(0.99, 0.5, 1.0), Rule(0.99, 0.95, -1.0), Rule(0.9, 0.8, 0.1)]
)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.25])
def test_a_rule_is_read_off_though_some_do_not_follow_it(rule: Rule, share: float) -> None:
    found = follow(steps(rule.gamma, rule.gae_lambda, rule.reward_factor, share), DECLARED, np.random.default_rng(1))
    assert found.rule is not None
    assert found.rule.coefficients == pytest.approx(rule.coefficients, abs=1e-3)
    assert found.steps == 300
    assert (len(found.wrong) == 0) == (share == 0)
    assert len(found.wrong) <= 2 * share * 300


def test_advantages_of_no_rule() -> None:
    known = steps(0.99, 0.95)
    shuffled = known._replace(advantage=np.random.default_rng(2).permutation(known.advantage))
    found = follow(shuffled, DECLARED, np.random.default_rng(1))
    assert found.rule is None
    assert len(found.wrong) > 250


def test_what_the_steps_do_not_tell_is_nan() -> None:
    found = follow(steps(0.5, 0.9, reward=0.0), DECLARED, np.random.default_rng(1))
    assert found.rule is not None
    assert np.isnan(found.rule.reward_factor)
    assert (found.rule.gamma, found.rule.gae_lambda) == pytest.approx((0.5, 0.9), abs=1e-3)


def test_a_factor_that_changes_slowly() -> None:
    known = steps(0.99, 0.95)
    drifting = np.linspace(1, 0.8, len(known.reward))
    same = known._replace(reward=known.reward / drifting)
    found = follow_changing(same, DECLARED, clip=10.0)
    assert found.rule is not None
    assert found.rule.reward_factor == pytest.approx(0.9, abs=0.02)
    assert len(found.wrong) == 0
    turned = follow_changing(same._replace(reward=-same.reward), DECLARED, clip=10.0)
    assert turned.rule is not None
    assert turned.rule.reward_factor == pytest.approx(-0.9, abs=0.02)
    advantage = known.advantage.copy()
    advantage[40:50] += 5
    assert len(follow_changing(same._replace(advantage=advantage), DECLARED, clip=10.0).wrong) >= 9

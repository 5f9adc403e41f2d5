"""A loop whose loss is not PPO's: simple policy optimisation (Xie et al. 2024), a penalty on old logits, a Huber value loss."""

from __future__ import annotations

from typing import Any

import ppo_single_file as loop
import torch
from torch import Tensor
from torch.nn import functional

from engine.recording import rebuilds

EPSILON, VF_COEF, ENT_COEF = 0.2, 0.25, 0.0625


def terms(
    agent: Any,
    observation: Tensor,
    action: Tensor,
    *,
    log_prob: Tensor,
    value: Tensor,
    advantage: Tensor,
    returns: Tensor,
    penalty: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Losses of policy, value and entropy, a number a record."""
    _, now, entropy, found = agent.act(observation, action)
    ratio = (now - log_prob).exp()
    gain = ratio * advantage - advantage.abs() / (2 * EPSILON) * (ratio - 1) ** 2
    value_loss = VF_COEF * functional.huber_loss(found, returns, reduction="none")
    return penalty * (now - log_prob) ** 2 - gain, value_loss, -ENT_COEF * entropy


@rebuilds
def make_agent() -> tuple[Any, ...]:
    """With the terms of the loss."""
    return loop.Agent(), loop.evaluate, terms


@rebuilds
def make_agent_alone() -> tuple[Any, ...]:
    """Without them."""
    return loop.Agent(), loop.evaluate


@rebuilds
def make_agent_with_wrong_terms() -> tuple[Any, ...]:
    """That are means already."""
    return loop.Agent(), loop.evaluate, lambda *columns, **more: tuple(term.mean() for term in terms(*columns, **more))


def minibatch_loss(agent: Any, part: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The loss of a minibatch as the loop writes it down, and its approximate KL."""
    _, now, entropy, found = agent.act(part["observation"], part["action"])
    gain = (part["advantage"] - part["advantage"].mean()) / (part["advantage"].std() + 1e-8)
    ratio = (now - part["log_prob"]).exp()
    policy = (ratio * gain - gain.abs() / (2 * EPSILON) * (ratio - 1) ** 2).mean()
    penalty = (part["penalty"] * (now - part["log_prob"]) ** 2).mean()
    loss = penalty - policy + VF_COEF * functional.huber_loss(found, part["returns"]) - ENT_COEF * entropy.mean()
    with torch.no_grad():
        return loss, (ratio - 1 - (now - part["log_prob"])).mean()

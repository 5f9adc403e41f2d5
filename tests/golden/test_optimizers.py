"""Estimators along the update know torch's optimizers by their settings: torch's own steps say so, in float64."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import optim
from worlds import moved_snapshot

from engine.core.agent import PolicyAgent
from engine.core.estimators.along_the_update import back_propagate, directions_back
from engine.core.gradients.derivatives import TorchDerivatives
from engine.core.gradients.optimizer_adjoints import clip_scale, follow
from engine.core.gradients.steps import Trace
from engine.core.objective import RecordObjective
from engine.core.replays.update_trace import trace_update
from engine.core.targets.of_records import return_target
from engine.core.update import as_batch
from engine.envs import find
from engine.errors import BadInputError
from engine.kinds.control.networks import ActorCritic, restore_policy
from engine.store.snapshot import Snapshot

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "adam as torch has it": lambda p: optim.Adam(p, lr=1e-3),
    "adam, betas, weight decay": lambda p: optim.Adam(p, lr=1e-3, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.3),
    "adamw": lambda p: optim.AdamW(p, lr=1e-3, weight_decay=5.0),
    "sgd, weight decay": lambda p: optim.SGD(p, lr=3e-2, weight_decay=0.3),
    "sgd, momentum, dampening, weight decay": lambda p: optim.SGD(
        p, lr=3e-2, momentum=0.9, dampening=0.4, weight_decay=0.3
    ),
    "sgd, nesterov": lambda p: optim.SGD(p, lr=1e-2, momentum=0.9, nesterov=True, weight_decay=0.3),
}
EPS = 1e-5


@dataclass(frozen=True)
class Round:
    """A round whose policy is moved by one of torch's optimizers."""

    snapshot: Snapshot
    made: Callable[[Any], optim.Optimizer]
    state: dict[str, Any]
    """Of the optimizer before the update."""

    def agent(self) -> PolicyAgent:
        """In float64, at theta(k)."""
        policy = in_double(self.snapshot)
        agent = PolicyAgent(self.snapshot.config, policy, self.made(policy.parameters()))
        agent.optimizer.load_state_dict(deepcopy(self.state))
        return agent

    @property
    def derivatives(self) -> TorchDerivatives:
        policy = in_double(self.snapshot)
        return TorchDerivatives(policy, as_batch(policy, self.snapshot.buffer), RecordObjective(self.snapshot.config))


def in_double(snapshot: Any) -> ActorCritic:
    spaces = snapshot.observation_space, snapshot.action_space
    return restore_policy(snapshot.config, *spaces, snapshot.checkpoint).double()


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    settings: dict[str, Any] = {"n_steps": 48, "batch_size": 20, "n_epochs": 2, "hidden": (8,), "path": "torch"}
    return moved_snapshot(find("CartPole-v1"), rounds=2, max_grad_norm=0.4, ent_coef=0.01, **settings)


@pytest.fixture(scope="module", params=[(name, begun) for name in OPTIMIZERS for begun in (False, True)], ids=str)
def played(request: pytest.FixtureRequest, snapshot: Snapshot) -> Round:
    """With an optimizer that never stepped, or that comes from another update."""
    name, begun = request.param
    policy = in_double(snapshot)
    agent = PolicyAgent(snapshot.config, policy, OPTIMIZERS[name](policy.parameters()))
    if begun:
        agent.update(snapshot.buffer, snapshot.minibatches[::-1])
    return Round(snapshot, OPTIMIZERS[name], agent.optimizer.state_dict())


def test_the_derivative_of_the_update_is_that_of_torchs_own_steps(played: Round) -> None:
    snapshot, target = played.snapshot, return_target(played.snapshot)
    exact = back_propagate(snapshot, trace_update(snapshot, played.agent()), target, played.derivatives).sum((0, 1))

    def after(record: int, weight: float) -> float:
        agent, weights = played.agent(), np.ones(len(snapshot.buffer))
        weights[record] = weight
        agent.update(snapshot.buffer, snapshot.minibatches, weights=weights)  # type: ignore[arg-type]
        return float(target.value(agent.policy).detach())

    for record in np.argsort(-np.abs(exact))[[0, 1, 5, 20]].tolist():
        slope = (after(record, 1 + EPS) - after(record, 1 - EPS)) / (2 * EPS)
        assert slope == pytest.approx(exact[record], rel=1e-3)


def stepped(played: Round, trace: Trace, at: int = -1, push: Any = 0.0) -> NDArray[np.float64]:
    """(steps, p): where torch's optimizer goes from each recorded theta, with `push` on the clipped gradient of step `at`.

    Where it has second moments, what its first ones are divided by is not in there.
    """
    agent = played.agent()
    own, optimizer = list(agent.policy.parameters()), agent.optimizer
    (group,), sizes, found = optimizer.param_groups, [p.numel() for p in own], []
    for t, step in enumerate(trace.steps):
        scale = clip_scale(step.gradient, played.snapshot.config.max_grad_norm)
        gradient = scale * step.gradient + (push if t == at else 0.0)
        for p, theta, part in zip(own, split(step.theta, sizes), split(gradient, sizes), strict=True):
            p.data, p.grad = theta.reshape(p.shape).clone(), part.reshape(p.shape).clone()
        optimizer.step()
        if "betas" in group:
            found.append(-joined([optimizer.state[p]["exp_avg"] for p in own]))
        else:
            found.append(joined(own) - step.theta)
    return np.stack(found)


def preconditioners(played: Round, trace: Trace) -> NDArray[np.float64]:
    """(steps, p): what torch's Adam multiplies its first moments by, from its own state; 1 of an optimizer without one."""
    agent = played.agent()
    own, optimizer = list(agent.policy.parameters()), agent.optimizer
    (group,), found = optimizer.param_groups, []
    if "betas" not in group:
        return np.ones((len(trace.steps), len(trace.after)))

    def keep(*_: Any) -> None:
        step = float(optimizer.state[own[0]]["step"])
        corrections = [1 - beta**step for beta in group["betas"]]
        root = np.sqrt(joined([optimizer.state[p]["exp_avg_sq"] for p in own]) / corrections[1])
        found.append(group["lr"] / corrections[0] / (root + group["eps"]))

    optimizer.register_step_post_hook(keep)
    agent.update(played.snapshot.buffer, played.snapshot.minibatches)
    return np.stack(found)


def test_a_gradient_is_followed_through_torchs_own_steps(played: Round) -> None:
    """`tracin_adam`: <d_t, u> is what f gains, step by step, where -u is added to the clipped gradient of step t."""
    snapshot, target, derivatives = played.snapshot, return_target(played.snapshot), played.derivatives
    trace = trace_update(snapshot, played.agent())
    back = directions_back("tracin_adam", snapshot.config, trace, target, derivatives.target_gradient)
    directions = [direction for _, direction in back][::-1]
    gains = np.stack([derivatives.target_gradient(step.theta, target) for step in trace.steps])
    gains *= preconditioners(played, trace)
    plain, rng = stepped(played, trace), np.random.default_rng(0)
    for t in (0, 1, len(trace.steps) - 1):
        push = rng.normal(size=len(trace.after))
        gained = float((gains * (stepped(played, trace, t, -push) - plain)).sum())
        scale = clip_scale(trace.steps[t].gradient, snapshot.config.max_grad_norm)
        assert directions[t] @ push == pytest.approx(scale * gained, rel=1e-6)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (optim.RMSprop, "RMSprop"),
        (lambda p: optim.AdamW(p, amsgrad=True), "AdamW with amsgrad"),
        (lambda p: optim.SGD(p, lr=0.1, maximize=True), "SGD with maximize"),
        (lambda p: optim.Adam([{"params": [each]} for each in p]), "Adam with several groups of parameters"),
    ],
)
def test_steps_that_are_not_known_are_refused_in_one_line(
    snapshot: Snapshot, made: Callable[[Any], optim.Optimizer], words: str
) -> None:
    policy = in_double(snapshot)
    trace = trace_update(snapshot, PolicyAgent(snapshot.config, policy, made(policy.parameters())))
    with pytest.raises(BadInputError, match=f"trained by {words}, whose steps are not followed") as caught:
        follow(snapshot.config, trace)
    assert "\n" not in str(caught.value)


def split(vector: Any, sizes: list[int]) -> tuple[torch.Tensor, ...]:
    return torch.as_tensor(vector).split(sizes)


def joined(parts: list[Any]) -> NDArray[np.float64]:
    return np.concatenate([part.detach().numpy().ravel() for part in parts])

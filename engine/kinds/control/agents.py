"""An agent: a policy together with its optimizer. Two paths, one meaning; `TrainConfig.path` says which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core import agent as core
from engine.core.agent import PolicyAgent
from engine.core.checkpoint import check_optimizer, restore_optimizer
from engine.core.objective import make_optimizer
from engine.errors import BadInputError
from engine.kinds.control.closed_form import ClosedFormAgent
from engine.kinds.control.networks import ActorCritic, restore_policy
from engine.spaces import Space
from engine.store.snapshot import Float32s


class Actor(Protocol):
    """What it takes to play episodes."""

    def draw_noise(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """The (n, noise_size) random numbers that `act` turns into n actions."""
        ...

    def act(self, observation: NDArray[Any], noise: NDArray[np.float64]) -> NDArray[Any]:
        """One action per observation, from its row of noise."""
        ...


Acts = Callable[[NDArray[Any], NDArray[np.float64], NDArray[np.int64]], NDArray[Any]]
"""(observation (m, ...), noise (m, size), which (m,) of the episodes they are of) -> an action each."""


def in_episodes(actor: Any, n: int) -> Acts:
    """What acts in n episodes from their first steps on; one that has a memory (`begin_episodes`) has one of each."""
    if hasattr(actor, "begin_episodes"):
        begun: Acts = actor.begin_episodes(n)
        return begun
    return lambda observation, noise, which: np.asarray(actor.act(observation, noise))


class Agent(Actor, core.Agent, Protocol):
    """What training and replay need."""

    @property
    def policy(self) -> ActorCritic:
        """The present policy as a torch module."""
        ...

    def value(self, observation: NDArray[Any]) -> Float32s:
        """V(s): (n, ...) observations -> (n,)."""
        ...

    def log_prob(self, observation: NDArray[Any], action: NDArray[Any]) -> Float32s:
        """Log pi(a|s): (n,)."""
        ...


class TorchAgent(PolicyAgent):
    """Any torch actor-critic with its optimizer."""

    policy: ActorCritic

    def __init__(self, config: TrainConfig, policy: ActorCritic, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(config, policy, optimizer)
        self.draw_noise, self.act, self.value = policy.draw_noise, policy.act, policy.value

    @torch.no_grad()
    def log_prob(self, observation: NDArray[Any], action: NDArray[Any]) -> Float32s:
        """Log pi(a|s): (n,)."""
        return self.policy(self.policy.encode(observation), torch.as_tensor(action), with_value=False).log_prob.numpy()


def restore_learner(
    config: TrainConfig,
    observation_space: Space,
    action_space: Space,
    checkpoint: Mapping[str, NDArray[Any]],
) -> tuple[ActorCritic, torch.optim.Optimizer]:
    """The policy and the optimizer as they were when the checkpoint was taken."""
    policy = restore_policy(config, observation_space, action_space, checkpoint)
    return policy, restore_optimizer(policy, config, checkpoint)


def restore_agent(
    config: TrainConfig, observation_space: Space, action_space: Space, tensors: Mapping[str, NDArray[Any]]
) -> Agent:
    """The agent of a checkpoint, on the path that the run was trained on."""
    if config.path == "closed_form":
        check_optimizer(restore_policy(config, observation_space, action_space, tensors), tensors)
        return ClosedFormAgent(config, observation_space, action_space, tensors)
    return TorchAgent(config, *restore_learner(config, observation_space, action_space, tensors))


def begin_agent(config: TrainConfig, observation_space: Space, action_space: Space) -> Agent:
    """A fresh agent; its initial weights come from `config.seed` and are the same on both paths.

    Raises:
        BadInputError: the closed form can't compute what these observations need.
    """
    if config.path == "closed_form" and observation_space.encoder == "image":
        raise BadInputError(
            f"{config.env_id} shows images, and path=closed_form has no convolutions; train it with path=torch "
            "(on the command line: --set path=torch)"
        )
    generator = torch.Generator().manual_seed(config.seed)
    policy = ActorCritic(observation_space, action_space, config.hidden, generator)
    fresh = TorchAgent(config, policy, make_optimizer(policy, config))
    return fresh if config.path == "torch" else restore_agent(config, observation_space, action_space, fresh.tensors())

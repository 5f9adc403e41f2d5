"""The policy: actor and critic with separate tanh networks (on a shared trunk for images), as in Stable-Baselines3."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Normal

from engine.config import TrainConfig
from engine.core.policy import Evaluation, Policy
from engine.errors import BadInputError, DamagedRunError
from engine.spaces import Space

TRUNK_FEATURES, LARGE_TRUNK_FEATURES = 64, 512
"""Numbers that the trunk makes of a small image, and of a large one."""
LARGE_IMAGE = 36
"""Pixels of both sides from which an image is a large one: the least that the strided convolutions can take."""


class LogStd(nn.Module):
    """The state-independent log standard deviation of a Gaussian policy, initially 0."""

    linear_in_parameters: ClassVar[bool] = True

    def __init__(self, size: int, device: str | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size, device=device))

    def forward(self, mean: Tensor) -> Tensor:
        """(n, d) means -> (n, d) log standard deviations."""
        return self.weight.expand_as(mean)


class ActorCritic(Policy):
    """Actor and critic with separate multilayer perceptrons; for images, both on one trunk of convolutions.

    Orthogonal initial weights with gain sqrt(2) in hidden layers, 0.01 for the action and 1 for the value; biases 0.
    `Space.encoder` says what becomes of observations. Actions are categorical or diagonal Gaussian. Without a
    generator there are no weights, only their names and shapes, and no memory is taken: `load` them.
    """

    def __init__(
        self,
        observation_space: Space,
        action_space: Space,
        hidden: Sequence[int] = (64, 64),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.observation_space = observation_space
        self.action_space = action_space
        self.trunk: nn.Sequential | None = None
        match observation_space.encoder:
            case "one_hot":
                inputs = observation_space.n
            case "flatten":
                inputs = math.prod(observation_space.shape)
            case "image":
                self.trunk, inputs = _image_trunk(observation_space.image_shape, generator)
        outputs = action_space.n if action_space.kind == "discrete" else math.prod(action_space.shape)
        self.actor = _perceptron([inputs, *hidden, outputs], 0.01, generator)
        self.critic = _perceptron([inputs, *hidden, 1], 1.0, generator)
        self.log_std: LogStd | None = None
        if action_space.kind == "box":
            self.log_std = LogStd(outputs, None if generator else "meta")

    def encode(self, observation: NDArray[Any]) -> Tensor:
        """Observations as stored (n, ...) -> network inputs (n, d), or (n, channels, height, width) for images."""
        dtype, encoder = self.dtype, self.observation_space.encoder
        if encoder == "one_hot":
            numbers = torch.as_tensor(observation).long().unsqueeze(-1)
            return torch.zeros(len(numbers), self.observation_space.n, dtype=dtype).scatter_(1, numbers, 1)
        tensor = torch.as_tensor(np.asarray(observation))
        if encoder == "image":
            axis = self.observation_space.channel_axis
            images = tensor.unsqueeze(1) if axis is None else tensor.movedim(axis + 1, 1)
            return images.to(dtype, memory_format=torch.contiguous_format) / 255
        return tensor.reshape(len(observation), -1).to(dtype)

    def forward(self, inputs: Tensor, action: Tensor, with_value: bool = True) -> Evaluation:
        """Log-probability, entropy and value of n encoded observations and their actions."""
        features = self._features(inputs)
        output = self.actor(features)
        value = self.critic(features).squeeze(-1) if with_value else None
        if self.log_std is None:
            log_probs = output - output.logsumexp(-1, keepdim=True)
            entropy = -(log_probs.exp() * log_probs).sum(-1)
            return Evaluation(log_probs.gather(-1, action.unsqueeze(-1)).squeeze(-1), entropy, value)
        log_std = self.log_std(output)
        deviation = (action - output) * (-log_std).exp()
        log_prob = (-0.5 * deviation**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
        entropy = (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)
        return Evaluation(log_prob, entropy, value)

    def load(self, parameters: Mapping[str, NDArray[Any]]) -> Self:
        """As `Policy.load`; weights take memory once these are known to fit."""
        self.check(parameters)
        for layer in self.modules():
            if any(parameter.is_meta for parameter in layer.parameters(recurse=False)):
                _with_memory(layer)
        return super().load(parameters)

    def serves_value(self, name: str) -> bool:
        """The critic's parameters do, and those of the trunk."""
        return name.startswith(("critic.", "trunk."))

    def _features(self, inputs: Tensor) -> Tensor:
        return inputs if self.trunk is None else self.trunk(inputs)

    @torch.no_grad()
    def actor_output(self, observation: NDArray[Any]) -> Tensor:
        """The actor's last layer: (n, ...) observations -> (n, actions) logits, or (n, d) means."""
        return self.actor(self._features(self.encode(observation)))

    def action_parameters(self, observation: NDArray[Any]) -> tuple[Tensor, Tensor | None]:
        """(n, ...) observations -> (n, actions) logits and None, or (n, d) means and (n, d) standard deviations."""
        output = self.actor_output(observation)
        return output, None if self.log_std is None else self.log_std(output).detach().exp()

    def distributions(self, observation: NDArray[Any]) -> list[Distribution]:
        """pi(.|s): (n, ...) observations -> n categorical distributions, or normal ones of d components."""
        output, deviation = self.action_parameters(observation)
        return [Categorical(logits=output) if deviation is None else Normal(output, deviation)]

    @torch.no_grad()
    def actor_features(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """The actor's last hidden layer, of which its last layer makes logits or means: (n, ...) observations -> (n, d)."""
        return self.actor[:-1](self._features(self.encode(observation))).numpy()

    @torch.no_grad()
    def probabilities(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """pi(.|s) of a discrete-action policy: (n, ...) observations -> (n, actions)."""
        return self.actor_output(observation).softmax(-1).numpy()

    @torch.no_grad()
    def act(self, observation: NDArray[Any], noise: NDArray[np.float64]) -> NDArray[Any]:
        """Sample one action per observation.

        Args:
            observation: (n, ...) observations.
            noise: (n, noise_size) uniform numbers in [0, 1) for discrete actions, standard normal ones for continuous.

        Returns:
            (n,) int64 actions, or (n, d) float32 ones that are not clipped.
        """
        output = self.actor_output(observation)
        if self.log_std is None:
            cumulative = output.softmax(-1).numpy().cumsum(-1)
            return (cumulative < noise * cumulative[:, -1:]).sum(-1).clip(max=self.action_space.n - 1)
        sample = output + self.log_std(output).exp() * torch.as_tensor(noise, dtype=output.dtype)
        return sample.numpy()

    def draw_noise(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """The (n, noise_size) random numbers that `act` turns into n actions."""
        if self.log_std is None:
            return rng.random((n, 1))
        return rng.standard_normal((n, self.log_std.weight.numel()))

    @torch.no_grad()
    def value(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """V(s): (n, ...) observations -> (n,)."""
        return self.critic(self._features(self.encode(observation))).squeeze(-1).numpy()


def restore_policy(
    config: TrainConfig,
    observation_space: Space,
    action_space: Space,
    checkpoint: Mapping[str, NDArray[Any]],
) -> ActorCritic:
    """The policy alone.

    Raises:
        DamagedRunError: the checkpoint has other parameters than the settings describe.
    """
    prefix = "parameter/"
    parameters = {k.removeprefix(prefix): v for k, v in checkpoint.items() if k.startswith(prefix)}
    try:
        policy = ActorCritic(observation_space, action_space, config.hidden)
    except (RuntimeError, OverflowError):  # a space of more numbers than torch can count
        raise DamagedRunError("run.json describes networks that can't be built") from None
    return policy.load(parameters)


def _perceptron(sizes: Sequence[int], gain: float, generator: torch.Generator | None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        last = i == len(sizes) - 2
        linear = nn.Linear(inputs, outputs, device="meta")
        _initialise(linear, gain if last else math.sqrt(2), generator)
        layers += [linear] if last else [linear, nn.Tanh()]
    return nn.Sequential(*layers)


def _image_trunk(shape: tuple[int, int, int], generator: torch.Generator | None) -> tuple[nn.Sequential, int]:
    """(n, channels, height, width) -> (n, features), and how many features.

    Small images have the paper's network for MiniGrid, two 3x3 convolutions and a linear layer; large ones that of
    Stable-Baselines3's `NatureCNN` (Mnih et al. 2015).
    """
    channels, height, width = shape
    if min(height, width) < 5:
        raise BadInputError(f"images of {height} x {width} are too small; two 3x3 convolutions need at least 5 x 5")
    is_large = min(height, width) >= LARGE_IMAGE
    kernels = ((32, 8, 4), (64, 4, 2), (64, 3, 1)) if is_large else ((16, 3, 1), (32, 3, 1))
    features = LARGE_TRUNK_FEATURES if is_large else TRUNK_FEATURES
    layers: list[nn.Module] = []
    for outputs, size, stride in kernels:
        layers += [nn.Conv2d(channels, outputs, size, stride, device="meta"), nn.ReLU()]
        channels, height, width = outputs, (height - size) // stride + 1, (width - size) // stride + 1
    layers += [nn.Flatten(), nn.Linear(channels * height * width, features, device="meta"), nn.ReLU()]
    for layer in layers:
        if any(True for _ in layer.parameters()):
            _initialise(layer, math.sqrt(2), generator)
    return nn.Sequential(*layers), features


def _with_memory(layer: nn.Module) -> None:
    """Give a layer on the meta device parameters to be initialised: what `to_empty` does, which first imports sympy."""
    for name, parameter in list(layer.named_parameters(recurse=False)):
        setattr(layer, name, nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype)))


def _initialise(layer: Any, gain: float, generator: torch.Generator | None) -> None:
    if generator is not None:
        _with_memory(layer)
        nn.init.orthogonal_(layer.weight, gain, generator=generator)
        nn.init.zeros_(layer.bias)

"""Image observations: the encoder, the trunk, and what the closed form says of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from worlds import learner, moved_snapshot

import engine
from engine.core.gradients.inner_products import gradient
from engine.core.targets.of_records import as_space, return_target
from engine.envs import find
from engine.errors import BadInputError
from engine.kinds.control.networks import ActorCritic, restore_policy
from engine.spaces import Space

NAME = "MiniGrid-Empty-8x8-v0"


def test_an_image_is_scaled_and_its_channels_come_first() -> None:
    policy = ActorCritic(
        Space("box", shape=(5, 6, 2), dtype="uint8"), Space("discrete", n=3), generator=torch.Generator()
    )
    image = np.arange(120, dtype=np.uint8).reshape(2, 5, 6, 2)
    inputs = policy.encode(image)
    assert inputs.shape == (2, 2, 5, 6)
    assert inputs.dtype == torch.float32
    assert inputs[1, 1, 4, 2] == image[1, 4, 2, 1] / np.float32(255)


def test_which_observations_are_images() -> None:
    assert find(NAME).spaces()[0].encoder == "image"
    assert Space("box", shape=(7, 7, 3), dtype="float32").encoder == "flatten"
    assert Space("box", shape=(49,), dtype="uint8").encoder == "flatten"
    assert Space("discrete", n=3).encoder == "one_hot"


def test_the_trunk_is_the_papers() -> None:
    policy = learner(find(NAME), seed=1).policy
    shapes = {name: tuple(p.shape) for name, p in policy.named_parameters()}
    assert list(shapes)[:6] == [f"trunk.{i}.{kind}" for i in (0, 2, 5) for kind in ("weight", "bias")]
    assert shapes["trunk.0.weight"] == (16, 3, 3, 3)
    assert shapes["trunk.2.weight"] == (32, 16, 3, 3)
    assert shapes["trunk.5.weight"] == (64, 32 * 3 * 3)
    assert shapes["actor.0.weight"] == shapes["critic.0.weight"] == (64, 64)
    assert shapes["actor.4.weight"] == (7, 64)
    for i in (0, 2, 5):
        weight = policy.get_parameter(f"trunk.{i}.weight").detach().flatten(1)
        product = weight @ weight.T if len(weight) <= weight.shape[1] else weight.T @ weight
        torch.testing.assert_close(product / 2, torch.eye(len(product)), rtol=0, atol=1e-5)
    assert math.isclose(float(policy.actor_output(np.zeros((1, 7, 7, 3), np.uint8)).abs().sum()), 0)


def test_a_policy_target_reaches_the_trunk_and_needs_the_value() -> None:
    """The critic's part of J_i moves the trunk, so influence through the trunk includes it."""
    snapshot = moved_snapshot(find(NAME), n_steps=40, n_epochs=1)
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    names = set(gradient(return_target(snapshot), policy))
    assert any(name.startswith("trunk.") for name in names)
    assert not any(name.startswith("critic.") for name in names)
    assert [name for name in sorted(names) if policy.serves_value(name)] == sorted(n for n in names if "trunk" in n)


def test_run_json_names_the_encoder_and_the_closed_form_is_refused_in_words(tmp_path: Path) -> None:
    config = engine.preset(NAME, "v0.1", rounds=1, n_steps=8, n_epochs=1)
    assert engine.train(config, tmp_path / "run").manifest.encoder == "image"
    with pytest.raises(BadInputError, match=r"MiniGrid-Empty-8x8-v0 shows images.*path=torch") as caught:
        engine.train(engine.preset(NAME, "v0.1", path="closed_form"), tmp_path / "other")
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "other").exists()


def test_images_too_small_for_the_trunk() -> None:
    with pytest.raises(BadInputError, match="at least 5 x 5"):
        ActorCritic(Space("box", shape=(4, 9, 1), dtype="uint8"), Space("discrete", n=2))


@pytest.mark.parametrize("number", [300.0, -4.0, 2.7])
def test_a_typed_image_is_made_of_what_its_type_can_hold(number: float) -> None:
    space = Space("box", shape=(2, 2, 1), dtype="uint8")
    with pytest.raises(BadInputError, match="the observation must be made of integers from 0 to 255"):
        as_space("observation", [number, 0, 0, 0], space)


@pytest.mark.parametrize(("shape", "channels"), [((40, 36, 2), 2), ((2, 40, 36), 2), ((40, 36), 1)])
def test_channels_come_first_wherever_an_image_has_them(shape: tuple[int, ...], channels: int) -> None:
    space = Space("box", shape=shape, dtype="uint8")
    policy = ActorCritic(space, Space("discrete", n=3), generator=torch.Generator())
    image = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    inputs = policy.encode(image)
    assert space.image_shape == inputs.shape[1:] == (channels, 40, 36)
    assert inputs.min() >= 0
    assert inputs.max() <= 1
    wanted = {(40, 36, 2): (1, 7, 5, 1), (2, 40, 36): (1, 1, 7, 5), (40, 36): (1, 7, 5)}[shape]
    assert inputs[1, -1, 7, 5] == image[wanted] / np.float32(255)


def test_large_images_have_the_trunk_of_stable_baselines3() -> None:
    """The same layers, and the same function of the same weights."""
    nature = pytest.importorskip("stable_baselines3.common.torch_layers").NatureCNN
    from gymnasium.spaces import Box

    theirs = nature(Box(0, 255, (3, 48, 36), np.uint8))
    policy = ActorCritic(Space("box", shape=(3, 48, 36), dtype="uint8"), Space("discrete", n=2), (), torch.Generator())
    trunk = policy.trunk
    assert trunk is not None
    ours = list(trunk.parameters())
    assert [p.shape for p in ours] == [p.shape for p in theirs.parameters()]
    for mine, other in zip(ours, theirs.parameters(), strict=True):
        mine.data.copy_(other.data)
    inputs = policy.encode(np.random.default_rng(0).integers(0, 256, (4, 3, 48, 36), np.uint8))
    assert torch.equal(trunk(inputs), theirs(inputs))

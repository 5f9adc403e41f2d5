"""Influence equals the scores of dattri's TracIn, which shares no code with ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset
from worlds import entry, moved_snapshot

import engine
from engine.core.estimators.registry import ESTIMATORS, first_order
from engine.core.objective import first_epoch_advantages
from engine.core.targets.of_records import ActionTarget, action_target, return_target
from engine.core.update import as_batch
from engine.envs import find
from engine.kinds.control.networks import ActorCritic, restore_policy
from engine.store.snapshot import Snapshot

N = 96


def their_scores(
    snapshot: Snapshot, pairs: tuple[Tensor, Tensor, Tensor], checkpoints: Sequence[ActorCritic] = ()
) -> np.ndarray:
    """<grad loss_i, grad f> from dattri, where f = mean weight * log pi over `pairs` (inputs, action, weight).

    With checkpoints, the sum over them; else at the snapshot's parameters. Losses and log-probabilities are written with
    torch.distributions here, not with the engine's own formulas.
    """
    from dattri.algorithm.tracin import TracInAttributor  # type: ignore[import-untyped]  # it takes seconds to import
    from dattri.task import AttributionTask  # type: ignore[import-untyped]

    config = snapshot.config
    policy = restore_policy(config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    batch = as_batch(policy, snapshot.buffer)
    advantage = first_epoch_advantages(batch.advantage, batch.kept, snapshot.minibatches, config)
    continuous = snapshot.action_space.kind == "box"

    def distribution(params: dict[str, Tensor], inputs: Tensor) -> torch.distributions.Distribution:
        actor = {name.removeprefix("actor."): p for name, p in params.items() if name.startswith("actor.")}
        output = functional_call(policy.actor, actor, (inputs,))
        if continuous:
            normal = torch.distributions.Normal(output, params["log_std.weight"].exp(), validate_args=False)
            return torch.distributions.Independent(normal, 1, validate_args=False)
        return torch.distributions.Categorical(logits=output, validate_args=False)

    def loss(params: dict[str, Tensor], record: tuple[Tensor, ...]) -> Tensor:
        inputs, action, old_log_prob, normalized, returns = record
        pi = distribution(params, inputs)
        ratio = torch.exp(pi.log_prob(action) - old_log_prob)
        clipped = torch.clamp(ratio, 1 - config.clip_range, 1 + config.clip_range)
        critic = {name.removeprefix("critic."): p for name, p in params.items() if name.startswith("critic.")}
        value = functional_call(policy.critic, critic, (inputs,)).squeeze(-1)
        policy_loss = -torch.min(ratio * normalized, clipped * normalized)
        return policy_loss + config.vf_coef * (value - returns) ** 2 - config.ent_coef * pi.entropy()

    def target(params: dict[str, Tensor], chosen: tuple[Tensor, ...]) -> Tensor:
        inputs, action, weight = chosen
        return (weight * distribution(params, inputs).log_prob(action)).mean()

    states = [dict(each.state_dict()) for each in checkpoints or [policy]]
    task = AttributionTask(loss, policy, states, target)
    attributor = TracInAttributor(task, weight_list=torch.ones(len(states)), normalized_grad=False)
    attributor.projector_kwargs = None
    records = TensorDataset(batch.inputs, batch.action, batch.log_prob, advantage, batch.returns)
    chosen = TensorDataset(*(column[None] for column in pairs))
    scores = attributor.attribute(DataLoader(records, batch_size=32), DataLoader(chosen, batch_size=1))
    return scores[:, 0].numpy()


@pytest.fixture(scope="module", params=["LunarLander-v3", "FrozenLake-v1", "Pendulum-v1"])
def snapshot(request: pytest.FixtureRequest) -> Snapshot:
    environment = entry("Pendulum-v1") if request.param == "Pendulum-v1" else find(request.param)
    return moved_snapshot(environment, rounds=2, n_steps=N, learning_rate=3e-3, ent_coef=0.01, n_epochs=4)


def assert_opposite(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Ours is about the objective, theirs about the loss: the same numbers with the other sign."""
    scale = np.abs(theirs).max()
    assert scale > 1e-3
    np.testing.assert_allclose(ours / scale, -theirs / scale, atol=1e-5, rtol=0)


def test_return_target(snapshot: Snapshot) -> None:
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    batch = as_batch(policy, snapshot.buffer)
    theirs = their_scores(snapshot, (batch.inputs, batch.action, batch.advantage))
    assert_opposite(first_order(snapshot, return_target(snapshot)), theirs)


def test_action_target(snapshot: Snapshot) -> None:
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    batch = as_batch(policy, snapshot.buffer)
    theirs = their_scores(snapshot, (batch.inputs[7:8], batch.action[7:8], torch.ones(1)))
    assert_opposite(first_order(snapshot, action_target(snapshot, record=7)), theirs)


def test_a_set_of_actions(snapshot: Snapshot) -> None:
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    batch = as_batch(policy, snapshot.buffer)
    chosen = [3, 40, 41]
    theirs = their_scores(snapshot, (batch.inputs[chosen], batch.action[chosen], torch.ones(3)))
    ours = first_order(snapshot, ActionTarget(snapshot.buffer.observation[chosen], snapshot.buffer.action[chosen]))
    assert_opposite(ours, theirs)


def test_beyond_the_clip_range(snapshot: Snapshot) -> None:
    """Records whose ratio has left the clip range on the advantage's side have no influence through the actor."""
    buffer = snapshot.buffer
    stale = replace(snapshot, buffer=replace(buffer, log_prob=(buffer.log_prob - 0.5).astype(np.float32)))
    policy = restore_policy(stale.config, stale.observation_space, stale.action_space, stale.checkpoint)
    batch = as_batch(policy, stale.buffer)
    theirs = their_scores(stale, (batch.inputs[7:8], batch.action[7:8], torch.ones(1)))
    target = action_target(stale, record=7)
    assert_opposite(first_order(stale, target), theirs)
    without_entropy = first_order(replace(stale, config=replace(stale.config, ent_coef=0.0)), target)
    gains = first_epoch_advantages(batch.advantage, batch.kept, stale.minibatches, stale.config).numpy() > 0
    assert gains.any()
    assert not without_entropy[gains].any()
    assert without_entropy[~gains].any()


def test_tracin_over_the_steps_of_an_update(snapshot: Snapshot) -> None:
    """Four steps on the whole buffer: eta / n times dattri's sum over the checkpoints before them."""
    config = replace(snapshot.config, batch_size=N, n_epochs=4)
    whole = snapshot.changed(config=config, minibatches=snapshot.minibatches[:4])
    before = restore_policy(config, whole.observation_space, whole.action_space, whole.checkpoint)
    steps = range(1, len(whole.minibatches))
    policies = [before, *(engine.replay(whole.changed(minibatches=whole.minibatches[:k])).policy for k in steps)]
    batch = as_batch(policies[0], whole.buffer)
    theirs = their_scores(whole, (batch.inputs[7:8], batch.action[7:8], torch.ones(1)), policies)
    ours = ESTIMATORS["tracin"](whole, action_target(whole, record=7)).influence
    assert_opposite(N / config.learning_rate * ours, theirs)

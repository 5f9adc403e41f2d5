"""A critic that had been fitted to the round before its advantages were made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from engine.core.kind import kind_of
from engine.errors import BadInputError
from engine.intervention.autopsy.arm import Arm, Check, LeftOutError, left_out, replays
from engine.store.snapshot import Float32s, Snapshot

EPOCHS = 30
"""Passes over the round in which the critic alone is fitted."""
CRITIC_SEED = 6
"""Names the order of these passes among what a run's seed draws."""
NAME = "critic fitted first"


def critic_arm(snapshot: Snapshot) -> Arm:
    """The update from theta(k) with a critic that knows the round, and the advantages that it gives."""
    kind = kind_of(snapshot)
    try:
        kind.trajectories(snapshot)
    except BadInputError as error:
        return left_out(NAME, "critic", str(error), lead=True)
    if not kind.has_states:
        return left_out(NAME, "critic", "the critic of this kind of run is not trained by itself", lead=True)
    rate = kind.setting(snapshot, "learning_rate")
    said = f"{EPOCHS} epochs on the round's value targets, from theta(k), at the learning rate {rate:g}"
    agent = replays(snapshot, lambda check: with_fitted_critic(snapshot, check))
    return Arm(NAME, "critic", agent, said, lead=True, tries={"gae_lambda": (1 + snapshot.config.gae_lambda) / 2})


def with_fitted_critic(snapshot: Snapshot, check: Check = lambda: None) -> Snapshot:
    """The round as if theta(k) had had a critic that was fitted to it: values, advantages and value targets follow.

    The critic alone is trained on the round's value targets, by Adam, or the trainer's own optimizer, without a past. V of the
    states after the end of the round and after a time limit stays as it was: they are not in the record.

    Raises:
        LeftOutError: the actor moves with the critic.
    """
    kind, config, n = kind_of(snapshot), snapshot.config, len(snapshot.buffer)
    optimizer = "adam" if config.optimizer == "sgd" else config.optimizer
    alone = snapshot.changed(
        config=replace(config, n_epochs=EPOCHS, target_kl=None, optimizer=optimizer),
        buffer=replace(snapshot.buffer, kept=np.zeros(n, bool)),
        checkpoint={name: tensor for name, tensor in snapshot.checkpoint.items() if not name.startswith("optimizer/")},
    )
    rng = np.random.default_rng([config.seed, snapshot.round, CRITIC_SEED])
    orders = kind.draw_minibatches(alone, rng, np.arange(n)).astype(np.int32)
    fitted = kind.agent(alone)
    fitted.update(alone.buffer, orders, on_step=check)
    own = {name: tensor for name, tensor in fitted.tensors().items() if name.startswith("parameter/")}
    begun = snapshot.changed(checkpoint={**snapshot.checkpoint, **own})
    if not np.array_equal(kind.log_probs(begun)[0], kind.log_probs(snapshot)[0]):
        raise LeftOutError("the actor shares parameters with the critic, and moves with it")
    value = _values(begun)
    steps, decay = kind.trajectories(snapshot), config.gamma * config.gae_lambda
    advantage = steps.advantages(steps.td_errors_of_values(value, config.gamma, decay), decay)
    return kind.with_advantages(begun, advantage, value=value, returns=advantage + value)


@torch.no_grad()
def _values(snapshot: Snapshot) -> Float32s:
    """(n,) V(s) of the records' states at the checkpoint's parameters."""
    kind = kind_of(snapshot)
    policy = kind.policy(snapshot)
    batch = kind.batch(snapshot, policy)
    found = policy(batch.inputs, batch.action, True).value
    if found is None:
        raise LeftOutError("this policy has no critic")
    return found.numpy().astype(np.float32)

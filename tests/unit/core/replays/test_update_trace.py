"""The steps of a recorded update, regenerated: the update's own bits, and what the optimizer makes of its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from worlds import entry, moved_snapshot

import engine
from engine.core.gradients.optimizer_adjoints import clip_scale, follow
from engine.core.gradients.steps import Trace
from engine.core.objective import kept_rows
from engine.core.replays.update_trace import flat, trace_update
from engine.envs import find
from engine.store.snapshot import Snapshot

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "closed form, adam": ("LunarLander-v3", {}),
    "torch, adam": ("CartPole-v1", {"path": "torch", "ent_coef": 0.01}),
    "closed form, momentum": ("CartPole-v1", {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 5e-3}),
    "torch, sgd": ("FollowWorld-v0", {"path": "torch", "optimizer": "sgd", "learning_rate": 5e-3}),
    "images": ("MiniGrid-Empty-8x8-v0", {"learning_rate": 1e-3}),
    "early stop": ("CartPole-v1", {"target_kl": 2e-4, "learning_rate": 3e-3}),
}


@pytest.fixture(scope="module", params=CASES)
def snapshot(request: pytest.FixtureRequest) -> Snapshot:
    name, settings = CASES[request.param]
    environment = entry(name) if name == "FollowWorld-v0" else find(name)
    return moved_snapshot(environment, rounds=1, **{"n_steps": 100, "batch_size": 32, "n_epochs": 3, **settings})


@pytest.fixture(scope="module", params=["whole", "thinned"])
def traced(request: pytest.FixtureRequest, snapshot: Snapshot) -> tuple[Snapshot, Trace]:
    if request.param == "thinned":
        snapshot = snapshot.without(np.arange(0, 40)).without(np.arange(40, 60), actor_only=True)
    return snapshot, trace_update(snapshot)


def test_the_steps_end_at_the_replays_bits(traced: tuple[Snapshot, Trace]) -> None:
    snapshot, trace = traced
    replayed = engine.replay(snapshot)
    assert trace.after.tobytes() == flat(replayed.checkpoint, "parameter", list(snapshot.parameters)).tobytes()
    assert trace.steps[0].theta.tobytes() == flat(snapshot.checkpoint, "parameter", list(snapshot.parameters)).tobytes()
    assert len(trace.steps) == replayed.metrics.steps


def test_every_step_names_its_minibatch(traced: tuple[Snapshot, Trace]) -> None:
    snapshot, trace = traced
    kept = snapshot.buffer.critic_kept
    planned = [
        order[start:stop][kept[order[start:stop]]]
        for order in snapshot.minibatches
        for start, stop, _ in kept_rows(order, snapshot.config, kept)
    ]
    for step, records in zip(trace.steps, planned, strict=False):
        np.testing.assert_array_equal(step.records, records)
    assert len(trace.steps) == len(planned) or snapshot.config.target_kl is not None


def test_gain_and_decay_say_where_each_step_went(traced: tuple[Snapshot, Trace]) -> None:
    """Theta_t - theta_{t-1} = - gain_t * (moment from before + sum_s decay^(t - s) c_s g_s)."""
    snapshot, trace = traced
    optimizer = follow(snapshot.config, trace)
    thetas = [*(step.theta for step in trace.steps), trace.after]
    if snapshot.config.optimizer == "adam":
        moment = trace.state["exp_avg"].astype(np.float64) / 0.1
    else:
        moment = trace.state.get("momentum_buffer", np.zeros_like(trace.after)).astype(np.float64)
    for t, step in enumerate(trace.steps):
        moment = optimizer.decay * moment + clip_scale(step.gradient, snapshot.config.max_grad_norm) * step.gradient
        went = thetas[t + 1].astype(np.float64) - thetas[t]
        np.testing.assert_allclose(-optimizer.gain(t) * moment, went, atol=3e-7, rtol=1e-4)
        assert np.abs(went).max() > 1e-5

"""Small made-up runs, whose every value follows from the round number."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.config import TrainConfig
from engine.kinds.control.snapshot import ControlSnapshot, RolloutBuffer
from engine.spaces import Space
from engine.store import RunManifest, RunWriter, Snapshot

CONFIG = TrainConfig(env_id="Made-up-v0", n_steps=16, n_envs=2, batch_size=8, n_epochs=2)
FLOATS = Space("box", shape=(3,), dtype="float32")
IMAGE = Space("box", shape=(5, 5, 3), dtype="uint8")
STACK = (12, 12, 4)
CHOICE = Space("discrete", n=4)
TORQUE = Space("box", shape=(2,), dtype="float32", low=(-1.0, float("-inf")), high=(1.0, float("inf")))
METRICS = {"loss": 0.5, "worst": float("nan"), "episodes": np.int64(3), "returns": np.array([1.0, np.inf])}


def floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random bits, so NaNs with payloads, denormals, infinities and -0.0 are among them."""
    return rng.integers(0, 2**32, size=shape, dtype=np.uint32).view(np.float32)


def values_of(space: Space, n: int, rng: np.random.Generator) -> np.ndarray:
    if space.kind == "discrete":
        return rng.integers(0, space.n, n)
    if space.dtype == "float32":
        return floats(rng, n, *space.shape)
    return rng.integers(0, 256, (n, *space.shape)).astype(space.dtype)


def stacks(steps: int, envs: int, rng: np.random.Generator) -> np.ndarray:
    """(steps * envs, *STACK) of noise, in which an episode begins at every 8th step with black pictures."""
    shown = np.zeros((steps, envs, *STACK), np.uint8)
    for t in range(steps):
        if t % 8:
            shown[t, ..., :-1] = shown[t - 1, ..., 1:]
        shown[t, ..., -1] = rng.integers(0, 256, (envs, *STACK[:-1]))
    return shown.reshape(-1, *STACK)


def make_snapshot(k: int, observation: Space = FLOATS, action: Space = CHOICE, n: int = 32) -> ControlSnapshot:
    rng = np.random.default_rng([7, k])
    actions = values_of(action, n, rng)
    kept = rng.random(n) < 0.8
    buffer = RolloutBuffer(
        env=(np.arange(n) % 2).astype(np.int16),
        t=(np.arange(n) // 2).astype(np.int32),
        episode=rng.integers(0, 2**60, n),
        observation=values_of(observation, n, rng),
        action=actions if action.kind == "discrete" else actions.reshape(n, -1),
        reward=floats(rng, n),
        terminated=rng.random(n) < 0.3,
        truncated=rng.random(n) < 0.1,
        value=floats(rng, n),
        log_prob=floats(rng, n),
        advantage=floats(rng, n),
        returns=floats(rng, n),
        kept=kept,
        critic_kept=np.ones(n, bool) if k % 2 else kept,
        repaired=rng.random(n) < 0.2 if k % 3 == 1 else np.zeros(n, bool),
    )
    minibatches = np.stack([rng.permutation(n) for _ in range(2)]).astype(np.int32)
    return ControlSnapshot(
        round=k,
        config=CONFIG,
        observation_space=observation,
        action_space=action,
        buffer=buffer,
        checkpoint=make_checkpoint(k),
        minibatches=minibatches,
    )


def make_checkpoint(k: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([8, k])
    return {
        "parameter/actor.0.weight": floats(rng, 4, 3),
        "parameter/scalar": floats(rng).reshape(()),
        "parameter/frozen": np.array([True, False, True]),
        "parameter/empty": np.zeros((0, 3), np.float32),
        "optimizer/step/actor.0.weight": np.array(float(k)),
        "rng/numpy": rng.integers(0, 2**64, 6, dtype=np.uint64),
        "rng/torch": rng.integers(0, 256, 40).astype(np.uint8),
        "normalizer/flag": np.array(True),
    }


def make_manifest(observation: Space = FLOATS, action: Space = CHOICE) -> RunManifest:
    return RunManifest(
        env_id="Made-up-v0",
        config=CONFIG,
        encoder="identity",
        observation_space=observation,
        action_space=action,
        fingerprint={"numpy": "2.0"},
        created="2026-01-02T03:04:05+00:00",
    )


def write_run(path: Path, rounds: int = 3, final: bool = True) -> Path:
    with RunWriter.create(path, make_manifest()) as writer:
        for k in range(rounds):
            writer.commit_round(make_snapshot(k), METRICS)
        if final:
            writer.commit_final(rounds, make_checkpoint(rounds))
    return path


def assert_same_array(found: np.ndarray, expected: np.ndarray, name: str = "") -> None:
    assert found.dtype == expected.dtype, name
    assert found.shape == expected.shape, name
    assert found.tobytes() == expected.tobytes(), name


def assert_same_checkpoint(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert_same_array(found[name], tensor, name)


def assert_same_snapshot(found: Snapshot, expected: Snapshot) -> None:
    for name, column in vars(expected.buffer).items():
        assert_same_array(getattr(found.buffer, name), column, name)
    assert_same_array(found.minibatches, expected.minibatches)
    assert_same_checkpoint(dict(found.checkpoint), dict(expected.checkpoint))
    assert found.round == expected.round

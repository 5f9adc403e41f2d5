"""What can be done on a CUDA device, against the same on the CPU; without one, the same in small on the CPU alone.

`benchmarks/device.sh` runs this beside `replays`, which counts replays a second on the device that is here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

import engine
from benchmarks.timing import Figure, alternate, milliseconds, ratio
from engine.config import TrainConfig
from engine.core.draws import random_removals
from engine.core.gradients.inner_products import gradient, inner_products
from engine.core.objective import Batch
from engine.core.replays.many import Replay, ReplayTask, run_replays
from engine.core.replays.replayed_run import replay_run
from engine.core.targets.of_records import return_target
from engine.demos.courtesy.settings import TRAINING
from engine.kinds.control.batched_replays import batched_values
from engine.kinds.control.learner import ControlLearner
from engine.kinds.language.objective import token_batch
from engine.kinds.language.policy import LanguagePolicy
from engine.kinds.language.targets import TokenTarget, at_once

SEED = 0
MODELS: dict[str, dict[str, Any]] = {
    "cuda": {},
    "cpu": {"n_layer": 2, "n_embd": 64, "n_head": 2, "vocab_size": 512, "bos_token_id": None, "eos_token_id": None},
}
"""GPT-2 on a device: its smallest size, and what there is time for on the CPU."""
RECORDS = {"cuda": 4096, "cpu": 256}
"""Of a policy of somebody else's, on a device."""
REPLAYS, SEQUENCES = {"cuda": 64, "cpu": 8}, {"cuda": 256, "cpu": 32}


def figures(quick: bool = False) -> Iterator[Figure]:
    """Batched replays, a language model, other people's policies, and a recorder: on the device that is here."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    yield from _batched_replays(device)
    yield _language_model(device, quick)
    for policy, space in (
        ("MlpPolicy", spaces.Box(-2, 2, (24,), np.float32)),
        ("CnnPolicy", spaces.Box(0, 255, (4, 84, 84), np.uint8)),
    ):
        yield from _other_policy(policy, space, device, quick)
    yield from _recorder(device)


def _batched_replays(device: torch.device) -> Iterator[Figure]:
    """Of a round of LunarLander without half its records, against the exact ones."""
    learner = ControlLearner.begin(engine.preset("LunarLander-v3", "default"))
    learner.update(learner.collect())
    snapshot, count = learner.collect(), REPLAYS[device.type]
    removed, target = random_removals(snapshot, 0.5, count), return_target(snapshot)
    orders = [q % 4 for q in range(count)]
    exact = run_replays(
        snapshot, [target], ReplayTask(0, [], [Replay(row, q) for row, q in zip(removed, orders, strict=True)])
    )
    batched = batched_values(snapshot, [target], removed, orders, device)
    apart = np.abs(batched - np.asarray(exact)).ravel()
    what = f"a batched replay's target on {device.type}, of {count}: difference to the exact one"
    yield Figure(what, float(np.median(apart)), float(apart.min()), "", target="<= 2e-5")


def _language_model(device: torch.device, quick: bool, tokens: int = 64) -> Figure:
    """GPT-2 with random weights: the gradient of f, then inner products by token."""
    from transformers import AutoModelForCausalLM, GPT2Config

    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_config(GPT2Config(**MODELS[device.type]), attn_implementation="eager")
    policy = LanguagePolicy(model.to(device), value_head=False)
    rng = np.random.default_rng(SEED)
    sequences = SEQUENCES[device.type]
    ids = rng.integers(policy.vocabulary, size=(sequences, tokens))
    mask = np.broadcast_to(np.arange(tokens) >= tokens // 4, ids.shape)

    def draw() -> NDArray[np.float64]:
        return rng.normal(size=ids.shape)

    with torch.no_grad():
        parts = [
            policy(policy.encode(p), policy.actions(p, mask[: len(p)]), False).log_prob.cpu() for p in np.split(ids, 8)
        ]
    log_prob = np.pad(np.concatenate(parts), ((0, 0), (1, 0)))
    batch = token_batch(
        policy, ids, mask, log_prob=log_prob, advantage=draw(), returns=0 * draw(), kept=np.ones(sequences, bool)
    )
    weight = (draw()[:, :1] * mask / sequences).astype(np.float32)
    target: Any = TokenTarget("sequence", ids, weight, {}, "sequence target")
    config = TrainConfig(**TRAINING)

    def influence() -> None:
        direction = gradient(target, policy)
        for rows in at_once(ids.shape, policy):
            inner_products(policy, Batch(*(c[rows] for c in batch)), config, direction, "jvp")
        _finished(device)

    seconds = alternate({"": influence}, repeats=3 if quick else 10, warm_up=2 if device.type == "cuda" else 1)[""]
    size = sum(p.numel() for p in policy.parameters()) / 1e6
    what = f"influence of {sequences} sequences of {tokens} tokens, {size:.3g}M parameters, on {_name(device)}"
    return milliseconds(what, seconds, target="<= 2000 ms" if device.type == "cuda" else "")


class _Theirs(engine.Policy):
    """A policy of Stable-Baselines3, where it is."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy

    def encode(self, observation: Any) -> Tensor:
        return torch.as_tensor(observation, device=self.device)

    def forward(self, inputs: Any, action: Tensor, with_value: bool = True) -> engine.Evaluation:
        value, log_prob, entropy = self.policy.evaluate_actions(inputs, action)
        return engine.Evaluation(log_prob, entropy, value.flatten())


class _Still(gym.Env[Any, Any]):
    """Spaces, and nothing happens in them."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space


def _other_policy(kind: str, space: spaces.Box, device: torch.device, quick: bool) -> Iterator[Figure]:
    """Scores of random records by `engine.attribute` on the device and on the CPU."""
    from stable_baselines3 import PPO

    torch.manual_seed(SEED)
    theirs: Any = PPO(kind, _Still(space, spaces.Discrete(4)), device="cpu").policy
    n, rng = RECORDS[device.type], np.random.default_rng(SEED)
    space.seed(SEED)
    observation = np.stack([space.sample() for _ in range(n)])
    action, drawn = rng.integers(4, size=n), torch.as_tensor(rng.normal(size=(3, n)), dtype=torch.float32)
    config = TrainConfig(env_id="theirs")
    found: dict[str, NDArray[np.float32]] = {}

    def scores(where: torch.device) -> None:
        policy = _Theirs(theirs.to(where))
        inputs, taken = policy.encode(observation), policy.as_tensor(action)
        with torch.no_grad():
            said = policy(inputs, taken).log_prob
        noise, advantage, returns = (column.to(where) for column in drawn)
        kept = torch.ones(n, dtype=torch.bool, device=where)
        batch = engine.Batch(inputs, taken, said + 0.1 * noise, advantage, returns, kept)
        target = engine.ActionTarget(observation[:1], action[:1])
        found[where.type] = engine.attribute(policy, batch, target, config).influence
        _finished(where)

    cpu = torch.device("cpu")
    ways = {"device": lambda: scores(device), "cpu": lambda: scores(cpu)}
    times = alternate(ways, repeats=1 if quick else 5)
    faster = ratio(times, "cpu", "device")
    yield milliseconds(
        f"scores of {n:,} records, Stable-Baselines3's {kind}, on {device.type}",
        times["device"],
        ratio=faster,
        against="faster than on the CPU",
    )
    apart = np.abs(found[device.type] - found["cpu"]).max() / np.abs(found["cpu"]).max()
    what = f"the same: largest difference to the CPU's, as a share of the largest score ({kind})"
    yield Figure(what, float(apart), float(apart), "", target="<= 1e-3")


def _recorder(device: torch.device) -> Iterator[Figure]:
    """A Stable-Baselines3 training there, recorded; its rounds replayed from their files on the CPU."""
    from stable_baselines3 import PPO

    from engine.recording import sb3

    with tempfile.TemporaryDirectory() as folder:
        model = PPO("MlpPolicy", "CartPole-v1", n_steps=512, seed=SEED, device=device)
        with sb3.Recorder(Path(folder) / "run", quiet=True) as recorder:
            model.learn(3 * 512, callback=recorder)
        rounds = list(replay_run(engine.open_run(Path(folder) / "run")))
    shares = [each.largest / each.moved for each in rounds if each.largest is not None and each.moved]
    what = f"a round recorded on {device.type}, replayed on the CPU: difference as a share of its update"
    yield Figure(what, max(shares), min(shares), "", target="<= 0.02")
    yield Figure("rounds recorded there and replayed", len(shares), len(shares), f"of {len(rounds)}", target="all")


def _finished(device: torch.device) -> None:
    """Wait for what was begun there."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else "the CPU"

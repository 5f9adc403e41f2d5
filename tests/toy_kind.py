"""A third kind of run: contextual bandits, a linear softmax policy without a critic, plain policy gradients.

All that it takes is in this file; docs/architecture.md goes through it, "A new kind of run".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.config import TrainConfig
from engine.core.agent import Agent, PolicyAgent
from engine.core.checkpoint import fingerprint, restore_rng, rng_tensors
from engine.core.effort import Effort
from engine.core.evaluation import EVALUATION_SEED, PolicyEvaluation
from engine.core.filtering import ranked_filter
from engine.core.kind import Kind, Words
from engine.core.learner import Learner
from engine.core.objective import Batch, Objective, RecordObjective, draw_minibatches, make_optimizer
from engine.core.policy import Evaluation, Policy
from engine.known_kinds import register
from engine.spaces import Space
from engine.store.columns import columns_from, records_table
from engine.store.manifest import Parent, RunManifest
from engine.store.snapshot import Float32s, Records, Snapshot

SPACES = Space("box", shape=(2,), dtype="float32"), Space("discrete", n=3, names=("east", "north", "south-west"))
PAYS = np.array([[1, 0], [0, 1], [-1, -1]], np.float32)
"""Arm a pays PAYS[a] @ context, and noise."""
GENERATORS = ("plays", "minibatches")
FIELDS: dict[str, Any] = {
    "observation": ("float32", (2,)),
    "action": ("int64", ()),
    "kept": ("bool", ()),
    **dict.fromkeys(("returns", "log_prob", "advantage"), ("float32", ())),
}


@dataclass(frozen=True)
class ToySettings:
    """What `engine.train` is told."""

    config: TrainConfig
    noise: float = 0.1
    """Standard deviation of what an arm pays."""
    kind: ClassVar[str] = "toy"


@dataclass(frozen=True)
class Plays(Records):
    """B(k): one record a play. `FIELDS` says what they are."""

    observation: Float32s
    action: NDArray[np.int64]
    returns: Float32s
    log_prob: Float32s
    advantage: Float32s
    kept: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, repr=False)
class ToySnapshot(Snapshot):
    """Round k; its own settings are in `settings`."""

    kind = "toy"


class Softmax(Policy):
    """pi(arm | context)."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Linear(2, len(PAYS))
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)

    def encode(self, observation: Any) -> Tensor:
        return self.as_tensor(observation)

    def forward(self, inputs: Tensor, action: Tensor, with_value: bool = True) -> Evaluation:
        said = torch.distributions.Categorical(logits=self.logits(inputs))
        return Evaluation(said.log_prob(action), said.entropy(), None)


def policy_gradient(said: Evaluation, batch: Batch) -> Objective:
    """J_i = A_i log pi(a_i|s_i)."""
    nothing = torch.zeros_like(said.log_prob)
    return Objective(batch.advantage * said.log_prob, nothing, nothing)


def play(policy: Policy, n: int, noise: float, rng: np.random.Generator) -> Plays:
    """N plays of the policy."""
    context = rng.normal(size=(n, 2)).astype(np.float32)
    with torch.no_grad():
        odds = np.asarray(policy.logits(policy.encode(context)).double().softmax(-1))
    arm = (odds.cumsum(1) > rng.random((n, 1))).argmax(1)
    paid = ((PAYS[arm] * context).sum(1) + noise * rng.normal(size=n)).astype(np.float32)
    log_prob = np.log(odds[np.arange(n), arm]).astype(np.float32)
    return Plays(context, arm, paid, log_prob, paid - paid.mean(), np.ones(n, bool))


@dataclass
class ToyLearner(Learner[ToySnapshot]):
    """Plays, and learns from them."""

    config: TrainConfig
    agent: Agent
    round: int
    noise: float
    generators: dict[str, np.random.Generator]

    def collect(self) -> ToySnapshot:
        n, rngs = self.config.records_per_round, self.generators
        plays = play(self.agent.policy, n, self.noise, rngs["plays"])
        minibatches = draw_minibatches(rngs["minibatches"], n, self.config.n_epochs)
        metrics = {"records": n, "episodes": n, "mean_return": float(plays.returns.mean())}
        return ToySnapshot(
            round=self.round,
            config=self.config,
            settings={"noise": self.noise},
            buffer=plays,
            checkpoint=self.state(),
            minibatches=minibatches,
            fingerprint=fingerprint(),
            metrics=metrics,
        )

    def state(self) -> dict[str, Any]:
        return self.agent.tensors() | rng_tensors(self.generators)

    def reseed(self, rng: np.random.Generator) -> None:
        self.generators = dict(zip(GENERATORS, rng.spawn(2), strict=True))

    def manifest(self, parent: Parent | None = None) -> RunManifest:
        return RunManifest(
            self.config.env_id,
            self.config,
            "flatten",
            *SPACES,
            kind="toy",
            settings={"noise": self.noise},
            fingerprint=fingerprint(),
            parent=parent,
        )


class Casino(PolicyEvaluation):
    """New plays, the same contexts for every policy."""

    def __init__(self, noise: float) -> None:
        self.noise = noise

    def returns(
        self, player: Agent, block: int, episodes: int, check: Callable[[], None] | None = None
    ) -> NDArray[np.float64]:
        rng = np.random.default_rng([EVALUATION_SEED, block])
        return play(player.policy, episodes, self.noise, rng).returns.astype(np.float64)


class ToyKind(Kind):
    """What is different from the contract's defaults."""

    name = "toy"
    words = Words(records="plays", episodes="plays", evaluated="new plays")
    effort = Effort(subsets=8, orders=2, pairs=12)

    def policy(self, snapshot: ToySnapshot) -> Softmax:
        return Softmax().load(snapshot.parameters)

    def objective(self, snapshot: ToySnapshot) -> RecordObjective:
        return RecordObjective(snapshot.config, policy_gradient)

    def spaces(self, snapshot: ToySnapshot) -> tuple[Space, Space]:
        return SPACES

    def evaluation(self, snapshot: ToySnapshot, given: Any) -> Casino:
        return Casino(**snapshot.settings)

    def settings(self, source: Any) -> ToySettings:
        return ToySettings(source.config, **source.settings)

    def begin(self, settings: ToySettings, out: Any, given: Any) -> ToyLearner:
        policy, config = Softmax(), settings.config
        agent = PolicyAgent(config, policy, make_optimizer(policy, config), policy_gradient)
        generators = {name: np.random.default_rng([config.seed, i]) for i, name in enumerate(GENERATORS)}
        return ToyLearner(config, agent, 0, settings.noise, generators)

    def after(self, snapshot: ToySnapshot, agent: Agent, out: Any, given: Any, *, collects: bool = True) -> ToyLearner:
        generators = {name: restore_rng(snapshot.checkpoint, name) for name in GENERATORS}
        return ToyLearner(snapshot.config, agent, snapshot.round + 1, snapshot.settings["noise"], generators)

    def make_filter(self, settings: ToySettings) -> Any:
        return ranked_filter(settings.config)


class ToyColumns:
    """How rounds are kept."""

    def tables(self, snapshot: ToySnapshot, manifest: RunManifest) -> dict[str, Any]:
        return {"records": records_table(vars(snapshot.buffer), FIELDS)}

    def buffer(self, manifest: RunManifest, tables: Any, names: Any) -> Plays:
        return Plays(**columns_from(tables[0], FIELDS, names[0]))

    def snapshot(self, manifest: RunManifest, buffers: Any, file: str, common: Any) -> ToySnapshot:
        return ToySnapshot(buffer=buffers["records"], **common)


register("toy", ToyKind(), ToyColumns(), parts=[("records",)])

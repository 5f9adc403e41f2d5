"""Runs of other people's trainers as a kind: what they say of themselves, replayed with their own loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.checkpoint import fingerprint
from engine.core.gradients.derivatives import Derivatives, KeptGradients
from engine.core.kind import Given
from engine.core.objective import Batch, RecordObjective
from engine.core.policy import Policy
from engine.errors import BadInputError
from engine.kinds.control.blueprint import Blueprint
from engine.kinds.control.kind import ControlKind
from engine.kinds.recorded.agent import TORCH_GENERATOR, RecordedAgent, batch_of
from engine.kinds.recorded.collecting import collected_anew, why_not_collected
from engine.kinds.recorded.learner import RecordedLearner
from engine.kinds.recorded.loss import Loss, OwnTerms, loss_from
from engine.kinds.recorded.memory import PLACE, remembers
from engine.kinds.recorded.other_settings import setting_of, with_settings
from engine.kinds.recorded.remaking import restore_recorded
from engine.kinds.recorded.settings import RecordedSettings
from engine.kinds.recorded.snapshot import RecordedSnapshot
from engine.kinds.recorded.step_sequences import InSequences
from engine.kinds.recorded.tensors import restore_optimizer
from engine.store.manifest import RunManifest


class RecordedKind(ControlKind):
    """A control task whose policy, loss and optimizer are somebody else's."""

    name = "recorded"
    answers_states = False
    no_training = (
        "another trainer made this run, so that it can't be trained on here; a removal is replayed and evaluated"
    )

    @staticmethod
    def origin(manifest: RunManifest) -> str:
        """The trainer with its versions, and the run's capabilities."""
        said = RecordedSettings.from_json(manifest.settings)
        versions = ", ".join(f"{package} {number}" for package, number in said.trainer.versions.items())
        return f"Recorded from {said.trainer.name} ({versions}). Can: {said.capabilities.words}."

    def policy(self, snapshot: Any) -> Any:
        """The trainer's own module, made again."""
        return restore_recorded(snapshot.said, snapshot.checkpoint, snapshot.config.learning_rate)

    def policy_of(self, blueprint: Blueprint, checkpoint: Mapping[str, NDArray[Any]]) -> Any:
        """Of any checkpoint."""
        return restore_recorded(RecordedSettings.from_json(blueprint.settings), checkpoint)

    def agent_of(self, blueprint: Blueprint, checkpoint: Mapping[str, NDArray[Any]]) -> Any:
        """The policy itself acts."""
        return self.policy_of(blueprint, checkpoint)

    def agent(self, snapshot: Any) -> Any:
        """With the trainer's own optimizer."""
        rate = float(snapshot.in_force.get("learning_rate", snapshot.config.learning_rate))
        policy = self.policy(snapshot)
        optimizer = restore_optimizer(policy, snapshot.checkpoint, rate, snapshot.said.optimizer)
        generator = snapshot.checkpoint.get(TORCH_GENERATOR)
        return RecordedAgent(snapshot.config, loss_of(snapshot), policy, optimizer, generator, _threads(snapshot))

    def batch(self, snapshot: Any, policy: Policy) -> Batch:
        """With what the loss wants to know of them."""
        return batch_of(policy, snapshot.buffer, loss_of(snapshot))

    def objective(self, snapshot: Any) -> RecordObjective:
        """The trainer's own."""
        kind = InSequences if remembers(snapshot.buffer.observation) else RecordObjective
        return kind(snapshot.config, loss_of(snapshot).terms)

    def draw_minibatches(self, snapshot: Any, rng: np.random.Generator, left: NDArray[np.int64]) -> NDArray[np.integer]:
        """Where a policy has an LSTM, one environment after another from a random record on, as RecurrentPPO draws them."""
        if not remembers(snapshot.buffer.observation):
            return super().draw_minibatches(snapshot, rng, left)
        if len(left) < len(snapshot.buffer):
            raise BadInputError(
                "the steps of a policy with an LSTM stay in their order, so that minibatches are not drawn anew without some "
                "of them; take the mode mask"
            )
        in_order = np.argsort(snapshot.buffer.observation[PLACE], kind="stable")
        return np.stack([np.roll(in_order, -rng.integers(len(left))) for _ in range(snapshot.config.n_epochs)])

    def setting(self, snapshot: Any, name: str) -> Any:
        """As the round says it."""
        return setting_of(snapshot, name)

    def with_settings(self, snapshot: Any, settings: Mapping[str, Any]) -> Any:
        """Where the round says them."""
        return with_settings(snapshot, settings)

    def derivatives(self, snapshot: Any) -> Derivatives:
        """By torch."""
        return self.torch_derivatives(snapshot)

    def kept_gradients(self, snapshot: Any) -> KeptGradients | None:
        """None are kept."""
        return None

    def keeps_gradients(self, snapshot: Any) -> bool:
        """None are."""
        return False

    def check_possible(self, snapshot: Any, target: Any) -> None:
        """Every target is as good as its gradient."""

    def check_replayable(self, snapshot: Any, device: str = "cpu") -> None:
        """Where the trainer's update is known here."""
        if device != "cpu":
            raise BadInputError(f"rounds of the kind {self.name} are replayed on the CPU only, not on {device}")
        why = snapshot.said.capabilities.replay
        if why:
            raise BadInputError(f"the updates of this run can't be replayed: {why}")

    def unplayed(self, snapshot: Any) -> str:
        """Also where the policy's actions can't be drawn here."""
        why = self.policy(snapshot).cannot_act
        return super().unplayed(snapshot) or (f"this policy can't be played: {why}" if why else "")

    def fingerprint(self) -> dict[str, str]:
        """With the trainer's version."""
        return recorded_fingerprint()

    def settings(self, source: Any) -> TrainConfig:
        """Those that all runs have."""
        config: TrainConfig = source.config
        return config

    def checked(self, settings: Any) -> Any:
        """Nothing is trained with them here."""
        raise BadInputError(self.no_training)

    def after(self, snapshot: Any, agent: Any, out: Path, given: Given, *, collects: bool = True) -> Any:
        """What a branch records; nothing is collected."""
        if collects:
            raise BadInputError(self.no_training)
        return RecordedLearner(snapshot.config, agent, snapshot, snapshot.round + 1)

    def why_not_collected(self, snapshot: Any) -> str:
        """Where its records are not steps as they are collected here."""
        return why_not_collected(snapshot)

    def collected_anew(self, snapshot: Any, rng: np.random.Generator) -> Any:
        """By the trainer's own policy."""
        return collected_anew(snapshot, self.agent(snapshot), rng)

    def make_filter(self, settings: Any) -> Callable[..., Any] | None:
        """None."""
        return None


KIND = RecordedKind()
MOST_THREADS = 256


def loss_of(snapshot: RecordedSnapshot) -> Loss | OwnTerms:
    """The loss in force in a round.

    Raises:
        BadInputError: the round says none that can be understood.
    """
    return loss_from(snapshot.in_force.get("loss", {}))


def _threads(snapshot: RecordedSnapshot) -> int:
    said = snapshot.in_force.get("threads", 1)
    return said if type(said) is int and 1 <= said <= MOST_THREADS else 1


def recorded_fingerprint() -> dict[str, str]:
    """Software and hardware that replay's bits depend on."""
    found = {
        name: said for name, said in fingerprint().items() if name != "threads"
    }  # a round says it, and is replayed so
    return found | {"stable_baselines3": _version("stable_baselines3")}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

"""Control tasks as a kind of run: own PPO in an environment of Gymnasium's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.advantage_steps import Trajectories
from engine.core.features import Feature
from engine.core.filtering import Filtered
from engine.core.gradients.derivatives import Derivatives, KeptGradients
from engine.core.kind import Given, Kind
from engine.core.targets.of_records import ActionTarget
from engine.envs import trainable
from engine.envs.names import names_from
from engine.errors import BadInputError
from engine.kinds.control.agents import Agent, restore_agent
from engine.kinds.control.batched_replays import OnCuda, check_cuda
from engine.kinds.control.blueprint import Blueprint
from engine.kinds.control.closed_form_derivatives import ClosedFormDerivatives
from engine.kinds.control.evaluation import Episodes, Player
from engine.kinds.control.features import features
from engine.kinds.control.filtering import make_filter
from engine.kinds.control.learner import ControlLearner
from engine.kinds.control.networks import ActorCritic, restore_policy
from engine.kinds.control.normalization import normalizer_at
from engine.kinds.control.recorded_environment import environment_of
from engine.kinds.control.rollout import trajectories_of
from engine.kinds.control.round_gradients import has_gradients, round_gradients
from engine.kinds.control.snapshot import ControlSnapshot
from engine.spaces import Space


class ControlKind(Kind):
    """What is different from the contract's defaults: the closed form, and episodes in environments."""

    name = "control"
    has_states = True
    answers_states = True
    takes = ("names",)
    no_rollouts = ""

    def policy(self, snapshot: ControlSnapshot) -> ActorCritic:
        """The actor-critic."""
        return restore_policy(*_networks(snapshot))

    def policy_of(self, blueprint: Blueprint, checkpoint: Mapping[str, NDArray[Any]]) -> Any:
        """The policy of a checkpoint, see `Blueprint.policy`."""
        return restore_policy(blueprint.config, blueprint.observation_space, blueprint.action_space, checkpoint)

    def agent_of(self, blueprint: Blueprint, checkpoint: Mapping[str, NDArray[Any]]) -> Any:
        """What acts by it."""
        return restore_agent(blueprint.config, blueprint.observation_space, blueprint.action_space, checkpoint)

    def agent(self, snapshot: ControlSnapshot) -> Agent:
        """On the path that the run was trained on."""
        return restore_agent(*_networks(snapshot))

    def trajectories(self, snapshot: ControlSnapshot) -> Trajectories:
        """One of every episode, or part of one, in the round."""
        return trajectories_of(snapshot.buffer, snapshot.config)

    def derivatives(self, snapshot: ControlSnapshot) -> Derivatives:
        """In closed form, where the run was trained in it."""
        general = self.torch_derivatives(snapshot)
        if snapshot.config.path != "closed_form":
            return general
        return ClosedFormDerivatives(snapshot, self.policy(snapshot), general)

    def kept_gradients(self, snapshot: ControlSnapshot) -> KeptGradients | None:
        """Of tanh perceptrons, as factors."""
        return round_gradients(snapshot)

    def keeps_gradients(self, snapshot: ControlSnapshot) -> bool:
        """Of perceptrons."""
        return has_gradients(snapshot)

    def check_possible(self, snapshot: ControlSnapshot, target: Any) -> None:
        """An action that the policy never takes: its log-probability has no meaningful gradient."""
        if not isinstance(target, ActionTarget):
            return
        impossible = ~(np.exp(self.agent(snapshot).log_prob(target.observation, target.action)) > 0)
        if impossible.any():
            which = target.action[impossible][0]
            name = dict(enumerate(snapshot.action_space.names)).get(int(which)) if which.ndim == 0 else None
            raise BadInputError(
                f"the policy of round {snapshot.round} gives action {which if name is None else name} probability 0 in that "
                "state, so no record can be said to lead to it; choose another action or an earlier round"
            )

    def check_replayable(self, snapshot: ControlSnapshot, device: str = "cpu") -> None:
        """Networks without convolutions have a batched form for CUDA."""
        if device == "cuda":
            check_cuda(snapshot)

    def batched(self, snapshot: ControlSnapshot) -> OnCuda:
        """Hundreds of replays at a time."""
        return OnCuda(snapshot)

    def columns(self, snapshot: ControlSnapshot, records: Sequence[int]) -> dict[str, list[Any]]:
        """What was done, and what came of it."""
        chosen, buffer = list(records), snapshot.buffer
        return {
            "episode": buffer.episode[chosen].tolist(),
            "action": [str(action) for action in buffer.action[chosen]],
            "reward": buffer.reward[chosen].tolist(),
            "advantage": buffer.advantage[chosen].tolist(),
        }

    def features(self, snapshot: ControlSnapshot) -> Iterator[Feature]:
        """Of its learning, its episode, the policy and the state."""
        return features(snapshot)

    def unknown(self, snapshot: ControlSnapshot) -> Sequence[str]:
        """What only a replay says."""
        if snapshot.minibatches.size:
            return ()
        return ("the round was recorded without its minibatches, so nothing is said of ratios after the update",)

    def groups(self, snapshot: ControlSnapshot) -> tuple[str, NDArray[Any]]:
        """Episodes."""
        return "episode", snapshot.buffer.episode

    def spaces(self, snapshot: ControlSnapshot) -> tuple[Space, Space]:
        """Those of the environment."""
        return snapshot.observation_space, snapshot.action_space

    def unplayed(self, snapshot: ControlSnapshot) -> str:
        """Where its environment is not here, or is another one here."""
        try:
            environment_of(snapshot)
        except BadInputError as reason:
            return str(reason)
        return ""

    def evaluation(self, snapshot: ControlSnapshot, given: Given) -> Episodes:
        """Stochastic episodes."""
        return Episodes(environment_of(snapshot))

    def player(self, snapshot: ControlSnapshot, agent: Any) -> Player:
        """With the statistics of observations as they stood at the round's beginning."""
        return Player(agent, normalizer_at(snapshot.config, snapshot.checkpoint))

    def settings(self, source: Any) -> TrainConfig:
        """Those that all runs have."""
        config: TrainConfig = source.config
        return config

    def checked(self, settings: TrainConfig) -> TrainConfig:
        """With the environment's whole name."""
        return replace(settings, env_id=trainable(settings.env_id).name)

    def begin(self, settings: TrainConfig, out: Path, given: Given) -> ControlLearner:
        """Everything from the settings' seed; `names` are what `engine.envs.names.Names` has."""
        names = given.get("names")
        return ControlLearner.begin(settings, None if names is None else names_from(names))

    def after(
        self, snapshot: ControlSnapshot, agent: Any, out: Path, given: Given, *, collects: bool = True
    ) -> ControlLearner:
        """The environments are stepped through the round."""
        return ControlLearner.after(snapshot, agent, collects=collects)

    def make_filter(self, settings: TrainConfig) -> Callable[[ControlSnapshot], Filtered] | None:
        """IIF, its baselines and re-estimation."""
        return make_filter(settings)


KIND = ControlKind()


def _networks(snapshot: ControlSnapshot) -> tuple[Any, ...]:
    return snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint

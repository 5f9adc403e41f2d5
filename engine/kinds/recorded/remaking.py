"""Another trainer's policy and optimizer, made again from a recipe and a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from engine.errors import BadInputError
from engine.kinds.recorded.policy import RecordedPolicy, StableBaselinesPolicy
from engine.kinds.recorded.rebuilding import rebuilt
from engine.kinds.recorded.recipe import allowed_class, bounded, made, made_space
from engine.kinds.recorded.recurrent import RecurrentPolicy
from engine.kinds.recorded.settings import Recipe, RecordedSettings
from engine.kinds.recorded.tensors import load_buffers
from engine.store.snapshot import parameters_of

Checkpoint = Mapping[str, NDArray[Any]]


def restore_recorded(said: RecordedSettings, checkpoint: Checkpoint, learning_rate: float = 1.0) -> RecordedPolicy:
    """The policy of a checkpoint, in evaluation mode.

    Raises:
        BadInputError: it can't be made again here; says why, or what to allow.
        DamagedRunError: the checkpoint is not one of it.
    """
    if said.policy is None:
        raise BadInputError(f"the policy of this run can't be made again: {said.capabilities.influence}")
    parameters = parameters_of(checkpoint)
    try:
        with torch.random.fork_rng(devices=[]), bounded(sum(tensor.size for tensor in parameters.values())):
            policy = _made(said.policy, learning_rate)
    except BadInputError:
        raise
    except (TypeError, ValueError, AssertionError, RuntimeError, AttributeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInputError(
            f"the policy can't be made again from its recipe ({type(error).__name__}: {reason})"
        ) from error
    policy.load(parameters)
    load_buffers(policy, checkpoint)
    policy.eval()
    return policy


def _made(recipe: Recipe, learning_rate: float) -> RecordedPolicy:
    if recipe.by == "function":
        return rebuilt(recipe.name, made(recipe.arguments))
    from stable_baselines3.common.policies import BasePolicy

    kind = allowed_class(recipe.name)
    if not (issubclass(kind, BasePolicy) and hasattr(kind, "evaluate_actions")):
        raise BadInputError(f"the recipe names {recipe.name!r}, which is no policy that evaluates actions")
    arguments = made(recipe.arguments)
    spaces = made_space(recipe.observation_space), made_space(recipe.action_space)
    return as_policy(kind(*spaces, lambda _: learning_rate, **arguments))


def as_policy(theirs: Any) -> StableBaselinesPolicy:
    """A policy of Stable-Baselines3 or sb3-contrib as the core wants it."""
    return RecurrentPolicy(theirs) if hasattr(theirs, "lstm_actor") else StableBaselinesPolicy(theirs)

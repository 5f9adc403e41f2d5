"""Which models' updates are known here, and how their policies are made again."""

from __future__ import annotations

from typing import Any

from engine.kinds.recorded.recipe import NotDescribedError, class_name, described, described_space
from engine.kinds.recorded.settings import Recipe

MASKED = ("sb3_contrib.ppo_mask.ppo_mask",)
RECURRENT = ("sb3_contrib.ppo_recurrent.ppo_recurrent",)
UPDATES = ("stable_baselines3.ppo.ppo", "stable_baselines3.a2c.a2c", *MASKED, *RECURRENT)
"""Modules of the algorithms whose `train` is replayed here."""
IN_FORCE = (
    "learning_rate",
    "clip_range",
    "target_kl",
    "ent_coef",
    "vf_coef",
    "max_grad_norm",
    "gamma",
    "gae_lambda",
    "normalize_advantage",
)
"""Settings that they read anew in every round, so that a schedule or a callback can change them."""


def recipe_of(model: Any) -> tuple[Recipe | None, str]:
    """How the policy is made again, or why it can't be."""
    if not hasattr(model, "normalize_advantage"):
        return None, f"policies of a {type(model).__name__}, whose updates are not known here, are not made again"
    try:
        said = {name: described(value) for name, value in arguments_of(model).items()}
        spaces = described_space(model.observation_space), described_space(model.action_space)
        return Recipe(
            name=class_name(model.policy_class), observation_space=spaces[0], action_space=spaces[1], arguments=said
        ), ""
    except NotDescribedError as error:
        return None, f"the policy can't be made again: {error}"


def arguments_of(model: Any) -> dict[str, Any]:
    """What the model makes its policy with, beside spaces and step size."""
    masked = any(kind.__module__ in MASKED for kind in type(model).__mro__)
    return {**({} if masked else {"use_sde": model.use_sde}), **model.policy_kwargs}


def unknown_update(model: Any) -> str:
    """Why the model's update is not known here; empty where it is."""
    own = next((kind for kind in type(model).__mro__ if kind.__module__ in UPDATES), None)
    if own is None or type(model).train is not own.train:  # type: ignore[attr-defined]
        return f"{type(model).__name__} has an update of its own (train), which is not known here"
    return ""


def is_recurrent(model: Any) -> bool:
    """Whether the model is a RecurrentPPO, whose minibatches are made of sequences."""
    return any(kind.__module__ in RECURRENT for kind in type(model).__mro__)

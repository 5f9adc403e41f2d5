"""The demonstration's settings, in which it differs from the defaults of `TrainConfig` and `LanguageConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TRAINING: Mapping[str, Any] = {
    "env_id": "courtesy",
    "rounds": 20,
    "path": "torch",
    "n_steps": 64,
    "batch_size": 16,
    "n_epochs": 4,
    "learning_rate": 3e-4,
    "gamma": 1.0,
    "gae_lambda": 0.95,
    "vf_coef": 0.1,
    "drop": 1.0,
}
"""Fields of `TrainConfig`; a filter drops every record with negative influence, as the paper does for language models."""
LANGUAGE: Mapping[str, Any] = {
    "policy": "courtesy",
    "reward": "courtesy",
    "reward_label": "courteous",
    "prompts": "courtesy",
    "validation_prompts": 64,
    "max_new_tokens": 12,
    "kl_coef": 0.1,
}
"""Fields of `LanguageConfig`."""

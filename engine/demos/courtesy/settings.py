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
    "learning_rate": 5e-4,
    # Without a critic an advantage is the reward less the KL to come. One that foresees the reward would leave little of the
    # last token's advantage, which the sequence target is made of.
    "gamma": 1.0,
    "gae_lambda": 1.0,
    "vf_coef": 0.0,
    "drop": 1.0,
    "filter_mode": "mask",
}
"""Fields of `TrainConfig`; a filter drops every record with negative influence, as the paper does for language models."""
LANGUAGE: Mapping[str, Any] = {
    "policy": "courtesy",
    "reward": "courtesy",
    "reward_label": "courteous",
    "prompts": "courtesy",
    "validation_prompts": 256,
    "max_new_tokens": 12,
    "kl_coef": 0.6,
}
"""Fields of `LanguageConfig`. A strong KL penalty keeps the text fluent: the sequence target knows nothing of it."""

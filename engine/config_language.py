"""The settings that only runs of language models have; what they share with all PPO runs is in `TrainConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Literal, Self

from engine.config import require
from engine.errors import BadInputError


@dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """What a language model is trained on, and how its sequences are made and rewarded.

    Beside it `TrainConfig` says `n_steps`, the records (sequences) of a round, which are n_steps / group_size prompts,
    and `batch_size`, the records of a minibatch.

    Raises:
        BadInputError: a value is out of its range; the message names the field and the range.
    """

    policy: str
    """Causal language model by name or path, as `from_pretrained` takes it, or a named world. Its weights before training are
    the frozen reference, too."""
    reward: str
    """Sequence classifier by name or path, or a named world."""
    reward_label: str = ""
    """The label whose logit is the reward; empty for a classifier with a single output."""
    prompts: str = ""
    """Text file with one prompt a line, or a named world."""
    algorithm: Literal["ppo", "grpo"] = "ppo"
    """`ppo`: a value head and advantages by token; `grpo`: no value, advantages relative to a group of responses."""
    normalizer: Literal["grpo", "dr_grpo", "dapo"] = "grpo"
    """What a GRPO update divides by: `grpo` means within a sequence and then over sequences, `dr_grpo` the sequences times
    max_new_tokens (and advantages are not divided by their deviation), `dapo` the tokens of the minibatch."""
    group_size: int = 1
    """Responses to each prompt; GRPO needs at least 2."""
    validation_prompts: int = 64
    """Held-out prompts whose responses the sequence target is taken over; 0: over the round itself."""
    validation: Literal["regenerated", "fixed"] = "regenerated"
    """Whether their responses are generated anew each round, or once before the first one."""
    max_new_tokens: int = 16
    """Tokens of a response at most; one that ends without an end token there is truncated."""
    temperature: float = 1.0
    """The logits are divided by it, in sampling and in every log-probability."""
    kl_coef: float = 0.04
    """Weight of the KL penalty to the reference in each token's reward; where it is adaptive, that of the first round."""
    kl_target: float | None = None
    """KL of a sequence that an adaptive coefficient aims at (Ziegler et al. 2019, section 2.2); None: it stays fixed."""
    kl_horizon: int = 10_000
    """Records over which an adaptive coefficient moves."""
    accumulation: int = 1
    """Parts in which a minibatch's gradient is summed up, so that it fits the memory."""
    lora_rank: int = 0
    """Rank of LoRA adapters on the policy (with the extra `lora`), the only weights that are then trained beside the value
    head; 0 trains all weights."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the forward pass; weights, optimizer and everything recorded are float32."""
    flip: float = 0.0
    """Share of the training rewards whose sign is flipped, as planted faults: in named worlds alone, to show what influence
    finds. It is a setting of every run, because every `run.json` up to now has it."""
    min_kept: float = 0.25
    """Share of a round's records that a filter keeps at least."""

    def __post_init__(self) -> None:
        for name in ("policy", "reward"):
            require(bool(getattr(self, name)), name, repr(getattr(self, name)), "a model's name or path")
        for name, known in _CHOICES.items():
            require(getattr(self, name) in known, name, getattr(self, name), "one of " + ", ".join(known))
        for name, (least, most) in _RANGES.items():
            require(least <= getattr(self, name) <= most, name, getattr(self, name), f"from {least} to {most}")
        require(self.kl_coef >= 0, "kl_coef", self.kl_coef, "0 or more")
        require(self.temperature > 0, "temperature", self.temperature, "above 0")
        require(self.kl_target is None or self.kl_target > 0, "kl_target", self.kl_target, "above 0")
        for name in ("flip", "min_kept"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "in [0, 1)")
        require(self.algorithm == "ppo" or self.group_size > 1, "group_size", self.group_size, "at least 2 for grpo")

    def to_json(self) -> dict[str, Any]:
        """Plain values for `run.json`; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            BadInputError: a field is unknown, missing or of the wrong type.
        """
        kinds = {field.name: str(field.type) for field in fields(cls)}
        unknown = sorted(set(values) - set(kinds))
        if unknown:
            raise BadInputError(f"unknown setting {unknown[0]!r}; the settings are {', '.join(sorted(kinds))}")
        for name in ("policy", "reward"):
            if name not in values:
                raise BadInputError(f"the settings name no {name}")
        return cls(**{name: _typed(name, kinds[name], value) for name, value in values.items()})


_RANGES = {
    "group_size": (1, 2**16),
    "max_new_tokens": (1, 2**16),
    "kl_horizon": (1, 2**53),
    "accumulation": (1, 2**16),
    "validation_prompts": (0, 2**20),
    "lora_rank": (0, 2**10),
}
"""The least and the greatest value of each whole number."""
_CHOICES = {
    "algorithm": ("ppo", "grpo"),
    "normalizer": ("grpo", "dr_grpo", "dapo"),
    "validation": ("regenerated", "fixed"),
    "precision": ("float32", "bfloat16"),
}


def _typed(name: str, kind: str, value: Any) -> Any:
    """A setting's value as its field wants it, from what JSON can say."""
    if kind == "int":
        require(type(value) is int, name, repr(value), "a whole number")
        return value
    if kind.startswith("float"):
        if value is None and kind.endswith("None"):
            return None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        require(number and isfinite(value), name, repr(value), "a finite number")
        return float(value)
    require(isinstance(value, str), name, repr(value), "a text")
    return value

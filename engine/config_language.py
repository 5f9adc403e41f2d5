"""The settings that only runs of language models have; what they share with all PPO runs is in `TrainConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Self

from msgspec import Meta

from engine.config import Fraction, require
from engine.typed import LARGEST, Positive, settle, typed

Name = Annotated[str, Meta(min_length=1, extra={"right": "a model's name or path"})]
Several = Annotated[int, Meta(ge=1, le=2**16)]


@dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """What a language model is trained on, and how its sequences are made and rewarded.

    Beside it `TrainConfig` says `n_steps`, the records (sequences) of a round, which are n_steps / group_size prompts,
    and `batch_size`, the records of a minibatch.

    Raises:
        BadInputError: a value is out of its range; the message names the field and the range.
    """

    policy: Name
    """Causal language model by name or path, as `from_pretrained` takes it, or a named world. Its weights before training are
    the frozen reference, too."""
    reward: Name
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
    group_size: Several = 1
    """Responses to each prompt; GRPO needs at least 2."""
    validation_prompts: Annotated[int, Meta(ge=0, le=2**20)] = 64
    """Held-out prompts whose responses the sequence target is taken over; 0: over the round itself."""
    validation: Literal["regenerated", "fixed"] = "regenerated"
    """Whether their responses are generated anew each round, or once before the first one."""
    max_new_tokens: Several = 16
    """Tokens of a response at most; one that ends without an end token there is truncated."""
    temperature: Positive = 1.0
    """The logits are divided by it, in sampling and in every log-probability."""
    kl_coef: Annotated[float, Meta(ge=0, le=LARGEST)] = 0.04
    """Weight of the KL penalty to the reference in each token's reward; where it is adaptive, that of the first round."""
    kl_target: Positive | None = None
    """KL of a sequence that an adaptive coefficient aims at (Ziegler et al. 2019, section 2.2); None: it stays fixed."""
    kl_horizon: Annotated[int, Meta(ge=1, le=2**53)] = 10_000
    """Records over which an adaptive coefficient moves."""
    accumulation: Several = 1
    """Parts in which a minibatch's gradient is summed up, so that it fits the memory."""
    lora_rank: Annotated[int, Meta(ge=0, le=2**10)] = 0
    """Rank of LoRA adapters on the policy (with the extra `lora`), the only weights that are then trained beside the value
    head; 0 trains all weights."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the forward pass; weights, optimizer and everything recorded are float32."""
    flip: Fraction = 0.0
    """Share of the training rewards whose sign is flipped, as planted faults: in named worlds alone, to show what influence
    finds. It is a setting of every run, because every `run.json` up to now has it."""
    min_kept: Fraction = 0.25
    """Share of a round's records that a filter keeps at least."""

    def __post_init__(self) -> None:
        settle(self)
        require(self.algorithm == "ppo" or self.group_size > 1, "group_size", self.group_size, "at least 2 for grpo")

    def to_json(self) -> dict[str, Any]:
        """Plain values for `run.json`; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            BadInputError: a field is unknown, missing, of the wrong type or out of its range.
        """
        return typed(cls, values, "setting")

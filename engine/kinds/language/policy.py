"""A causal language model as a policy: the state is the text so far, the action the next token.

| symbol | shape | |
|---|---|---|
| ids | (n, L) | prompt and response, padded on the right with `PAD` |
| inputs | (n, T), T = L - 1 | ids without their last column; position t holds the last token of state s_t |
| action | (n, T) | ids without their first column: the token that s_t continued with; `PAD` where it is no response token |

Attention is causal and padding comes last, so no position ever sees it: what is computed for a sequence does not depend on
the sequences beside it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.core.policy import Evaluation, Policy, trained
from engine.errors import BadInputError, DamagedRunError
from engine.kinds.language.dependencies import peft

PAD = -1
"""Stands where there is no token. No vocabulary has it."""


class LanguagePolicy(Policy):
    """A causal language model of `transformers`, with a linear value head on its last hidden state or without one.

    The value head is 0 at first, so that V(s) = 0 until it has learned. Dropout is always off: an update must be the same
    each time it is replayed.
    """

    def __init__(self, model: nn.Module, *, value_head: bool = True, temperature: float = 1.0) -> None:
        """Take over a model.

        Args:
            model: as `from_pretrained` gives it, or wrapped in an adapter of `peft`.
            value_head: whether there is a critic; GRPO has none.
            temperature: divides the logits: pi is the distribution that tokens are sampled from.

        Raises:
            BadInputError: the model's attention has no derivative along a direction.
        """
        super().__init__()
        self.model = model
        self.value_head: nn.Linear | None = None
        config: Any = model.config
        attention = config._attn_implementation
        if attention not in ("eager", "sdpa"):
            raise BadInputError(
                f"influence can't differentiate {attention}; load the model with attn_implementation eager or sdpa"
            )
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.padding_idx = (
                    None  # its gradient would be cut out of a backward pass, but not out of a forward one
                )
        if value_head:
            first = next(model.parameters())
            self.value_head = nn.Linear(config.hidden_size, 1, device=first.device, dtype=first.dtype)
            nn.init.zeros_(self.value_head.weight)
            nn.init.zeros_(self.value_head.bias)
        self.temperature = temperature
        self.eval()

    def train(self, mode: bool = True) -> LanguagePolicy:
        """Stays in evaluation mode."""
        super().train(False)
        return self

    @property
    def vocabulary(self) -> int:
        """How many tokens there are to choose from."""
        config: Any = self.model.config
        return int(config.vocab_size)

    @property
    def dtype(self) -> torch.dtype:
        """What log-probabilities and values are computed in: the parameters' precision, but never less than float32."""
        return torch.promote_types(next(self.parameters()).dtype, torch.float32)

    def encode(self, observation: NDArray[Any]) -> Tensor:
        """(n, L) ids -> (n, T) inputs, with some token in the place of `PAD`.

        Raises:
            BadInputError: these are no ids.
        """
        ids = np.asarray(observation)
        if ids.ndim != 2 or ids.dtype.kind not in "iu":
            raise BadInputError(
                f"a language model takes (n, L) integers, the ids of tokens; these are {ids.dtype} of shape {ids.shape}"
            )
        return torch.as_tensor(ids[:, :-1].astype(np.int64), device=self.device).clamp(min=0)

    def actions(self, ids: NDArray[Any], mask: NDArray[np.bool_]) -> Tensor:
        """(n, L) ids and which of them are response tokens -> (n, T) actions."""
        tokens = np.where(mask, ids, PAD).astype(np.int64)
        return torch.as_tensor(tokens[:, 1:], device=self.device)

    def forward(self, inputs: Tensor, action: Tensor, with_value: bool = True) -> Evaluation:
        """Log-probability and entropy of every action and value of its state, (n, T) each; 0 where there is no action.

        Raises:
            BadInputError: the actions are not one token for each of the inputs.
        """
        if action.shape != inputs.shape:
            raise BadInputError(
                f"the actions of a language model are the next tokens, here of shape {tuple(inputs.shape)}; these have "
                f"shape {tuple(action.shape)}"
            )
        valued = with_value and self.value_head is not None
        # A position table is looked up once a sequence, not once for all: hooks must see whose gradient is whose.
        positions = torch.arange(inputs.shape[1], device=inputs.device).expand_as(inputs)
        output = self.model(input_ids=inputs, position_ids=positions, use_cache=False, output_hidden_states=valued)
        log_probs = (output.logits.to(self.dtype) / self.temperature).log_softmax(-1)
        acted = action >= 0
        log_prob = log_probs.gather(-1, action.clamp(min=0).unsqueeze(-1)).squeeze(-1).where(acted, 0)
        entropy = -(log_probs.exp() * log_probs).sum(-1).where(acted, 0)
        value = None
        if valued and self.value_head is not None:
            value = self.value_head(output.hidden_states[-1]).squeeze(-1).to(self.dtype).where(acted, 0)
        return Evaluation(log_prob, entropy, value)

    def serves_value(self, name: str) -> bool:
        """All do that lie below the value head; the model's own head too where its weights are the embedding's."""
        return self.value_head is not None and not name.startswith("model.lm_head.")

    def check(self, parameters: Mapping[str, NDArray[Any]]) -> dict[str, nn.Parameter]:
        """Its own parameters by name, which these fit; frozen ones may be left out. They need no memory for it.

        Raises:
            DamagedRunError: one is missing, has another shape or no numbers, or there is one that this model does not have.
        """
        own = dict(self.named_parameters())
        missing = trained(self).keys() - parameters.keys()
        if missing or not parameters.keys() <= own.keys():
            raise DamagedRunError("the checkpoint does not fit the language model that the run describes")
        for name, tensor in parameters.items():
            if own[name].shape != tensor.shape or tensor.dtype.kind != "f":
                raise DamagedRunError(
                    f"{name} has shape {tensor.shape} and dtype {tensor.dtype} in the checkpoint, not {tuple(own[name].shape)} "
                    f"and {str(own[name].dtype).removeprefix('torch.')}"
                )
        return own


def with_adapter(model: nn.Module, rank: int, seed: int = 0) -> nn.Module:
    """The model with its weights frozen and low-rank adapters beside all of its linear layers but the last.

    Raises:
        BadInputError: the extra is not installed.
    """
    transposed = any(type(module).__name__ == "Conv1D" for module in model.modules())
    config = peft().LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        fan_in_fan_out=transposed,
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft reads a property that transformers has renamed
        torch.manual_seed(seed)
        return peft().get_peft_model(model, config)

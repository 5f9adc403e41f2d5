"""What a response is worth, as a classifier says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.allowed import allowed
from engine.config_language import LanguageConfig
from engine.errors import BadInputError, BadNumberError
from engine.kinds.language.models import check_tokenizer, context_length, device
from engine.kinds.language.named import find_world
from engine.kinds.language.reward_model import RewardModel
from engine.kinds.language.sources import TOKENIZER, pretrained, source_folder
from engine.store.snapshot import Float32s

AT_ONCE = 64
"""Texts that a classifier reads together."""


class Classifier:
    """A sequence classifier of `transformers`; the reward is one label's logit for prompt and response together."""

    def __init__(self, source: str, label: str, received: bool = False) -> None:
        """Load it by name or path; `sources.pretrained` says what `received` means.

        Raises:
            BadInputError: it can't be loaded, or has no such label.
        """
        self.model = pretrained("AutoModelForSequenceClassification", source, "reward model", received=received)
        self.tokenizer = pretrained(TOKENIZER, source, "tokenizer of a reward model", received=received)
        check_tokenizer(self.tokenizer, self.model, source)
        self.output = label_number(self.model.config.id2label, label, source)
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model.config.pad_token_id = self.tokenizer.pad_token_id
        self.length = context_length(self.model)
        self.model.eval().requires_grad_(False).to(device())

    @torch.no_grad()
    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> dict[str, Float32s]:
        """The label's logit as `reward`; a text longer than the model can read loses its beginning."""
        texts = [prompt + response for prompt, response in zip(prompts, responses, strict=True)]
        encoded = [ids[-self.length :] if self.length else ids for ids in self.tokenizer(texts)["input_ids"]]
        found = [self._logits(encoded[i : i + AT_ONCE]) for i in range(0, len(encoded), AT_ONCE)]
        return {"reward": np.concatenate([*found, np.zeros(0, np.float32)])}

    def _logits(self, encoded: list[list[int]]) -> Float32s:
        """Padding comes last, on whichever side the tokenizer would put it, and is masked."""
        longest = max(1, *map(len, encoded))
        pad = self.tokenizer.pad_token_id or 0
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in encoded], device=self.model.device)
        mask = torch.arange(longest)[None] < torch.tensor([[len(row)] for row in encoded])
        logits = self.model(input_ids=ids, attention_mask=mask.to(ids)).logits
        return logits[:, self.output].float().cpu().numpy()


def make_reward(language: LanguageConfig, received: bool = False) -> RewardModel:
    """The reward model that a run's settings name. Arguments and errors as `Classifier`."""
    world = find_world(language.reward)
    if world is None:
        return Classifier(language.reward, language.reward_label, received)
    return world.reward(language, received)


def unrewarded(language: LanguageConfig, received: bool = False) -> str:
    """Why there is no such reward model here, as far as is known without loading or asking for it; empty where there is."""
    if find_world(language.reward) is not None or allowed().download:
        return ""
    try:
        source_folder(language.reward, "reward model", received)
    except BadInputError as error:
        return str(error)
    return ""


def label_number(labels: dict[int, str], label: str, source: object) -> int:
    """The output of the label of that name; of the only one, if there is one.

    Raises:
        BadInputError: there is none; names those that there are.
    """
    names = [str(labels[i]) for i in sorted(labels)]
    if label in names:
        return names.index(label)
    if not label and len(names) == 1:
        return 0
    wanted = f"{label!r} is none of them" if label else "none is chosen"
    raise BadInputError(
        f"the reward model {source} knows the labels {', '.join(names)}, and {wanted}; name one with --reward-label"
    )


def check_rewards(scores: dict[str, NDArray[Any]], n: int) -> None:
    """Refuse rewards that no training can go on with.

    Raises:
        BadNumberError: one is NaN or infinite; names the record.
    """
    reward = scores["reward"]
    wrong = np.flatnonzero(~np.isfinite(reward))
    if len(reward) != n or len(wrong):
        what = f"{reward[wrong[0]]} for record {wrong[0]}" if len(wrong) else f"{len(reward)} rewards for {n} responses"
        raise BadNumberError(f"the reward model gave {what}")

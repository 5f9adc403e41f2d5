"""The models of a run: loaded by name or path where it begins, and from the run itself afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.errors import BadInputError
from engine.rlhf.dependencies import pretrained
from engine.rlhf.policy import LanguagePolicy, blank_model, pretrained_model, with_adapter
from engine.store.sequences import LanguageSnapshot

NOT_WEIGHTS = (".json", ".txt", ".model", ".jinja")
"""Ends of the files that describe a model and its tokenizer."""


def device() -> torch.device:
    """Where language models are computed: the first GPU, if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_precision() -> Literal["float32", "bfloat16"]:
    """bfloat16 where the device computes in it as fast as it should: on a GPU that has it."""
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"


def load_tokenizer(source: str | Path) -> Any:
    """A tokenizer by name or local path.

    Raises:
        BadInputError: the extra is not installed, there is none here, or it has no end token.
    """
    tokenizer = pretrained("AutoTokenizer", source, "tokenizer")
    if tokenizer.eos_token_id is None:
        raise BadInputError(f"the tokenizer of {source} has no end token, so that no response would ever end")
    return tokenizer


def load_policy(config: TrainConfig, language: LanguageConfig, source: str | Path) -> tuple[LanguagePolicy, Any]:
    """The policy before training, and its tokenizer.

    Raises:
        BadInputError: they can't be loaded, or don't belong together.
    """
    model = pretrained_model(source)
    tokenizer = load_tokenizer(source)
    check_tokenizer(tokenizer, model, source)
    return _policy(model, config, language), tokenizer


def restore_policy(snapshot: LanguageSnapshot) -> LanguagePolicy:
    """The policy at theta(k).

    Raises:
        BadInputError: the extra is not installed, or the adapters' base model is not here.
        DamagedRunError: the checkpoint does not fit the model that the run describes.
    """
    if snapshot.path is None:
        raise BadInputError("this snapshot has no run folder, which would say what its model is")
    return policy_at(snapshot.config, snapshot.language, snapshot.path, snapshot.parameters)


def policy_at(
    config: TrainConfig, language: LanguageConfig, run: Path, parameters: Mapping[str, NDArray[Any]]
) -> LanguagePolicy:
    """The policy of a run with these parameters. Errors as `restore_policy`."""
    model = pretrained_model(model_source(language)) if language.lora_rank else blank_model(run / "model")
    return _policy(model, config, language).load(parameters)


def model_source(language: LanguageConfig) -> str:
    """Name or path of the policy before training; the demonstration's is made where it is not there yet."""
    if language.policy != "courtesy":
        return language.policy
    from engine.rlhf.courtesy.world import build_world

    return str(build_world().policy)


def reward_source(language: LanguageConfig) -> str:
    """The same for the reward model."""
    if language.reward != "courtesy":
        return language.reward
    from engine.rlhf.courtesy.world import build_world

    return str(build_world().reward)


def check_tokenizer(tokenizer: Any, model: Any, source: object) -> None:
    """Refuse a tokenizer with numbers that the model does not know.

    Raises:
        BadInputError: they don't belong together.
    """
    known = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > known:
        raise BadInputError(
            f"the tokenizer of {source} has {len(tokenizer)} tokens, but the model knows {known}: they don't belong together; "
            "name a folder that holds a model and its own tokenizer"
        )


def context_length(model: Any) -> int | None:
    """Tokens that a model can read, or None if its configuration does not say."""
    length = getattr(model.config, "max_position_embeddings", None)
    return int(length) if length else None


def describe_model(policy: LanguagePolicy, tokenizer: Any) -> dict[str, bytes]:
    """The files that `restore_policy` and `load_tokenizer` need besides a checkpoint, by name."""
    with TemporaryDirectory() as folder:
        model: Any = policy.model
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        base.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        found = sorted(path for path in Path(folder).iterdir() if path.is_file() and path.suffix in NOT_WEIGHTS)
        return {path.name: path.read_bytes() for path in found}


def hashes(model: Mapping[str, bytes]) -> dict[str, str]:
    """sha256 of each of these files, as `run.json` names them."""
    return {name: sha256(data).hexdigest() for name, data in model.items()}


def _policy(model: nn.Module, config: TrainConfig, language: LanguageConfig) -> LanguagePolicy:
    if language.lora_rank:
        model = with_adapter(model, language.lora_rank, config.seed)
    head = language.algorithm == "ppo"
    return LanguagePolicy(model, value_head=head, temperature=language.temperature).to(device())


class Reference:
    """The policy before training, frozen: what the KL penalty is measured against."""

    def __init__(self, policy: LanguagePolicy, language: LanguageConfig) -> None:
        """Its weights are loaded anew; with adapters they are the policy's own, with the adapters switched off."""
        self.policy = policy
        self.frozen: LanguagePolicy | None = None
        if not language.lora_rank:
            model = pretrained_model(model_source(language)).requires_grad_(False)
            self.frozen = LanguagePolicy(model, value_head=False, temperature=language.temperature).to(policy.device)

    @torch.no_grad()
    def log_prob(self, inputs: torch.Tensor, action: torch.Tensor) -> NDArray[np.floating]:
        """(n, T) log-probabilities of the actions."""
        if self.frozen is not None:
            return self.frozen(inputs, action, False).log_prob.cpu().numpy()
        model: Any = self.policy.model
        with model.disable_adapter():
            return self.policy(inputs, action, False).log_prob.cpu().numpy()

"""The models of a run: loaded by name or path where it begins, and from the run itself afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.allowed import allowed
from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.errors import BadInputError, DamagedRunError
from engine.kinds.language.dependencies import transformers
from engine.kinds.language.description import ENDINGS, check_description, configuration
from engine.kinds.language.named import find_world
from engine.kinds.language.policy import PAD, LanguagePolicy, with_adapter
from engine.kinds.language.sampling import precision
from engine.kinds.language.sequences import LanguageSnapshot, SequenceBuffer
from engine.kinds.language.skeleton import built, skeleton
from engine.kinds.language.sources import TOKENIZER, pretrained, tokenizer_of
from engine.kinds.language.targets import at_once
from engine.named_worlds import is_world
from engine.store.read import read_model_files
from engine.store.snapshot import Float32s

CAUSAL = "AutoModelForCausalLM"
SAME_MODEL = 0.05
"""Mean difference of log-probabilities up to which they are one model's; bfloat16 on two machines makes less."""


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
    tokenizer = pretrained(TOKENIZER, source, "tokenizer")
    if tokenizer.eos_token_id is None:
        raise BadInputError(f"the tokenizer of {source} has no end token, so that no response would ever end")
    return tokenizer


def recorded_tokenizer(run: Path) -> Any:
    """The tokenizer in a run's folder.

    Raises:
        BadInputError: the extra is not installed.
        DamagedRunError: a file is not what run.json names, or they describe no tokenizer with an end token.
    """
    tokenizer = tokenizer_of(read_model_files(run))
    if tokenizer.eos_token_id is None:
        raise DamagedRunError("model/ describes a tokenizer without an end token, so that no response would ever end")
    return tokenizer


def pretrained_model(source: str | Path, received: bool = False) -> nn.Module:
    """A causal language model with its weights, by name or local path; `sources.pretrained` says what `received` means.

    Raises:
        BadInputError: the extra is not installed, or there is no such model here.
    """
    options = {"attn_implementation": "eager", "dtype": torch.float32}
    return pretrained(CAUSAL, source, "causal language model", received=received, **options)


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
        BadInputError: the extra is not installed, or the adapters' base model is not here, see `check_base`.
        DamagedRunError: the checkpoint does not fit the model that the run describes, or the sequences don't.
    """
    if snapshot.path is None:
        raise BadInputError("this snapshot has no run folder, which would say what its model is")
    policy = policy_at(
        snapshot.config, snapshot.language, snapshot.path, snapshot.parameters, named_here=snapshot.named_here
    )
    for buffer in (snapshot.buffer, snapshot.validation):
        if buffer is not None:
            _check_sequences(buffer, policy)
    if snapshot.language.lora_rank and not snapshot.named_here:
        _check_recorded(snapshot, policy)
    return policy


def policy_at(
    config: TrainConfig,
    language: LanguageConfig,
    run: Path,
    parameters: Mapping[str, NDArray[Any]],
    *,
    named_here: bool = False,
) -> LanguagePolicy:
    """The policy of a run with these parameters. Errors as `restore_policy`."""
    if not language.lora_rank:
        return _policy(_described_model(run, language, parameters), config, language).load(parameters)
    check_base(language, named_here)
    ranks = {t.shape[0] for name, t in parameters.items() if "lora_A" in name and t.ndim}
    if ranks != {language.lora_rank}:
        raise DamagedRunError(f"the checkpoint has no adapters of the rank {language.lora_rank} that run.json says")
    model = pretrained_model(allowed().base or model_source(language), not (named_here or allowed().base))
    return _policy(model, config, language).load(parameters)


def check_base(language: LanguageConfig, named_here: bool = False) -> None:
    """Refuse what needs the base model of adapters, which a run does not hold, where nobody has said where it is.

    Raises:
        BadInputError: says what to pass.
    """
    known = named_here or allowed().base is not None or allowed().download or is_world(language.policy)
    if language.lora_rank and not known:
        raise BadInputError(
            f"this run trained adapters (LoRA) of {language.policy}, which is not in it, so the run is view only; pass --base "
            "PATH with the folder of that model, or --download to have it looked up under this name"
        )


def model_source(language: LanguageConfig) -> str:
    """Name or path of the policy before training; a named world's is made where it is not there yet."""
    world = find_world(language.policy)
    return language.policy if world is None else str(world.policy())


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
    """The files that `restore_policy` and `recorded_tokenizer` need in addition to a checkpoint, by name.

    Raises:
        BadInputError: they are such that they would not be read back, see `description.check_description`.
    """
    with TemporaryDirectory() as folder:
        model: Any = policy.model
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        base.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        found = sorted(path for path in Path(folder).iterdir() if path.is_file() and path.suffix in ENDINGS)
        files = {path.name: _without_code(path) for path in found}
    check_description(files)
    return files


def hashes(model: Mapping[str, bytes]) -> dict[str, str]:
    """sha256 of each of these files, as `run.json` names them."""
    return {name: sha256(data).hexdigest() for name, data in model.items()}


def _without_code(path: Path) -> bytes:
    """A file's content; settings name no code of their own, which was not run and never will be."""
    data = path.read_bytes()
    values = json.loads(data) if path.name in ("config.json", "tokenizer_config.json") else {}
    if "auto_map" not in values:
        return data
    kept = {name: value for name, value in values.items() if name != "auto_map"}
    return (json.dumps(kept, indent=2, sort_keys=True) + "\n").encode()


def _described_model(run: Path, language: LanguageConfig, parameters: Mapping[str, NDArray[Any]]) -> nn.Module:
    """The model that a run's folder describes, once the parameters are seen to fit it; its weights are yet to be loaded.

    Raises:
        BadInputError: the extra is not installed.
        DamagedRunError: there is none, or they don't fit.
    """
    transformers()
    files = read_model_files(run)
    try:
        config = configuration(files)
        shapes = tuple((name, tensor.shape, tensor.dtype.str) for name, tensor in parameters.items())
        _check_fit(files["config.json"], language, shapes)
        return built(CAUSAL, config)
    except BadInputError as error:
        raise DamagedRunError(f"model/{error}") from None


@lru_cache(maxsize=8)
def _check_fit(config: bytes, language: LanguageConfig, shapes: tuple[tuple[str, tuple[int, ...], str], ...]) -> None:
    """Refuse a description that tensors of these names, shapes and types don't fit; one that they fit is asked once.

    A round is replayed many times, and this is a quarter of the replay of a small one. Errors as `_described_model`.
    """
    empty = {name: np.broadcast_to(np.zeros((), dtype), shape) for name, shape, dtype in shapes}  # without memory
    _headed(skeleton(CAUSAL, configuration({"config.json": config}), len(empty)), language).check(empty)


def _check_recorded(snapshot: LanguageSnapshot, policy: LanguagePolicy) -> None:
    """Refuse a base model that the adapters were not trained on: of another one the numbers would be without meaning.

    Raises:
        BadInputError: some sequences have other log-probabilities than those that were recorded.
    """
    some = snapshot.buffer.take(np.arange(min(4, len(snapshot.buffer))))
    found, recorded = log_probs(policy, some, snapshot.language)
    if not np.abs(found - recorded).mean() < SAME_MODEL:
        raise BadInputError(
            f"{allowed().base or snapshot.language.policy} is not the model that this run's adapters were trained on: the "
            "recorded log-probabilities are others; name that one with --base"
        )


@torch.no_grad()
def log_probs(policy: LanguagePolicy, buffer: SequenceBuffer, language: LanguageConfig) -> tuple[Float32s, Float32s]:
    """Log-probabilities of the response tokens, by the policy and as they were recorded."""
    pairs: list[tuple[Float32s, Float32s]] = []
    for rows in at_once((len(buffer), int(buffer.lengths.max(initial=0))), policy):
        part = buffer.take(buffer.record[rows])
        ids, mask = part.padded(part.token, PAD), part.padded(part.mask)
        with precision(language, policy.device):
            found = policy(policy.encode(ids), policy.actions(ids, mask), False).log_prob.cpu().numpy()
        pairs.append((found[mask[:, 1:]], part.padded(part.log_prob)[mask]))
    found, recorded = (np.concatenate(columns) for columns in zip(*pairs, strict=True))
    return found, recorded


def _check_sequences(buffer: SequenceBuffer, policy: LanguagePolicy) -> None:
    """Refuse tokens that the model does not have, and more of them than it can read.

    Raises:
        DamagedRunError: there are such.
    """
    tokens, longest = buffer.token, int(buffer.lengths.max(initial=0))
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < policy.vocabulary:
        raise DamagedRunError(f"a sequence has a token that is none of the {policy.vocabulary} that the model knows")
    most = context_length(policy.model)
    if most is not None and longest > most:
        raise DamagedRunError(f"a sequence has {longest} tokens, more than the {most} that the model can read")


def _policy(model: nn.Module, config: TrainConfig, language: LanguageConfig) -> LanguagePolicy:
    if language.lora_rank:
        model = with_adapter(model, language.lora_rank, config.seed)
    return _headed(model, language).to(device())


def _headed(model: nn.Module, language: LanguageConfig) -> LanguagePolicy:
    """With a value head, where the algorithm has one."""
    return LanguagePolicy(model, value_head=language.algorithm == "ppo", temperature=language.temperature)


class Reference:
    """The policy before training, frozen: what the KL penalty is measured against."""

    def __init__(self, policy: LanguagePolicy, language: LanguageConfig, received: bool = False) -> None:
        """Its weights are loaded anew; with adapters they are the policy's own, with the adapters switched off."""
        self.policy = policy
        self.frozen: LanguagePolicy | None = None
        if not language.lora_rank:
            model = pretrained_model(model_source(language), received).requires_grad_(False)
            self.frozen = LanguagePolicy(model, value_head=False, temperature=language.temperature).to(policy.device)

    @torch.no_grad()
    def log_prob(self, inputs: torch.Tensor, action: torch.Tensor) -> NDArray[np.floating]:
        """(n, T) log-probabilities of the actions."""
        if self.frozen is not None:
            return self.frozen(inputs, action, False).log_prob.cpu().numpy()
        model: Any = self.policy.model
        with model.disable_adapter():
            return self.policy(inputs, action, False).log_prob.cpu().numpy()

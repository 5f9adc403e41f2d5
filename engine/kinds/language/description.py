"""A model's description as somebody else wrote it, checked before anything is made of it.

It is the content of `config.json` and of the tokenizer's files. What is refused: code of its own, kinds of models and
tokenizers that `transformers` does not have itself, files that lie elsewhere, and sizes beyond what is stated here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from typing import Any

from engine.errors import BadInputError
from engine.kinds.language.dependencies import transformers

ENDINGS = (".json", ".txt", ".model", ".jinja")
"""Ends of the names of the files that describe a model and its tokenizer."""
CONFIG_BYTES = 4 * 2**20
"""Of each of the two files with settings."""
SIZES: Mapping[str, int] = {
    **dict.fromkeys(("vocab_size", "max_position_embeddings", "n_positions", "n_ctx"), 2**24),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers"), 2**10),
    **dict.fromkeys(("num_attention_heads", "num_heads", "n_head", "n_heads", "num_key_value_heads"), 2**12),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model"), 2**18),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "head_dim"), 2**20),
}
"""Whole numbers from 1 that a network is made of, and the greatest that are built."""
MOST_PARTS = 2**16
"""Parts of any other kind: experts, blocks, groups ..."""
MOST = 2**24
"""Any other whole number, but for those that are no sizes."""
_PARTS = re.compile(r"layer|expert|block|depth|head|stage|group|codebook|attention_types|label")
_NO_SIZE = re.compile(r"theta|base|freq|param|total|token|seed")
_CODE = ("auto_map", "custom_pipelines", "quantization_config", "compression_config")
"""Settings that name code or packages."""


def check_description(files: Mapping[str, bytes]) -> None:
    """Refuse a description that is not plain data within the stated limits.

    Args:
        files: name -> content.

    Raises:
        BadInputError: names the file and what is wrong with it. The extra is not installed.
    """
    for name in files:
        if not name.endswith(ENDINGS):
            raise BadInputError(
                f"{name} has no place in a model's description, whose files end in {', '.join(ENDINGS)}; it is not read"
            )
    if "config.json" in files:
        _check_config(_parsed(files, "config.json"))
    if "tokenizer_config.json" in files:
        _check_tokenizer(_parsed(files, "tokenizer_config.json"))


def configuration(files: Mapping[str, bytes]) -> Any:
    """The checked description as `transformers` has it. Errors as `check_description`."""
    check_description(files)
    if "config.json" not in files:
        raise BadInputError("config.json is not there, so nothing says what the model is")
    values = _parsed(files, "config.json")
    try:
        return _kinds()[values["model_type"]].from_dict(values)
    except Exception as error:  # noqa: BLE001  it is somebody else's values in somebody else's code
        raise BadInputError(f"config.json can't be understood ({first_line(error)})") from None


def first_line(error: BaseException) -> str:
    """The kind of an error and the beginning of its message, which may go on for a page."""
    line = " ".join(str(error).strip().partition("\n")[0].split()).rstrip(".:")
    return f"{type(error).__name__}: {line[:200]}" if line else type(error).__name__


def _parsed(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    if len(files[name]) > CONFIG_BYTES:
        raise BadInputError(f"{name} has {len(files[name]):,} bytes; up to {CONFIG_BYTES:,} are read")
    try:
        values = json.loads(files[name])
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise BadInputError(f"{name} is not a JSON object; save_pretrained writes one")
    return values


def _check_config(config: dict[str, Any]) -> None:
    known = _kinds()
    if not _is_one_of(config.get("model_type"), known):
        raise BadInputError(
            f"config.json has the model_type {_quoted(config.get('model_type'))}, which this version of transformers does not "
            "have itself; code from elsewhere is never run"
        )
    _check_tokenizer_class(config, "config.json")
    for key, value in _members(config):
        if key in _CODE and value:
            raise BadInputError(f"config.json names code or packages of its own ({key}), which are never loaded")
        if "implementation" in key and value not in (None, "eager", "sdpa"):
            raise BadInputError(f"config.json has {key} {_quoted(value)}; it must be eager or sdpa")
        if key == "model_type" and value and not _is_one_of(value, known):
            raise BadInputError(
                f"config.json has a part of the model_type {_quoted(value)}, which transformers does not have"
            )
        _check_size(key, value)


def _check_size(key: str, value: Any) -> None:
    """Refuse a number that no network here has."""
    if isinstance(value, dict):
        return
    many = value if isinstance(value, list) else [value]
    if key in SIZES:
        if any(one is not None and (type(one) is not int or not 1 <= one <= SIZES[key]) for one in many):
            raise BadInputError(
                f"config.json has {key} {_quoted(value)}; it must be a whole number from 1 to {SIZES[key]:,}"
            )
        return
    most = MOST_PARTS if _PARTS.search(key) else MOST
    for one in many:
        if type(one) is int and abs(one) > most and not _NO_SIZE.search(key):
            raise BadInputError(f"config.json has {key} {_quoted(one)}; whole numbers go up to {most:,} there")


def _check_tokenizer(config: dict[str, Any]) -> None:
    _check_tokenizer_class(config, "tokenizer_config.json")
    for key, value in config.items():
        if key in _CODE and value:
            raise BadInputError(f"tokenizer_config.json names code of its own ({key}), which is never run")
        if key.endswith(("_file", "_files")) and value is not None:
            raise BadInputError(f"tokenizer_config.json names other files ({key}), which are not read")


def _check_tokenizer_class(config: dict[str, Any], file: str) -> None:
    name = config.get("tokenizer_class")
    known = _tokenizers()
    if name is not None and not (_is_one_of(name, known) or _is_one_of(str(name).removesuffix("Fast"), known)):
        raise BadInputError(
            f"{file} has the tokenizer_class {_quoted(name)}, which this version of transformers does not have itself; code "
            "from elsewhere is never run"
        )


def _is_one_of(value: Any, known: Container[str]) -> bool:
    return isinstance(value, str) and value in known


def _members(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every (key, value) of nested objects and lists; an item of a list has the list's key."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield name, member
            yield from _members(member, name)
    elif isinstance(value, list):
        for member in value:
            if isinstance(member, dict | list):
                yield key, member
                yield from _members(member, key)


def _kinds() -> Any:
    """model_type -> class of its configuration, as `transformers` comes."""
    transformers()
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return CONFIG_MAPPING


def _tokenizers() -> set[str]:
    """The classes of tokenizers that `transformers` has, without their ending `Fast`."""
    transformers()
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    named = {name.removesuffix("Fast") for name in TOKENIZER_MAPPING_NAMES.values() if name}
    return named | {"PreTrainedTokenizer", "TokenizersBackend", "BloomTokenizer"}


def _quoted(value: Any) -> str:
    """A value as it is shown in a message, shortened."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"

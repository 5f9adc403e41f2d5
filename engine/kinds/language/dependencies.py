"""Optional packages of the language-model wing: imported where they are used, so that everything else works without them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from engine.errors import BadInputError


def transformers() -> Any:
    """The module `transformers`, without its progress bars and advice on the screen.

    Raises:
        BadInputError: it, or `tokenizers`, is not installed.
    """
    _load("tokenizers", "rlhf")
    module = _load("transformers", "rlhf")
    module.utils.logging.set_verbosity_error()
    module.utils.logging.disable_progress_bar()
    return module


def tokenizers() -> Any:
    """The module `tokenizers`.

    Raises:
        BadInputError: it is not installed.
    """
    return _load("tokenizers", "rlhf")


def peft() -> Any:
    """The module `peft`, for low-rank adapters.

    Raises:
        BadInputError: it is not installed.
    """
    transformers()
    return _load("peft", "lora")


def _load(package: str, extra: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise BadInputError(
            f"language models need {package} here; install it with: pip install 'snapshot-influence[{extra}]'"
        ) from error

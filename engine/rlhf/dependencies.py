"""Optional packages of the language-model wing: imported where they are used, so that everything else works without them."""

from __future__ import annotations

import re
import socket
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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


def pretrained(loader: str, source: str | Path, what: str, **options: Any) -> Any:
    """A model or tokenizer as `from_pretrained` gives it: a folder's, one that is downloaded already, or else the hub's.

    Args:
        loader: class of `transformers`.
        source: folder, or name on the hub.
        what: said where there is none.
        options: of `from_pretrained`.

    Raises:
        BadInputError: the extra is not installed, or nothing of that name can be loaded here.
    """
    load, name = getattr(transformers(), loader).from_pretrained, str(source)
    try:
        return load(name, local_files_only=True, **options)
    except (OSError, ValueError, KeyError) as error:
        reason = _first_line(error)
    if Path(name).is_dir():
        raise BadInputError(f"{name} can't be loaded as a {what} ({reason}); name a folder that save_pretrained wrote")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise BadInputError(f"there is no folder {name}, so no {what}; name a folder that save_pretrained wrote")
    if not _hub_answers():
        raise BadInputError(
            f"{name} is no folder here, was not downloaded before, and the hub can't be reached, so there is no {what}; name a "
            "folder that save_pretrained wrote"
        )
    try:
        return load(name, **options)
    except (OSError, ValueError, KeyError) as error:
        raise BadInputError(f"{name} can't be loaded as a {what} ({_first_line(error)}); check the name") from None


def _hub_answers() -> bool:
    """Whether models can be downloaded. Asked once, so that nobody waits for many attempts without a network."""
    hub = import_module("huggingface_hub").constants
    if hub.HF_HUB_OFFLINE:
        return False
    address = urlsplit(hub.ENDPOINT)
    try:
        socket.create_connection((address.hostname or "", address.port or 443), timeout=3).close()
    except OSError:
        return False
    return True


def _first_line(error: BaseException) -> str:
    """The beginning of a message that goes on for a page."""
    return str(error).strip().partition("\n")[0].rstrip(".")


def _load(package: str, extra: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise BadInputError(
            f"language models need {package} here; install it with: pip install 'snapshot-influence[{extra}]'"
        ) from error

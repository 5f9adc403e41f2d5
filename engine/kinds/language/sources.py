"""Models and tokenizers out of folders: only data is read, and no code, no pickle and no network is reached.

A source is a folder, or a name in the hub's local cache; the hub itself is asked only where `engine.allow` says so. What
a run names, rather than the person at the keyboard, is *received*: a folder whose description is checked first.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from typing import Any
from urllib.parse import urlsplit

from engine.allowed import allowed
from engine.errors import BadInputError, DamagedRunError
from engine.kinds.language.dependencies import transformers
from engine.kinds.language.description import ENDINGS, check_description, configuration, first_line
from engine.kinds.language.skeleton import skeleton
from engine.store.files import Files
from engine.store.verified import MODEL_FILE_BYTES

TOKENIZER = "AutoTokenizer"
_HUB_PATTERNS = [f"*{ending}" for ending in (*ENDINGS, ".safetensors")]
_offline = RLock()


def pretrained(loader: str, source: str | Path, what: str, *, received: bool = False, **options: Any) -> Any:
    """A model or tokenizer as `from_pretrained` gives it, of weights as safetensors and of code that `transformers` has.

    Args:
        loader: class of `transformers`.
        source: folder, or name on the hub.
        what: said where there is none.
        received: a run names it. It must then be a folder here with a sound description, unless the hub may be asked.
        options: of `from_pretrained`.

    Raises:
        BadInputError: the extra is not installed, or nothing of that name can be loaded here.
    """
    library = transformers()
    folder = source_folder(str(source), what, received)
    if loader != TOKENIZER:
        options["use_safetensors"] = True
    try:
        if loader != TOKENIZER:
            _check_weights(folder)
        if received:
            _check_received(folder, loader)
        with without_hub():
            return getattr(library, loader).from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, **options
            )
    except Exception as error:  # noqa: BLE001  the libraries raise whatever a file makes them raise
        reason = str(error) if isinstance(error, BadInputError | DamagedRunError) else first_line(error)
        raise BadInputError(
            f"{source} can't be loaded as a {what} ({reason}); name a folder that save_pretrained wrote"
        ) from None


def tokenizer_of(files: Mapping[str, bytes]) -> Any:
    """The tokenizer that a run's own files describe, read from a private copy of just these bytes.

    Raises:
        DamagedRunError: they describe none.
        BadInputError: the extra is not installed.
    """
    library = transformers()
    with TemporaryDirectory() as folder:
        try:
            check_description(files)
            for name, data in files.items():
                Path(folder, name).write_bytes(data)
            with without_hub():
                return library.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # noqa: BLE001  the libraries raise whatever a file makes them raise
            reason = (
                f"model/{error}"
                if isinstance(error, BadInputError)
                else f"model/ describes no tokenizer ({first_line(error)})"
            )
            raise DamagedRunError(reason) from None


def source_folder(name: str, what: str, received: bool = False) -> Path:
    """The folder of a source. Arguments and errors as `pretrained`."""
    if Path(name).is_dir():
        return Path(name)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise BadInputError(f"there is no folder {name}, so no {what}; name a folder that save_pretrained wrote")
    if received and not allowed().download:
        raise BadInputError(
            f"this run names {name} as its {what}, which is no folder here; what a run names is looked up in the hub's cache "
            "or on the hub only with --download"
        )
    from huggingface_hub import snapshot_download

    patterns: dict[str, Any] = {"allow_patterns": _HUB_PATTERNS, "ignore_patterns": "*/*"}
    if allowed().download and _hub_answers():
        try:
            return Path(snapshot_download(name, **patterns))
        except Exception as error:  # noqa: BLE001  the hub's client raises what its many libraries do
            raise BadInputError(
                f"{name} can't be downloaded as a {what} ({first_line(error)}); check the name"
            ) from None
    try:
        return Path(snapshot_download(name, local_files_only=True, **patterns))
    except (OSError, ValueError):
        right = "name a folder that save_pretrained wrote"
        if allowed().download:
            reason = "the hub can't be reached"
        else:
            reason, right = "nothing is downloaded without --download", f"{right}, or pass --download"
        raise BadInputError(
            f"{name} is no folder here, was not downloaded before, and {reason}, so there is no {what}; {right}"
        ) from None


@contextmanager
def without_hub() -> Iterator[None]:
    """Let no library ask the hub meanwhile, as with the environment variable HF_HUB_OFFLINE."""
    constants: Any = import_module("huggingface_hub").constants
    with _offline:
        before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = before


def _check_weights(folder: Path) -> None:
    """Refuse what would lead to a pickle or to another folder."""
    if (folder / "adapter_config.json").exists():
        raise BadInputError("it holds adapters, not a whole model: merge them first, or name their base model")
    if not any(folder.glob("*.safetensors")):
        raise BadInputError("it holds no weights as safetensors, and others, which may be pickles, are not read")
    for index in folder.glob("*.index.json"):
        named = json.loads(_read(index))["weight_map"].values()
        if not all(re.fullmatch(r"[\w.-]+\.safetensors", name) for name in named):
            raise BadInputError(f"{index.name} names weights that are not safetensors in the same folder")


def _check_received(folder: Path, loader: str) -> None:
    """Refuse a description that is not sound, and one that the weights beside it don't fill."""
    for path in folder.iterdir():
        if path.name.endswith((*ENDINGS, ".safetensors")) and not path.is_file():
            raise BadInputError(f"{path.name} is not a regular file")
    described = ("config.json", "tokenizer_config.json")
    files = {name: _read(folder / name) for name in described if (folder / name).exists()}
    check_description(files)
    if loader == TOKENIZER:
        for path in folder.iterdir():
            if path.name.endswith(ENDINGS) and path.stat().st_size > MODEL_FILE_BYTES:
                raise BadInputError(f"{path.name} has more than the {MODEL_FILE_BYTES:,} bytes that are read")
        return
    held = [prod(shape) for path in folder.glob("*.safetensors") for shape in _shapes(path)]
    asked = sum(parameter.numel() for parameter in skeleton(loader, configuration(files), len(held)).parameters())
    if asked > sum(held):
        raise BadInputError(f"config.json describes {asked:,} weights, and there are {sum(held):,}")


def _read(path: Path) -> bytes:
    """The bytes of a small file; a link is followed, as the hub's cache has them."""
    data = Files().read(path.resolve(), limit=MODEL_FILE_BYTES + 1)
    if len(data) > MODEL_FILE_BYTES:
        raise BadInputError(f"{path.name} has more than the {MODEL_FILE_BYTES:,} bytes that are read")
    return data


def _shapes(path: Path) -> list[list[int]]:
    """The shapes of a file's tensors; only its head is read."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118  it is no mapping


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

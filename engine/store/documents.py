"""Small JSON files that people's work is kept in: replaced as a whole, and sealed with a checksum of their content.

```
{"sha256": "<of the content without this line>", "plan": {...}, "created": 1767323045.0}
```

Baskets, plans, results, notes and campaigns' definitions are such documents. Those that earlier versions wrote have no seal:
they are read, and `Document.checked` says that nobody can tell whether a byte of them changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from engine.errors import DamagedRunError, TooLargeError
from engine.store.files import Files
from engine.store.strict_json import parse_json

LARGEST_DOCUMENT = 64 * 2**20
"""Bytes of a document at most."""
SEAL = "sha256"

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class Document:
    """What a document says."""

    values: Any
    """An object; some that have no seal are lists."""
    checked: bool
    """Whether it has a seal, which fits; False where an earlier version wrote it."""


def write_json(
    path: str | Path, values: Mapping[str, Any], files: Files | None = None, *, durable: bool = True
) -> None:
    """Put a sealed document in the place of the one that was there; a reader sees the old one or the new one.

    Args:
        path: its file, in a folder that is there.
        values: plain values by name.
        files: file operations.
        durable: whether it survives a power loss once this returns; False for what is written many times a minute.

    Raises:
        StorageError: the disk refused.
    """
    (files or Files()).replace(Path(path), _sealed(values), durable=durable)


def read_json(path: str | Path, files: Files | None = None) -> Document | None:
    """A document; None only where there is nothing at `path`.

    Raises:
        DamagedRunError: its bytes are not those that were written, or it is no plain file.
        TooLargeError: it is larger than `LARGEST_DOCUMENT`.
        StorageError: the disk refused.
    """
    path = Path(path)
    name = f"{path.parent.name}/{path.name}"
    try:
        data = (files or Files()).read(path, limit=LARGEST_DOCUMENT + 1)
    except FileNotFoundError:
        return None
    if len(data) > LARGEST_DOCUMENT:
        raise TooLargeError(f"{name} is too large: a document has at most {LARGEST_DOCUMENT // 2**20} MiB")
    values = parse_json(data, name)
    if not isinstance(values, dict) or not values:
        return Document(values, checked=False)
    first = next(iter(values))
    if first == SEAL:
        values.pop(SEAL)
        if _sealed(values) != data:
            raise DamagedRunError(f"{name} is damaged: its sha256 is not that of its content")
        return Document(values, checked=True)
    if SEAL in values or (isinstance(values[first], str) and _DIGEST.fullmatch(values[first])):
        raise DamagedRunError(f"{name} is damaged: its seal can't be read")
    return Document(values, checked=False)


def set_aside(path: Path) -> None:
    """Give what is damaged a hidden name beside it, so that it is kept and in nobody's way."""
    Files().rename(path, path.with_name(f".{path.name}.damaged-{uuid4().hex[:8]}"))


def _sealed(values: Mapping[str, Any]) -> bytes:
    digest = sha256(_written(values)).hexdigest()
    return _written({SEAL: digest, **values}) + b"\n"


def _written(values: Mapping[str, Any]) -> bytes:
    """JSON as UTF-8; half a character, which a folder's name may hold, becomes a question mark."""
    return json.dumps(values, indent=1, ensure_ascii=False).encode(errors="replace")

"""Runs as a stranger may send them: sound to the last hash, whatever they say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine.store.chain import Commit


def received(
    source: Path,
    to: Path,
    change: Callable[[dict[str, Any]], object] = lambda manifest: None,
    model: Mapping[str, bytes | None] | None = None,
) -> Path:
    """A copy of a run with another `run.json` and other files in `model/`, all of it hashed anew.

    Args:
        source: the run.
        to: the folder to make.
        change: alters the content of `run.json` in place.
        model: file name -> content; None takes the file away.
    """
    shutil.copytree(source, to, ignore=shutil.ignore_patterns("derived", "interventions"))
    manifest = json.loads((to / "run.json").read_bytes())
    for name, data in (model or {}).items():
        if data is None:
            (to / "model" / name).unlink()
            del manifest["model"][name]
        else:
            (to / "model" / name).write_bytes(data)
            manifest["model"][name] = sha256(data).hexdigest()
    change(manifest)
    data = json.dumps(manifest).encode()
    (to / "run.json").write_bytes(data)
    previous = sha256(data).hexdigest()
    for path in sorted((to / "commits").glob("*.json")):
        commit = replace(Commit.from_bytes(path.read_bytes(), path.name), previous=previous)
        path.write_bytes(commit.to_bytes())
        previous = commit.hash
    return to


def described(source: Path, **changes: Any) -> dict[str, bytes | None]:
    """`config.json` of a language model's run with other settings; None takes one away."""
    config = json.loads((source / "model" / "config.json").read_bytes()) | changes
    return {"config.json": json.dumps({name: value for name, value in config.items() if value is not None}).encode()}

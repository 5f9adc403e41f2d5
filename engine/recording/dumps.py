"""Sequences that another trainer wrote down: they can be read, searched and compared, and nothing can be computed from them.

TRL's GRPO trainer (`log_completions=True`) and verl (`trainer.rollout_data_dir`) leave a folder with one file a step. Such a
file has texts, rewards and perhaps advantages, but neither tokens nor a checkpoint.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from engine.errors import BadInputError, StorageError
from engine.recording.trl import TRL_FILE, trl_table
from engine.recording.verl import VERL_FILE, verl_table
from engine.store.find import DEPTH

Trainer = Literal["TRL", "verl"]
FILES: Mapping[Trainer, re.Pattern[str]] = {"TRL": TRL_FILE, "verl": VERL_FILE}
"""Names of their files; the first group is the step."""
READERS = {"TRL": trl_table, "verl": verl_table}
LARGEST_FILE = 2 * 2**30
"""Bytes of a file that is read."""


@dataclass(frozen=True)
class Dump:
    """A folder with the files of one training; `open_dump` makes one."""

    trainer: Trainer
    path: Path
    files: Mapping[int, Path]
    """Step -> file, in the order of the steps."""

    @property
    def steps(self) -> list[int]:
        """The steps that were written down."""
        return list(self.files)

    def table(self, step: int) -> pa.Table:
        """The sequences of one step, one row each.

        Columns: `record` (int32, position), `group` (int32, sequences with the same prompt share it), `prompt`, `response`
        (string), `reward` (float32, where the total is known), `reward/<part>` (float32, NaN where there was none) and
        `advantage` (float32, TRL).

        Raises:
            BadInputError: there is no such step, or its file is not what its name says; one line.
            StorageError: the file can't be read.
        """
        if step not in self.files:
            raise BadInputError(f"step {step} is not in {self.path}; it has steps {self.steps[0]} to {self.steps[-1]}")
        return READERS[self.trainer](_bytes(self.files[step]), self.files[step])

    @property
    def cannot(self) -> str:
        """What can't be computed from such files, in one line."""
        known = "texts, rewards and advantages" if self.trainer == "TRL" else "texts and rewards"
        return (
            f"View only: {self.trainer} wrote down {known}, but no checkpoint and no tokens. So there is no influence, no KL, no "
            "entropy, no replay and no retraining here; record a run with `python -m engine rlhf` for these."
        )


def open_dump(path: str | Path) -> Dump:
    """Open a folder with TRL's `completions_*.parquet` or verl's `<step>.jsonl`, or one such file.

    >>> dump = open_dump("outputs/completions")  # doctest: +SKIP
    >>> dump.table(dump.steps[-1]).column("response")  # doctest: +SKIP

    Raises:
        BadInputError: it is neither; one line.
    """
    path = Path(path)
    names = [path.name] if path.is_file() else _names(path)
    folder = path.parent if path.is_file() else path
    for trainer, pattern in FILES.items():
        found = {int(match[1]): folder / name for name in names if (match := pattern.fullmatch(name))}
        if found:
            return Dump(trainer, path, dict(sorted(found.items())))
    raise BadInputError(
        f"{path} holds no recorded sequences: it must be a file or folder of TRL's completions_00001.parquet, ... or of verl's "
        "1.jsonl, ..."
    )


def find_dumps(directory: str | Path) -> list[Path]:
    """The folders with such files, by their names: `directory` itself and what is up to eight folders below it, sorted.

    Links are not followed, hidden folders and recorded runs are passed over.
    """
    top, found = Path(directory), []
    for folder, below, names in os.walk(top):
        here = Path(folder)
        if "run.json" in names or len(here.relative_to(top).parts) >= DEPTH:
            below.clear()
        below[:] = [name for name in below if not name.startswith(".")]
        if "run.json" not in names and any(pattern.fullmatch(name) for name in names for pattern in FILES.values()):
            found.append(here)
    return sorted(found)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        raise BadInputError(f"{folder} is not there; name a file or a folder of recorded sequences") from None
    except OSError as error:
        raise StorageError(f"{folder} can't be read ({error.strerror}); choose one that you may read") from None


def _bytes(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise BadInputError(f"{file} is larger than {LARGEST_FILE // 2**30} GiB; split it into one file a step")
        return file.read_bytes()
    except OSError as error:
        raise StorageError(f"{file} can't be read ({error.strerror}); choose one that you may read") from None

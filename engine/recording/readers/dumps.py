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

from engine.errors import BadInputError, DamagedRunError, StorageError
from engine.recording.readers.limits import LARGEST_FILE, mebibytes, too_large
from engine.recording.readers.sequence_table import Sequences
from engine.recording.readers.trl import TRL_FILE, trl_sequences
from engine.recording.readers.verl import VERL_FILE, verl_sequences
from engine.store.files import Files
from engine.store.find import DEPTH

Trainer = Literal["TRL", "verl"]
FILES: Mapping[Trainer, re.Pattern[str]] = {"TRL": TRL_FILE, "verl": VERL_FILE}
"""Names of their files; the first group is the step."""
READERS = {"TRL": trl_sequences, "verl": verl_sequences}


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
        """The sequences of one step, one row each; a file without any gives a table without rows.

        Columns: `record` (int32, position), `group` (int32, sequences with the same prompt, or of the sample that verl names,
        share it), `prompt`, `response` (large_string; what is no character is U+FFFD), `reward` (float32, where the total is
        known), `reward/<part>` (float32, NaN where there was none, infinite beyond the range), `advantage` (float32, TRL) and
        `extra/<name>` (of any type, null where there was none).

        Raises:
            BadInputError: there is no such step, or its file is not what its name says, or larger than is read; one line.
            StorageError: the file can't be read.
        """
        return self.read(step).table

    def read(self, step: int) -> Sequences:
        """`table`, and what of the file is not in it. Errors as `table`."""
        return READERS[self.trainer](_bytes(self.file(step)), printable(self.file(step)))

    def file(self, step: int) -> Path:
        """The file of a step.

        Raises:
            BadInputError: there is no such step.
        """
        if step not in self.files:
            raise BadInputError(
                f"step {step} is not in {printable(self.path)}; it has steps {self.steps[0]} to {self.steps[-1]}"
            )
        return self.files[step]

    def stamp(self, step: int) -> tuple[int, int, int]:
        """What the step's file is now: it changes when the file is written anew, or grows.

        Raises:
            BadInputError: there is no such step.
            StorageError: its file is no longer there.
        """
        try:
            status = self.file(step).lstat()
        except OSError as error:
            raise _unreadable(self.files[step], error) from None
        return status.st_mtime_ns, status.st_size, status.st_ino

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
    one = path.is_file()
    names = [path.name] if one else _names(path)
    whole = Path(os.path.realpath(path))  # what is named here may be a link; what is found in it may not
    for trainer, pattern in FILES.items():
        found = {int(match[1]): whole if one else whole / name for name in names if (match := pattern.fullmatch(name))}
        if found:
            return Dump(trainer, path, dict(sorted(found.items())))
    raise BadInputError(
        f"{printable(path)} holds no recorded sequences: it must be a file or folder of TRL's completions_00001.parquet, ... or "
        "of verl's 1.jsonl, ..."
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


def printable(path: Path) -> str:
    """A path for messages and labels, on one line: bytes of a name that are not UTF-8 become U+FFFD."""
    return " ".join(os.fsencode(path).decode(errors="replace").split())


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        raise BadInputError(
            f"{printable(folder)} is not there; name a file or a folder of recorded sequences"
        ) from None
    except OSError as error:
        raise _unreadable(folder, error) from None


def _bytes(file: Path) -> bytes:
    try:
        data = b"" if file.lstat().st_size > LARGEST_FILE else Files().read(file, limit=LARGEST_FILE)
        size = file.lstat().st_size
    except DamagedRunError:
        raise BadInputError(
            f"{printable(file)} is a link or no plain file, which is not read; put the file itself there"
        ) from None
    except OSError as error:
        raise _unreadable(file, error) from None
    except StorageError as error:
        cause = error.__cause__
        raise (_unreadable(file, cause) if isinstance(cause, OSError) else error) from None
    if size > LARGEST_FILE:
        raise too_large(printable(file), "on the disk", mebibytes(LARGEST_FILE))
    return data


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{printable(path)} can't be read ({error.strerror}); choose one that is there and that you may read"
    )

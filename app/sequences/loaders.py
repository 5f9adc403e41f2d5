"""Cached reads of sequences. Cached values are shared between sessions: treat them as read-only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.shell import sequence_columns
from app.shell.cached import cached
from app.shell.loaders import run_folders, run_paths
from app.shell.sequence_columns import RowQuery
from engine.core.scores import Scores
from engine.errors import BadInputError, DamagedRunError
from engine.kinds.language.dependencies import tokenizers
from engine.kinds.language.sequences import LanguageSnapshot, SequenceBuffer
from engine.kinds.language.token_texts import readable, token_texts
from engine.recording.readers.dumps import Dump, find_dumps, open_dump, printable
from engine.recording.readers.sequence_table import Sequences
from engine.store.read import Run


def dump_paths() -> dict[str, Path]:
    """Id -> folder of what other trainers wrote down; ids come from listing folders, never from the URL."""
    runs, paths = run_paths(), dict[str, Path]()
    for folder in run_folders():
        for path in find_dumps(folder):
            name = printable(path.relative_to(folder) if path != folder else Path(folder.resolve().name))
            while name in paths or name in runs:
                name = f"{folder.name}/{name}"
            paths[name] = path
    return paths


def load_dump(path: Path) -> Dump:
    """The folder as it is now. Errors as `open_dump`."""
    return open_dump(path)


def step_as_written(dump: Dump, step: int) -> str:
    """What tells a state of a step's file from others: its time and size."""
    return f"{os.fsencode(dump.file(step))!r} {dump.stamp(step)}"


@cached(max_entries=4, show_spinner="reading the sequences …", by=step_as_written)
def load_step(dump: Dump, step: int) -> Sequences:
    """The sequences of a step as its file is now. Errors as `Dump.read`."""
    return dump.read(step)


@cached(max_entries=4)
def load_table(snapshot: LanguageSnapshot) -> pa.Table:
    """One row a sequence, without influence."""
    return sequence_columns.sequences_table(snapshot.buffer)


def load_scored_table(snapshot: LanguageSnapshot, scores: Scores) -> pa.Table:
    """`load_table` with influence."""
    return sequence_columns.with_influence(load_table(snapshot), scores.influence, scores.no_signal)


def _rows_asked_for(_table: pa.Table, identity: str, query: RowQuery, basket: Sequence[int]) -> tuple[Any, ...]:
    """The basket tells only queries for its own rows apart."""
    return identity, query, tuple(basket) if query.only == sequence_columns.BASKET else ()


@cached(max_entries=32, by=_rows_asked_for)
def load_rows(_table: pa.Table, identity: str, query: RowQuery, basket: Sequence[int]) -> NDArray[np.int64]:
    """The rows that are asked for; `identity` says which table it is."""
    return sequence_columns.rows(_table, query, basket)


@cached(max_entries=16)
def load_offered(_table: pa.Table, identity: str, basket: Sequence[int]) -> list[str]:
    """What the list can be narrowed to; `identity` says which table it is."""
    return sequence_columns.offered(_table, basket)


def load_pieces(run: Run, buffer: SequenceBuffer, record: int) -> list[str]:
    """What each token of a record says, for people; the last token of a character's bytes has it whole.

    It is recorded from version 4 of the run format on; before, the run's tokenizer says it.

    Raises:
        BadInputError: the extra is missing, or the run has no tokenizer; one line.
    """
    here = buffer.tokens_of(record)
    if buffer.text is not None:
        return readable(buffer.text[here].to_pylist())
    token = buffer.token[here]
    return readable(token_texts(_tokenizer(run), token, np.array([0, len(token)])).to_pylist())


@cached(max_entries=4)
def _tokenizer(run: Run) -> Any:
    read, data = tokenizers().Tokenizer.from_buffer, run.model_files().get("tokenizer.json")
    if data is None:
        raise BadInputError("this run was recorded without its tokenizer, so tokens are numbers")
    try:
        return read(data)
    except Exception as error:  # noqa: BLE001 - the library raises nothing more special
        raise DamagedRunError(f"model/tokenizer.json can't be read: {' '.join(str(error).split())[:120]}") from None

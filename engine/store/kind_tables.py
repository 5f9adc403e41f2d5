"""What the store asks of a kind of run: how its rounds become tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from engine.store.manifest import RunManifest
from engine.store.snapshot import Snapshot


class Columns(Protocol):
    """How the rounds of a kind of run become tables, and come back."""

    def tables(self, snapshot: Any, manifest: RunManifest) -> dict[str, pa.Table]:
        """The tables of a round's buffers, part by part as they are registered.

        Raises:
            BadInputError: the round's values don't fit the run.
        """
        ...

    def buffer(self, manifest: RunManifest, tables: Sequence[pa.Table], names: Sequence[str]) -> Any:
        """The buffer that a part's tables were made of.

        Args:
            manifest: of the run.
            tables: of the part.
            names: the file of each, for messages.

        Raises:
            DamagedRunError: a table is not what was written; the message begins with its file.
        """
        ...

    def snapshot(
        self, manifest: RunManifest, buffers: Mapping[str, Any], file: str, common: Mapping[str, Any]
    ) -> Snapshot:
        """A round.

        Args:
            manifest: of the run.
            buffers: by the first table of their part.
            file: the file of the first of all, for messages.
            common: the fields that every kind of snapshot has, but for its buffer.

        Raises:
            DamagedRunError: they are not those of a round of this run; the message begins with the file.
        """
        ...

"""How much of another trainer's file is read. Far above what trainers write, and small enough for a machine with 8 GiB."""

from __future__ import annotations

from engine.errors import BadInputError

LARGEST_FILE = 512 * 2**20
"""Bytes of a file on the disk."""
LARGEST_TEXTS = 512 * 2**20
"""Bytes of all its texts as UTF-8, and of all its pages of Parquet once they are decompressed."""
LONGEST = 16 * 2**20
"""Bytes of one line of JSON, or of one sequence's prompt or response."""
LONGEST_NAME = 200
"""Characters of a column's name."""
DEEPEST = 64
"""Lists and objects within one another in a line of JSON."""
MOST_ROWS = 250_000
"""Sequences of a step; also lines of a file."""
MOST_COLUMNS = 256
"""Columns of a file; different names in a file of JSON lines."""
MOST_LEAVES = 1_024
"""Columns of a Parquet file where each field of a message counts."""
MOST_VALUES = 8_000_000
"""Numbers and short texts beside the prompts and responses; in Parquet also each field of each message."""
MOST_PAGES = 100_000
"""Pages of a Parquet file."""
MOST_ROW_GROUPS = 10_000
"""Row groups of a Parquet file."""
LARGEST_FOOTER = 4 * 2**20
"""Bytes of the footer of a Parquet file, which lists its columns."""
WIDEST = 32
"""Bytes of a number in Parquet."""


def too_large(where: str, what: str, most: int | str) -> BadInputError:
    """The error of a sound file that is more than is read.

    >>> str(too_large("rollouts/7.jsonl", "lines", 250_000))
    'rollouts/7.jsonl is too large: it has more than 250,000 lines, the most that is read'
    """
    count = f"{most:,}" if isinstance(most, int) else most
    return BadInputError(f"{where} is too large: it has more than {count} {what}, the most that is read")


def mebibytes(size: int) -> str:
    """`536870912` -> `512 MiB`."""
    return f"{size // 2**20} MiB"


class Budget:
    """What is left of `LARGEST_TEXTS` while a file's texts are decoded one after another."""

    def __init__(self, where: str) -> None:
        self._where, self._left = where, LARGEST_TEXTS

    def take(self, size: int) -> None:
        """Count the bytes of a text before it is kept.

        Raises:
            BadInputError: too large.
        """
        self._left -= size
        if self._left < 0:
            raise too_large(self._where, "of text once it is decoded", mebibytes(LARGEST_TEXTS))

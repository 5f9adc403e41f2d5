"""The records of a round a block at a time, so that what is computed of each of a million takes no more memory than of many."""

from __future__ import annotations

from collections.abc import Iterator

AT_ONCE = 2**14
"""Records of a block. A pass of a policy over so many takes some tens of megabytes, and a round that has no more is one block."""


def blocks(n: int, *, whole: bool = False) -> Iterator[slice]:
    """The records 0 to n - 1 in order; of none, one block of none.

    >>> [(block.start, block.stop) for block in blocks(40_000)]
    [(0, 16384), (16384, 32768), (32768, 40000)]

    Args:
        n: how many there are.
        whole: as one block: a policy with a memory must see every record in its place.
    """
    size = max(n, 1) if whole else AT_ONCE
    for start in range(0, max(n, 1), size):
        yield slice(start, min(start + size, n))

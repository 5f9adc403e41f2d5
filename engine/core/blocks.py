"""The records of a round a block at a time, so that what is computed of each of a million takes no more memory than of many."""

from __future__ import annotations

from collections.abc import Iterator

AT_ONCE = 2**14
"""Records of a block. A pass of a policy over so many takes some tens of megabytes, and a round that has no more is one block."""


def blocks(n: int) -> Iterator[slice]:
    """The records 0 to n - 1 in order.

    >>> [(block.start, block.stop) for block in blocks(40_000)]
    [(0, 16384), (16384, 32768), (32768, 40000)]
    """
    for start in range(0, n, AT_ONCE):
        yield slice(start, min(start + AT_ONCE, n))

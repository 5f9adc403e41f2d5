"""The power is lost at every moment, and of what was not forced to the disk any part may be there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from hashlib import sha256
from itertools import product
from pathlib import Path

from benchmarks.faults.failing_files import through
from benchmarks.faults.model_disk import ModelDisk, Moment
from benchmarks.faults.writer import Bench, Part, Tally, aftermath, forget

FEW = 10
"""Operations that were not forced, up to which every subset is tried."""
RANDOM = 1000
"""Subsets that are tried beyond, at random."""

Choice = tuple[tuple[bool, ...], tuple[bool, ...]]
"""Of the names, and of the files' bytes, what the medium has."""


def lose_power(bench: Bench, part: Part, tally: Tally) -> None:
    """Try each state of the medium that there may be, as far as the part has it; equal ones once."""
    seen: set[bytes] = set()
    number = 0
    for at, moment in enumerate(_moments(bench)):
        dice = random.Random(f"{bench.writer.name} {at}")
        for names, contents in _choices(moment, dice):
            number += 1
            if not part.takes(number):
                continue
            luck = random.Random(number)
            bytes_of = dict(moment.forced_content)
            for file, is_kept in zip(moment.unforced, contents, strict=True):
                if is_kept:
                    bytes_of[file] = _written(moment.content[file], luck)
            tree = moment.tree(names, lambda file, known=bytes_of: known.get(file, b""))  # type: ignore[misc]
            key = _digest(tree, moment.said)
            if key not in seen:
                seen.add(key)
                with bench.empty() as folder:
                    _build(folder, tree)
                    tally.add(f"moment {at}", aftermath(bench.writer, folder, moment.said))


def _moments(bench: Bench) -> list[Moment]:
    with bench.fresh() as folder:
        disk = ModelDisk(folder)
        forget()
        with through(disk):
            bench.writer.act(folder, disk.say)
        return disk.moments


def _choices(moment: Moment, dice: random.Random) -> Iterator[Choice]:
    """Every subset of few operations; of many nothing, everything, everything but one, and random ones."""
    n = moment.operations
    split = len(moment.changes)
    if n <= FEW:
        chosen: Iterator[tuple[bool, ...]] = product((False, True), repeat=n)
    else:
        chosen = iter(
            [
                *((is_all,) * n for is_all in (False, True)),
                *(tuple(i != left for i in range(n)) for left in range(n)),
                *(tuple(dice.random() < 0.5 for _ in range(n)) for _ in range(RANDOM)),
            ]
        )
    for kept in chosen:
        yield kept[:split], kept[split:]


def _written(data: bytes, luck: random.Random) -> bytes:
    """What arrived of bytes that were not forced: mostly all, else the first half, alone or with zeros behind it."""
    half = data[: len(data) // 2]
    return luck.choice((data, data, half, half + bytes(len(data) - len(half))))


def _digest(tree: dict[str, bytes | None], said: tuple[str, ...]) -> bytes:
    digest = sha256(repr(said).encode())
    for path, data in sorted(tree.items()):
        digest.update(path.encode() + b"\0" + (b"folder" if data is None else sha256(data).digest()))
    return digest.digest()


def _build(folder: Path, tree: dict[str, bytes | None]) -> None:
    folder.mkdir()
    for path, data in sorted(tree.items()):
        if data is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(data)

"""A model of power loss: a disk keeps what was forced to it, and of the rest what it pleases."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import METRICS, assert_same_snapshot, make_checkpoint, make_manifest, make_snapshot

from engine.errors import NotARunError
from engine.store import Files, RunWriter, open_run, verify_run

Names = dict[str, int]
"""Name in a folder -> the file's number, which is no other file's: an inode is used again once its file is removed."""


@dataclass(frozen=True)
class Moment:
    """The disk after one operation, in memory and as forced to the medium, and what was promised by then."""

    names: dict[Path, Names]
    durable_names: dict[Path, Names]
    content: dict[int, bytes]
    durable_content: dict[int, bytes]
    acknowledged: tuple[int, ...]


class ModelDisk(Files):
    """Does every operation and remembers which part would survive a power loss."""

    def __init__(self, root: Path) -> None:
        self.names: dict[Path, Names] = {root: {}}
        self.durable_names: dict[Path, Names] = {root: {}}
        self.content: dict[int, bytes] = {}
        self.durable_content: dict[int, bytes] = {}
        self.open: dict[int, Path] = {}
        self.moments: list[Moment] = []
        self.acknowledged: tuple[int, ...] = ()
        self._numbers: dict[int, int] = {}
        self._following = count()

    def call(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = operation(*args, **kwargs)
        if operation is os.open:
            self.open[result] = args[0]
            if args[1] & os.O_CREAT and args[0].name not in self.names[args[0].parent]:
                self._numbers[os.fstat(result).st_ino] = next(self._following)
                self._enter(args[0])
        elif operation is os.write:
            number = self._numbers[os.fstat(args[0]).st_ino]
            self.content[number] = self.content.get(number, b"") + bytes(args[1][:result])
        elif operation is os.fsync:
            self._force(args[0])
        elif operation is os.mkdir:
            self._numbers[args[0].stat().st_ino] = next(self._following)
            self._enter(args[0])
            self.names[args[0]], self.durable_names[args[0]] = {}, {}
        elif operation is os.link:
            self._enter(args[1])
        elif operation is os.unlink:
            self.names[args[0].parent].pop(args[0].name)
        self.remember()
        return result

    def acknowledge(self, k: int) -> None:
        self.acknowledged += (k,)
        self.remember()

    def remember(self) -> None:
        self.moments.append(
            Moment(
                {folder: dict(names) for folder, names in self.names.items()},
                {folder: dict(names) for folder, names in self.durable_names.items()},
                dict(self.content),
                dict(self.durable_content),
                self.acknowledged,
            )
        )

    def _enter(self, path: Path) -> None:
        self.names[path.parent][path.name] = self._numbers[path.stat().st_ino]

    def _force(self, descriptor: int) -> None:
        path = self.open[descriptor]
        if path.is_dir():
            self.durable_names[path] = dict(self.names[path])
        else:
            number = self._numbers[os.fstat(descriptor).st_ino]
            self.durable_content[number] = self.content.get(number, b"")


def after_power_loss(moment: Moment, folder: Path, out: Path, keep: Callable[[], bool]) -> None:
    """Build in `out` what the medium may hold; `keep` decides for each change that was not forced."""
    out.mkdir()
    now, durable = moment.names[folder], moment.durable_names[folder]
    for name in now.keys() | durable.keys():
        number = now.get(name) if now.get(name) == durable.get(name) or keep() else durable.get(name)
        if number is None:
            continue
        if folder / name in moment.names:
            after_power_loss(moment, folder / name, out / name, keep)
            continue
        content = moment.durable_content.get(number, b"")
        written = moment.content.get(number, b"")
        if content != written and keep():
            content = written if keep() else written[: len(written) // 2]
        (out / name).write_bytes(content)


@pytest.mark.parametrize("luck", ["nothing", "names", "mixed", "everything"])
def test_what_was_acknowledged_survives_a_power_loss_at_any_moment(tmp_path: Path, luck: str) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    disk = ModelDisk(root)
    with RunWriter.create(root / "runs" / "mine", make_manifest(), disk) as writer:
        for k in range(2):
            writer.commit_round(make_snapshot(k), METRICS)
            disk.acknowledge(k)
        writer.commit_final(2, make_checkpoint(2))
        disk.acknowledge(2)
    rng = np.random.default_rng(5)
    for index, moment in enumerate(disk.moments):
        for attempt in range(6 if luck == "mixed" else 1):
            out = tmp_path / f"{index}-{attempt}"
            choices = iter(lambda: bool(rng.random() < 0.5), None)
            if luck == "names":
                after_power_loss(without_content(moment), root, out, lambda: True)
            else:
                keep = {"nothing": lambda: False, "everything": lambda: True}.get(luck, choices.__next__)
                after_power_loss(moment, root, out, keep)
            check(out / "runs" / "mine", moment.acknowledged)


def without_content(moment: Moment) -> Moment:
    """Names reached the medium, bytes that were not forced did not."""
    return Moment(
        moment.names,
        moment.durable_names,
        moment.durable_content,
        moment.durable_content,
        moment.acknowledged,
    )


def check(path: Path, acknowledged: tuple[int, ...]) -> None:
    try:
        run = open_run(path)
    except NotARunError:
        assert acknowledged == ()
        return
    assert verify_run(path) == []
    there = [info.round for info in run.rounds] + ([run.final.round] if run.final else [])
    assert tuple(there[: len(acknowledged)]) == acknowledged
    for k in run.stored_rounds:
        assert_same_snapshot(run.snapshot(k), make_snapshot(k))
    with RunWriter.append(path) as writer:
        assert writer.next_round in (None, len(there))


def test_the_order_of_a_commit_is_data_then_manifest_then_its_name(tmp_path: Path) -> None:
    class Recording(Files):
        order: list[str]

        def call(self, operation, *args, **kwargs):
            result = operation(*args, **kwargs)
            if operation is os.open:
                self.names[result] = args[0]
            if operation in (os.link, os.unlink):
                self.order.append(f"{operation.__name__} {Path(args[-1]).suffix}")
            if operation is os.fsync:
                path = self.names[args[0]]
                self.order.append(f"fsync {path.name if path.is_dir() else path.suffix}")
            return result

    files = Recording()
    files.order, files.names = [], {}
    with RunWriter.create(tmp_path / "run", make_manifest(), files) as writer:
        files.order.clear()
        writer.commit_round(make_snapshot(0), METRICS)
    assert files.order == [
        "fsync .parquet",
        "fsync .parquet",
        "fsync .parquet",
        "fsync data",
        "fsync .tmp",
        "link .json",
        "unlink .tmp",
        "fsync commits",
    ]

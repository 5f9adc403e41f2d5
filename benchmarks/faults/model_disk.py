"""A model of power loss: a disk keeps what was forced to it, and of the rest what it pleases."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from engine.store import Files

Names = dict[str, int]
"""Name in a folder -> the number of the file or folder, which is no other's: an inode is used again once its file is removed."""
Change = tuple[tuple[int, str, int | None], ...]
"""(folder, name, number or None) of what one operation does to names: a renaming takes one away and gives another, or nothing."""
ROOT = 0


@dataclass(frozen=True)
class Moment:
    """The disk after one operation: what was forced to the medium, what was not, and what was promised by then."""

    forced_names: dict[int, Names]
    changes: tuple[Change, ...]
    """Of names, in order, that were not forced."""
    content: dict[int, bytes]
    forced_content: dict[int, bytes]
    said: tuple[str, ...]

    @property
    def unforced(self) -> list[int]:
        """Numbers of the files whose bytes were not forced as they are."""
        return [number for number, data in self.content.items() if self.forced_content.get(number, b"") != data]

    @property
    def operations(self) -> int:
        """How many things the medium may have or not have."""
        return len(self.changes) + len(self.unforced)

    def tree(self, kept: Sequence[bool], bytes_of: Callable[[int], bytes]) -> dict[str, bytes | None]:
        """What the medium holds: path -> bytes, or None of a folder.

        Args:
            kept: of each of `changes`, whether the medium has it.
            bytes_of: the bytes of a file, by its number.
        """
        names = {folder: dict(inside) for folder, inside in self.forced_names.items()}
        for change, is_kept in zip(self.changes, kept, strict=True):
            for folder, name, number in change if is_kept else ():
                if number is None:
                    names[folder].pop(name, None)
                else:
                    names[folder][name] = number
        found: dict[str, bytes | None] = {}
        todo = [("", ROOT)]
        while todo:
            path, folder = todo.pop()
            for name, number in names[folder].items():
                found[path + name] = None if number in names else bytes_of(number)
                todo += [(f"{path}{name}/", number)] if number in names else []
        return found


class ModelDisk(Files):
    """Does every operation, and remembers which part would survive a power loss."""

    def __init__(self, root: Path) -> None:
        """What is in `root` already was forced."""
        self.root = root
        self.folders: dict[int, Names] = {}
        self.forced_folders: dict[int, Names] = {}
        self.content: dict[int, bytes] = {}
        self.forced_content: dict[int, bytes] = {}
        self.moments: list[Moment] = []
        self._changes: list[Change] = []
        self._said: tuple[str, ...] = ()
        self._open: dict[int, int] = {}
        self._following = count(ROOT)
        self._adopt(root)

    def call(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do one system call."""
        result = operation(*args, **kwargs)
        if operation is os.open and self._is_below(args[0]):
            folder, name = self._place(args[0])
            if args[1] & os.O_CREAT and name not in self.folders[folder]:
                number = next(self._following)
                self.content[number] = b""
                self._change((folder, name, number))
            self._open[result] = self.folders[folder][name] if name else ROOT
        elif operation is os.close:
            self._open.pop(args[0], None)
        elif operation is os.write and args[0] in self._open:
            self.content[self._open[args[0]]] += bytes(args[1][:result])
            self._remember()
        elif operation is os.ftruncate and args[0] in self._open:
            self.content[self._open[args[0]]] = self.content[self._open[args[0]]][: args[1]]
            self._remember()
        elif operation is os.fsync and args[0] in self._open:
            self._force(self._open[args[0]])
        elif operation is os.mkdir and self._is_below(args[0]):
            folder, name = self._place(args[0])
            number = next(self._following)
            self.folders[number], self.forced_folders[number] = {}, {}
            self._change((folder, name, number))
        elif operation is os.link and self._is_below(args[1]):
            (at, old), (folder, name) = self._place(args[0]), self._place(args[1])
            self._change((folder, name, self.folders[at][old]))
        elif operation is os.unlink and self._is_below(args[0]):
            self._change((*self._place(args[0]), None))
        elif operation in (os.replace, os.rename) and self._is_below(args[1]):
            (at, old), (folder, name) = self._place(args[0]), self._place(args[1])
            self._change((folder, name, self.folders[at][old]), (at, old, None))
        return result

    def say(self, what: str) -> None:
        """Something is acknowledged from now on."""
        self._said += (what,)
        self._remember()

    def _adopt(self, path: Path) -> int:
        number = next(self._following)
        if path.is_dir():
            names = {entry.name: self._adopt(entry) for entry in sorted(path.iterdir())}
            self.folders[number], self.forced_folders[number] = names, dict(names)
        else:
            self.content[number] = self.forced_content[number] = path.read_bytes()
        return number

    def _is_below(self, path: str | Path) -> bool:
        return Path(path).is_relative_to(self.root)

    def _place(self, path: str | Path) -> tuple[int, str]:
        """The folder that something is in, and its name there; of the root itself an empty one."""
        *above, name = Path(path).relative_to(self.root).parts or ("",)
        folder = ROOT
        for part in above:
            folder = self.folders[folder][part]
        return folder, name

    def _change(self, *change: tuple[int, str, int | None]) -> None:
        for folder, name, number in change:
            if number is None:
                self.folders[folder].pop(name, None)
            else:
                self.folders[folder][name] = number
        self._changes.append(change)
        self._remember()

    def _force(self, number: int) -> None:
        if number not in self.folders:
            self.forced_content[number] = self.content[number]
        for change in [change for change in self._changes if any(folder == number for folder, _, _ in change)]:
            self._changes.remove(change)
            for folder, name, known in change:
                if known is None:
                    self.forced_folders[folder].pop(name, None)
                else:
                    self.forced_folders[folder][name] = known
        self._remember()

    def _remember(self) -> None:
        forced = {folder: dict(names) for folder, names in self.forced_folders.items()}
        content = dict(self.content), dict(self.forced_content)
        self.moments.append(Moment(forced, tuple(self._changes), *content, self._said))

"""Sets of a round's records that a person works with: the selection, the basket and named groups; every change can be undone.

`<run>/basket/000012.json` is a document that holds those of round 12 and the changes that led there. Runs of earlier versions
have the basket alone there, a list. Only a file that is not there reads as empty: one that can't be read or was changed is an
error, and nothing is written over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from msgspec import Meta

from engine.errors import BadInputError, DamagedRunError, NotARunError, StorageError
from engine.intervention.origin import Chosen, Origin, counted_by_origin
from engine.store.documents import read_json, write_json
from engine.store.files import Files, inside
from engine.store.read import Run
from engine.typed import Count, typed

BASKET, SELECTION = "basket", "selection"
MOST_CHANGES = 100
"""Changes that are remembered, ..."""
MOST_REMEMBERED = 200_000
"""... as long as they name no more records than this."""
MOST_GROUPS = 50
LONGEST_NAME = 60
LOCK_SECONDS = 10.0
"""How long another tab or process is waited for that changes the same sets."""

SetName = Annotated[
    str,
    Meta(
        pattern=r"^(basket|selection|group [\s\S]+)$(?!\n)",
        extra={"right": "the basket, the selection or a group"},
    ),
]
Records = tuple[Count, ...]


@dataclass(frozen=True)
class Change:
    """Records that came into one of the sets, and records that left it."""

    of: SetName
    """`basket`, `selection`, or the group that `group_of` names."""
    added: Records = ()
    removed: Records = ()
    origin: Origin | None = None
    """Where the added records came from; None: not kept."""

    @property
    def undone(self) -> Change:
        """The change that takes this one back."""
        return Change(self.of, self.removed, self.added)


@dataclass(frozen=True)
class WrittenSets:
    """What the file says."""

    sets: Mapping[SetName, Records]
    undo: tuple[Change, ...] = ()
    redo: tuple[Change, ...] = ()


@dataclass(frozen=True)
class RecordSets:
    """The sets of one round, each sorted; one without records is not there."""

    sets: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    undo: tuple[Change, ...] = ()
    """Changes that can be taken back, the last one last."""
    redo: tuple[Change, ...] = ()
    """Changes that were taken back, the last one last."""
    checked: bool = True
    """Whether the file has a checksum; False where an earlier version wrote it."""

    @property
    def basket(self) -> list[int]:
        """Records chosen for removal."""
        return list(self.sets.get(BASKET, ()))

    @property
    def chosen(self) -> tuple[Chosen, ...]:
        """Where the records of the basket came from, as far as the changes are remembered that put them in."""
        found: dict[int, Origin | None] = {}
        for change in self.undo:
            if change.of == BASKET:
                found |= dict.fromkeys(change.added, change.origin)
        return counted_by_origin(found.get(record) for record in self.basket)

    @property
    def selection(self) -> list[int]:
        """Records that are looked at."""
        return list(self.sets.get(SELECTION, ()))

    @property
    def groups(self) -> dict[str, list[int]]:
        """Named groups, in the order of their names."""
        named = ((name, records) for of, records in self.sets.items() if (name := name_of_group(of)) is not None)
        return {name: list(records) for name, records in sorted(named)}

    def after(self, change: Change) -> dict[str, tuple[int, ...]]:
        """The sets with a change made."""
        records = tuple(sorted((set(self.sets.get(change.of, ())) | set(change.added)) - set(change.removed)))
        sets = {of: kept for of, kept in self.sets.items() if of != change.of}
        return {**sets, change.of: records} if records else sets


def read_sets(run: Run, round: int) -> RecordSets:
    """The sets of a round as they are on disk; none where there is no file.

    Raises:
        DamagedRunError: the file is not what was written, or no plain file.
        StorageError: the disk refused.
    """
    stamp = stamp_of_sets(run, round)
    return _as_written(_path(run, round), stamp) if stamp else RecordSets()


def stamp_of_sets(run: Run, round: int) -> tuple[int, ...]:
    """What tells the file of a round's sets from its next one, without reading it; empty where there is no file.

    Raises:
        StorageError: the disk refused.
    """
    path = _path(run, round)
    try:
        now = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise StorageError(f"{path} can't be read ({error.strerror}); nothing was changed") from error
    return now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns


@lru_cache(maxsize=16)
def _as_written(path: Path, stamp: tuple[int, ...]) -> RecordSets:
    """The content of the file as of that stamp; a page asks for it a dozen times before it changes."""
    document = read_json(path)
    if document is None:
        return RecordSets()
    found = document.values
    if isinstance(found, list):
        found = {"sets": {BASKET: found}}
    try:
        written = typed(WrittenSets, found, more=True)
    except BadInputError as error:
        raise DamagedRunError(f"basket/{path.name} is damaged: it holds no sets of records ({error})") from error
    sets = {of: tuple(sorted(set(records))) for of, records in written.sets.items() if records}
    return RecordSets(sets, written.undo, written.redo, document.checked)


def change_set(
    run: Run,
    round: int,
    of: str,
    add: Iterable[int] = (),
    remove: Iterable[int] | None = (),
    origin: Origin | None = None,
) -> None:
    """Put records into one of the sets and take others out (`None`: all that are not added), whatever else happened to it.

    Where the added ones came from is kept with the change.

    Raises:
        NotARunError: the run is no longer there.
        DamagedRunError: the file is not what was written; it is left as it is.
        StorageError: the run's folder can't be read or written.
    """
    new = {int(i) for i in add}
    out = None if remove is None else {int(i) for i in remove}

    def changed(before: RecordSets) -> RecordSets | None:
        had = set(before.sets.get(of, ()))
        gone = (had if out is None else out & had) - new
        change = Change(of, tuple(sorted(new - had)), tuple(sorted(gone)), origin)
        return RecordSets(before.after(change), (*before.undo, change)) if change.added or change.removed else None

    _update(run, round, changed)


def change_basket(
    run: Run, round: int, add: Iterable[int] = (), remove: Iterable[int] | None = (), origin: Origin | None = None
) -> None:
    """`change_set` of the basket."""
    change_set(run, round, BASKET, add, remove, origin)


def select(run: Run, round: int, records: Iterable[int]) -> None:
    """Make these records, and no others, the selection of a round. Errors as `change_set`."""
    change_set(run, round, SELECTION, records, None)


def save_group(run: Run, round: int, name: str, records: Iterable[int]) -> str:
    """Keep records under a name, in the place of those that had it; returns the name as it is kept.

    Raises:
        BadInputError: there is no name or no record, the name is too long, or there are too many groups.
        NotARunError, StorageError: as `change_set`.
    """
    name, chosen = " ".join(name.split()), list(records)
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadInputError(f"a group needs a name of 1 to {LONGEST_NAME} printable characters")
    if not chosen:
        raise BadInputError("a group needs records; select some or put some into the basket first")
    groups = read_sets(run, round).groups
    if name not in groups and len(groups) >= MOST_GROUPS:
        raise BadInputError(f"there are {MOST_GROUPS} groups in this round, which is the most; delete one first")
    change_set(run, round, group_of(name), chosen, None)
    return name


def delete_group(run: Run, round: int, name: str) -> None:
    """Forget a group; its records stay where they are. Errors as `change_set`."""
    change_set(run, round, group_of(name), remove=None)


def undo(run: Run, round: int) -> Change | None:
    """Take the last change back; returns what was done, or None where there is nothing to undo. Errors as `change_set`."""
    done: list[Change] = []

    def undone(sets: RecordSets) -> RecordSets | None:
        if not sets.undo:
            return None
        done.append(sets.undo[-1].undone)
        return RecordSets(sets.after(done[-1]), sets.undo[:-1], (*sets.redo, sets.undo[-1]))

    _update(run, round, undone)
    return done[-1] if done else None


def redo(run: Run, round: int) -> Change | None:
    """Make the change again that was undone last; returns it, or None where there is none. Errors as `change_set`."""
    done: list[Change] = []

    def redone(sets: RecordSets) -> RecordSets | None:
        if not sets.redo:
            return None
        done.append(sets.redo[-1])
        return RecordSets(sets.after(done[-1]), (*sets.undo, done[-1]), sets.redo[:-1])

    _update(run, round, redone)
    return done[-1] if done else None


def copy_sets(run: Run, copy: Run, round: int) -> bool:
    """Write a round's sets of records anew for a copy of its run that has none; whether there were any.

    Raises:
        DamagedRunError: the file is not what was written, or names records that the round does not have.
        StorageError: the disk refused.
    """
    sets = read_sets(run, round)
    if sets == RecordSets():
        return False
    n = len(copy.snapshot(round).buffer)
    changes = (*sets.undo, *sets.redo)
    named = [*sets.sets.values(), *(change.added for change in changes), *(change.removed for change in changes)]
    if any(records and max(records) >= n for records in named):
        raise DamagedRunError(f"basket/{round:06d}.json is damaged: it names records that round {round} does not have")
    path, files = _path(copy, round), Files()
    files.make_folder(path.parent)
    write_json(path, _content(sets), files)
    return True


def set_aside(run: Run, round: int) -> str:
    """Give a damaged file another name, so that the round's sets begin anew; returns that name. Errors as `change_set`."""
    path = run.path / "basket" / f"{round:06d}.json"
    kept = path.with_name(f"{path.name}.damaged-{uuid4().hex[:8]}")
    Files().rename(inside(run.path, "basket") / path.name, kept)
    return f"basket/{kept.name}"


def group_of(name: str) -> str:
    """What a named group is called among the sets."""
    return f"group {name}"


def name_of_group(of: str) -> str | None:
    """The name of a group among the sets, None for another set."""
    return of.removeprefix("group ") if of.startswith("group ") else None


def _path(run: Run, round: int) -> Path:
    return inside(run.path, "basket", f"{round:06d}.json")


def _update(run: Run, round: int, change: Callable[[RecordSets], RecordSets | None]) -> None:
    """Write what `change` makes of the sets, unless that is None; nobody else changes them meanwhile."""
    if change(read_sets(run, round)) is None:
        return
    if not (run.path / "run.json").exists():
        raise NotARunError(f"the run {run.name} is no longer there; choose another one")
    path, files = _path(run, round), Files()
    files.make_folder(path.parent)
    lock = files.lock(inside(path.parent, "lock"), wait=LOCK_SECONDS)
    try:
        files.sweep(path.parent)
        after = change(read_sets(run, round))
        if after is not None:
            write_json(path, _content(after), files)
    finally:
        files.unlock(lock)


def _content(sets: RecordSets) -> dict[str, Any]:
    return {
        "sets": sets.sets,
        "undo": [_plain(change) for change in _recent(sets.undo)],
        "redo": [_plain(change) for change in _recent(sets.redo)],
    }


def _plain(change: Change) -> dict[str, Any]:
    plain = {name: getattr(change, name) for name in ("of", "added", "removed")}
    return plain if change.origin is None else {**plain, "origin": change.origin.to_json()}


def _recent(changes: tuple[Change, ...]) -> list[Change]:
    """The last changes, within the bounds."""
    kept: list[Change] = []
    records = 0
    for change in reversed(changes[-MOST_CHANGES:]):
        records += len(change.added) + len(change.removed)
        if records > MOST_REMEMBERED:
            break
        kept.append(change)
    return kept[::-1]

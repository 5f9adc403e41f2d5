"""Read a run, also while it is being written: only what a commit names, and only the bytes it committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.errors import BadInputError, DamagedRunError, EngineError, NotARunError, StorageError
from engine.known_kinds import UPDATE, columns_named, parts_of
from engine.store.buckets.mirror import address_of, called, files_of, local_folder
from engine.store.chain import Commit, DataFile
from engine.store.commit_index import WORTH, load_commits, save_commits
from engine.store.files import Files
from engine.store.find import find_runs
from engine.store.kept_files import KeptFiles
from engine.store.kind_tables import Columns
from engine.store.manifest import RunManifest
from engine.store.snapshot import Snapshot
from engine.store.tables import checkpoint_from, minibatches_from
from engine.store.verified import broken_link, commit_numbers, model_file, read_commit, read_manifest, read_table
from engine.store.words import brief, counted

MOST_RANGES = 12
"""Of rounds that a message lists."""


@dataclass(frozen=True)
class RoundInfo:
    """What a commit says about its round."""

    round: int
    metrics: Mapping[str, Any]
    stored: bool
    """Whether the records are there; of some rounds only the metrics are kept, in a thinned copy and by `keep=`."""
    final: bool
    """The checkpoint after the last update, rather than a round."""
    hash: str
    bytes: int
    """Size of the data files that are there."""

    def __repr__(self) -> str:
        what = "final checkpoint" if self.final else f"round {self.round}"
        return f"RoundInfo({what}{'' if self.stored or self.final else ', metrics only'})"


def open_run(path: str | Path, files: Files | None = None, *, indexed: bool = False) -> Run:
    """Open a recorded run.

    >>> run = open_run("sample_runs/FrozenLake-v1")
    >>> len(run.rounds), run.snapshot(12).buffer.reward.shape
    (30, (2048,))

    Args:
        path: its folder, or its address on an object store, such as `s3://bucket/runs/mine`.
        files: file operations.
        indexed: let a long run keep what its commits say in one file of its `derived/`, and open from that: many times faster.
            See `engine.store.commit_index`.

    Raises:
        NotARunError: there is no run at `path`.
        BadInputError: a newer engine wrote it, or `path` is no path.
        DamagedRunError: `run.json` or a commit is not what was written.
    """
    if not isinstance(path, str | PathLike):
        raise BadInputError(
            f"a run is needed, not {type(path).__name__}; give its folder, or what engine.open_run makes of it"
        )
    folder = local_folder(path)
    files = files_of(folder, files)
    try:
        if not folder.is_dir() and address_of(folder) is None:
            raise NotARunError(_no_run(path))
        data = read_manifest(folder, files)
    except PermissionError as error:
        raise StorageError(f"{path} can't be read ({error.strerror}); choose a folder that you may read") from None
    except FileNotFoundError:
        raise NotARunError(_no_run(path)) from None
    return Run(folder, data, files, indexed)


class Run:
    """A recorded run; `open_run` makes one. It sees the rounds of its last `refresh`."""

    def __init__(self, path: Path, manifest: bytes, files: Files, indexed: bool = False) -> None:
        self.path = path
        self.manifest = RunManifest.from_bytes(manifest)
        self._files = files
        self._root = sha256(manifest).hexdigest()
        self._commits: dict[int, Commit] = {}
        self._indexed = 0 if indexed else None
        """How many of them are in the index; None of a run that is to have none."""
        self.kept = KeptFiles()
        """The data files that its commits name and no later one dropped."""
        self.refresh()

    def __repr__(self) -> str:
        return (
            f"Run('{brief(self.path)}': {counted(len(self.rounds), 'round')}, {brief(self.manifest.env_id)}, "
            f"seed {self.config.seed})"
        )

    def __iter__(self) -> NoReturn:
        raise TypeError(
            "a Run is no sequence of rounds; run.snapshot(k) gives the recorded round k, engine.rounds(config, out) each "
            "round of a training as it goes on"
        )

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def config(self) -> TrainConfig:
        """The settings of the training."""
        return self.manifest.config

    @property
    def kind(self) -> str:
        """What kind of run it is, such as `control` or `language`."""
        return self.manifest.kind

    @property
    def head(self) -> str:
        """Hash of the last commit; of run.json where there is none."""
        return next(reversed(self._infos.values())).hash if self._infos else self._root

    @property
    def commits(self) -> list[Commit]:
        """What was committed, in order: the rounds, and last the final checkpoint."""
        return list(self._commits.values())

    @property
    def rounds(self) -> list[RoundInfo]:
        """The rounds in order, without the final checkpoint."""
        return [info for info in self._infos.values() if not info.final]

    @property
    def final(self) -> RoundInfo | None:
        """The commit of the final checkpoint; None while the run is not finished."""
        return next((info for info in self._infos.values() if info.final), None)

    @property
    def stored_rounds(self) -> list[int]:
        """The rounds that `snapshot` can give."""
        return [info.round for info in self._infos.values() if info.stored]

    @property
    def checkpoint_rounds(self) -> list[int]:
        """The numbers that `checkpoint` can give: the stored rounds', the final one's, and that after a round that is kept."""
        return [number for number in self._commits if self.has_checkpoint(number)]

    def has_records(self, k: int) -> bool:
        """Whether `snapshot` can give round k; unlike a look through `stored_rounds` as quick in a long run as in a short one."""
        return k in self._infos and self._infos[k].stored

    def has_checkpoint(self, k: int) -> bool:
        """Whether `checkpoint` can give theta(k)."""
        return k in self._commits and self.kept.file(k, "checkpoint") is not None

    def refresh(self) -> None:
        """Look for new commits, and which rounds they drop.

        Raises:
            DamagedRunError: a commit is missing, changed, does not follow the one before it, or drops what it can't drop.
        """
        numbers = commit_numbers(self.path, self._files)
        commits = dict(self._commits)
        if self._indexed is not None and not commits and len(numbers) >= WORTH:
            commits = load_commits(self.path, numbers, self._root, self._files)
            self._indexed = len(commits)
        for number in numbers:
            if number not in commits:
                commits[number] = read_commit(self.path, number, self._files)
        if len(commits) == len(self._commits):
            return
        ordered = [commits[number] for number in sorted(commits)]
        before, kept = None, KeptFiles()
        for commit in ordered:
            problem = broken_link(before, commit, self._root) or kept.problem(commit)
            if problem:
                raise DamagedRunError(problem)
            kept.add(commit)
            before = commit
        self.kept = kept
        self._commits = {commit.round: commit for commit in ordered}
        self.__dict__.pop("_infos", None)
        if self._indexed is not None and len(commits) - self._indexed >= WORTH:
            save_commits(self.path, self._commits, self._files)
            self._indexed = len(commits)

    def snapshot(self, k: int) -> Any:
        """Round k as a `Snapshot` of the run's kind, each byte of it verified. The arrays are the caller's own.

        Raises:
            BadInputError: the round is not there, or only its metrics are (it may have been dropped since the last `refresh`), or
                the run is of a kind that is not known here.
            DamagedRunError: a file is missing or its bytes are not those that were committed.
        """
        if not self.has_records(k):
            raise BadInputError(self._no_records(k))
        commit, manifest = self._commits[k], self.manifest
        columns: Columns = columns_named(manifest.kind)
        first, *others = parts_of(manifest.kind)
        present = [first, *(part for part in others if commit.file(part[0]))]
        tables, names = self._read(k, [*UPDATE, *(table for part in present for table in part)])
        buffers = {
            part[0]: columns.buffer(manifest, [tables[each] for each in part], [names[each] for each in part])
            for part in present
        }
        common = {
            "round": k,
            "config": manifest.config,
            "settings": manifest.settings,
            "in_force": commit.settings,
            "checkpoint": checkpoint_from(tables["checkpoint"], names["checkpoint"]),
            "minibatches": minibatches_from(tables["minibatches"], len(buffers[first[0]]), names["minibatches"]),
            "fingerprint": commit.fingerprint or manifest.fingerprint,
            "metrics": commit.metrics,
            "hash": self._infos[k].hash,
            "path": self.path,
        }
        return columns.snapshot(manifest, buffers, names[first[0]], common)

    def model_files(self) -> dict[str, bytes]:
        """The files that describe a language model and its tokenizer, by name; none for any other run.

        Raises:
            DamagedRunError: a file is missing or its bytes are not those that run.json names.
        """
        return {name: model_file(self.path, name, digest, self._files) for name, digest in self.manifest.model.items()}

    def checkpoint(self, k: int) -> dict[str, NDArray[Any]]:
        """Theta before round k's update, or the final one; reads no other file. Errors as `snapshot`."""
        if not self.has_checkpoint(k):
            raise BadInputError(self._no_records(k, "a checkpoint", self.checkpoint_rounds))
        tables, names = self._read(k, ["checkpoint"])
        return checkpoint_from(tables["checkpoint"], names["checkpoint"])

    @cached_property
    def _infos(self) -> dict[int, RoundInfo]:
        return {
            number: RoundInfo(
                round=number,
                metrics=commit.metrics,
                stored=self.kept.has_records(number),
                final=commit.final,
                hash=commit.hash,
                bytes=sum(file.bytes for file in self.kept.of_round(number)),
            )
            for number, commit in self._commits.items()
        }

    def _read(self, k: int, wanted: Sequence[str]) -> tuple[dict[str, pa.Table], dict[str, str]]:
        """By name the tables of a round, and the files that they are in."""
        files = {name: self._file(k, name) for name in wanted}
        most = self.manifest.most_rows
        try:
            tables = {name: read_table(self.path, file, self._files, most(name)) for name, file in files.items()}
        except DamagedRunError:
            if self._is_dropped_by_now(k, wanted):
                raise BadInputError(
                    f"round {k} is no longer kept: the run goes on, and dropped it since it was read; refresh the run"
                ) from None
            raise
        return tables, {name: f"data/{file.name}" for name, file in files.items()}

    def _file(self, k: int, kind: str) -> DataFile:
        file = self.kept.file(k, kind)
        if file is None:
            raise DamagedRunError(f"{self._commits[k].name} is damaged: it names no {kind} file")
        return file

    def _is_dropped_by_now(self, k: int, kinds: Sequence[str]) -> bool:
        """Whether a writer has dropped files of a round since the last `refresh`."""
        try:
            now = open_run(self.path, self._files).kept
        except EngineError:
            return False
        return now.was_dropped(k) and not all(now.file(k, kind) for kind in kinds)

    def _no_records(self, k: int, what: str = "records", numbers: list[int] | None = None) -> str:
        """Say what is there instead of round k."""
        if not self._infos:
            return f"round {k} is not in this run; it has no rounds yet"
        info = self._infos.get(k)
        have = f"rounds with {what} are {ranges_near(self.stored_rounds if numbers is None else numbers, k)}"
        if info is None:
            there = [info.round for info in self.rounds]
            if not there:
                return f"round {k} is not in this run; it has only the final checkpoint"
            return f"round {k} is not in this run; it has rounds {there[0]} to {there[-1]}"
        if info.final:
            return f"{k} is the final checkpoint, which has no records; {have}"
        if self.kept.was_dropped(k):
            return f"round {k} was recorded, and its {what.removeprefix('a ')} not kept; {have}"
        return f"round {k} keeps only metrics in this run; {have}"


def snapshot_of(source: Snapshot | Run | str | Path, round: int | None) -> Any:
    """A snapshot as it is, or the round of a run or a run folder.

    Raises:
        BadInputError: a run without saying which round, or one whose records are not there; or a snapshot of another round.
    """
    if isinstance(source, Snapshot):
        if round not in (None, source.round):
            raise BadInputError(
                f"round is {round}, beside a snapshot of round {source.round}; leave it out, or give the run"
            )
        return source
    if not isinstance(source, Run):
        source = open_run(source)
    if round is None:
        raise BadInputError("a run has many rounds; say which one with round=")
    return source.snapshot(round)


def read_model_files(path: Path) -> dict[str, bytes]:
    """`Run.model_files` of the run in a folder, whose rounds are not looked at. Errors as there."""
    files = files_of(path)
    try:
        manifest = RunManifest.from_bytes(read_manifest(path, files))
    except FileNotFoundError:
        raise NotARunError(_no_run(path)) from None
    return {name: model_file(path, name, digest, files) for name, digest in manifest.model.items()}


def _no_run(path: str | Path) -> str:
    path = local_folder(path)
    if address_of(path) is not None:
        return f"{called(path)} is not a run; a run is a folder that holds run.json, commits/ and data/"
    if not path.exists():
        return f"{path} does not exist; a run is a folder that holds run.json, commits/ and data/"
    below = find_runs(path) if path.is_dir() else []
    hint = f"did you mean {below[0]}?" if below else "a run is a folder that holds run.json, commits/ and data/"
    return f"{path} is not a run; {hint}"


def ranges(numbers: list[int]) -> str:
    """[0, 1, 2, 7] -> '0-2, 7'."""
    return ", ".join(_in_words(span) for span in _spans(numbers)) or "none"


def ranges_near(numbers: list[int], k: int) -> str:
    """`ranges`, those nearest to k where there are many.

    >>> ranges_near([*range(0, 5000, 100)], 2030)
    '..., 1500, 1600, 1700, 1800, 1900, 2000, 2100, 2200, 2300, 2400, 2500, 2600, ...'
    """
    spans = _spans(numbers)
    first = max(0, min(sum(high < k for _, high in spans) - MOST_RANGES // 2, len(spans) - MOST_RANGES))
    shown = [_in_words(span) for span in spans[first : first + MOST_RANGES]]
    before, after = (["..."] if first else []), (["..."] if first + MOST_RANGES < len(spans) else [])
    return ", ".join([*before, *shown, *after]) or "none"


def _spans(numbers: list[int]) -> list[list[int]]:
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return spans


def _in_words(span: list[int]) -> str:
    low, high = span
    return f"{low}-{high}" if high > low else f"{low}"

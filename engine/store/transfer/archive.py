"""A run in one file: a plain tar of what its commits name, its model's files, and what people said of it and its records.

Nothing is compressed a second time. Caches and interventions are left out: the one can be computed, the others done again.
"""

from __future__ import annotations

import re
import tarfile
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from engine.errors import BadInputError, DamagedRunError, NotARunError
from engine.store.buckets.mirror import files_of
from engine.store.chain import commit_name, commit_number, is_data_file
from engine.store.documents import LARGEST_DOCUMENT
from engine.store.files import Files, inside
from engine.store.read import Run, open_run
from engine.store.verified import read_data, read_manifest

MOST_FILES = 2**20
"""In an archive; of a hundred thousand rounds there are half as many."""
LEFT_BEHIND = ("interventions", "derived")
"""Folders of a run that no archive holds, and that are told apart from what is no part of a run."""
_MODEL_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_AT_ONCE = 16 * 2**20


def archive_run(path: str | Path, archive: str | Path, files: Files | None = None) -> Run:
    """Write a run into a file that is not there yet; it appears once it is complete.

    Args:
        path: the run.
        archive: the file.
        files: file operations.

    Returns:
        The run as it was written.

    Raises:
        BadInputError: there is something at `archive`.
        DamagedRunError: the run is damaged; nothing is written.
        StorageError: the disk refused.
    """
    run = open_run(path, files)
    reading, files, archive = files_of(run.path, files), files or Files(), Path(archive)
    files.make_folder(archive.parent)
    try:
        files.publish_from(archive, _tar(run, reading))
    except FileExistsError:
        raise BadInputError(f"{archive} is there already; choose another file") from None
    return run


def _tar(run: Run, files: Files) -> Iterator[bytes]:
    """The archive, piece by piece. What it is made of was verified, so that no damage travels on."""
    for name, data in _content(run, files):
        member = tarfile.TarInfo(f"{run.name}/{name}")
        member.size = len(data)
        yield member.tobuf()
        yield data
        yield bytes(-len(data) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _content(run: Run, files: Files) -> Iterator[tuple[str, bytes]]:
    yield "run.json", read_manifest(run.path, files)
    for name, data in run.model_files().items():
        yield f"model/{name}", data
    for commit in run.commits:
        for file in run.kept.of_round(commit.round):
            yield f"data/{file.name}", read_data(run.path, file, files)
        yield commit.name, commit.to_bytes()
    said = ["notes/about.json", *(f"basket/{commit_name(number)}" for number in run.stored_rounds)]
    for name in said:
        try:
            yield name, files.read(inside(run.path, *name.split("/")), limit=LARGEST_DOCUMENT)
        except FileNotFoundError:
            continue


def unpack(archive: Path, folder: Path, files: Files) -> Counter[str]:
    """Write what an archive holds of a run into an empty folder: files with the names that a run's have, and nothing else.

    Args:
        archive: a plain tar, with the run in a folder of its own or not. Anybody may have made it.
        folder: where the run's files go; it is there.
        files: file operations. Whoever calls limits what they may write.

    Returns:
        How many files were passed over, by what they are.

    Raises:
        NotARunError: it is no such archive, or holds no run.
        DamagedRunError: it holds two files of one name, too many files, or ends too early.
    """
    passed: Counter[str] = Counter()
    top: str | None = None
    with files.stream(archive) as stream:
        for number, (member, content) in enumerate(_members(archive, stream)):
            if number >= MOST_FILES:
                raise DamagedRunError(f"{archive.name} is damaged: it holds more than {MOST_FILES:,} files")
            if member.isdir():
                continue
            parts = [part for part in PurePosixPath(member.name).parts if part != "."]
            if not is_of_a_run(parts):
                above, *parts = parts or [""]
                top = above if top is None and is_of_a_run(parts) else top
                parts = parts if above == top else []
            if not is_of_a_run(parts) or not member.isreg() or member.issparse() or content is None:
                passed[_what(parts)] += 1
                continue
            path = inside(folder, *parts)
            files.make_folder(path.parent)
            try:
                files.create_from(path, _pieces(content, member.size, archive))
            except FileExistsError:
                raise DamagedRunError(f"{archive.name} is damaged: it holds {'/'.join(parts)} twice") from None
    if not files.exists(folder / "run.json"):
        raise NotARunError(f"{archive} holds no run; make an archive with: python -m engine export RUN --archive FILE")
    return passed


def is_of_a_run(parts: Collection[str]) -> bool:
    """Whether a path, name by name below a run's folder, is one of a file that this format knows and an archive may hold.

    >>> is_of_a_run(["commits", "000012.json"]), is_of_a_run(["commits", "..", "000012.json"])
    (True, False)
    """
    match [*parts]:
        case ["run.json"] | ["notes", "about.json"]:
            return True
        case ["commits" | "basket", name]:
            return commit_number(name) is not None
        case ["data", name]:
            return is_data_file(name)
        case ["model", name]:
            return _MODEL_FILE.fullmatch(name) is not None
        case _:
            return False


def _members(archive: Path, stream: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """What a tar holds, each with its content, before the next one is looked for."""
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                yield member, content
                tar.members = []  # type: ignore[attr-defined]  # it would remember them all
            stream.seek(tar.offset)  # to the library a header that is damaged is the end, too
            if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise DamagedRunError(f"{archive.name} is damaged: it does not end where a file in it ends")
    except (tarfile.TarError, ValueError, EOFError, OverflowError) as error:
        raise NotARunError(f"{archive} is no archive of a run, a plain tar ({' '.join(str(error).split())})") from None


def _pieces(content: IO[bytes], size: int, archive: Path) -> Iterator[bytes]:
    left = size
    while left > 0:
        try:
            piece = content.read(min(left, _AT_ONCE))
        except tarfile.TarError:
            piece = b""
        if not piece:
            raise DamagedRunError(f"{archive.name} is damaged: it ends in the middle of a file")
        left -= len(piece)
        yield piece


def _what(parts: list[str]) -> str:
    """What a file that is passed over is called: the folder of a run that it lies in, where it does."""
    return parts[0] if parts and parts[0] in LEFT_BEHIND else "others"

"""Check every byte of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pyarrow as pa

from engine.errors import DamagedRunError, NotARunError, StorageError
from engine.known_kinds import UPDATE, columns_named, parts_of
from engine.store.buckets.mirror import files_of, local_folder
from engine.store.chain import Commit, commit_name
from engine.store.commit_index import WORTH, load_commits, save_commits
from engine.store.documents import read_json
from engine.store.files import Files, inside
from engine.store.kept_files import KeptFiles
from engine.store.kind_tables import Columns
from engine.store.manifest import RunManifest
from engine.store.results_table import read_results_table
from engine.store.sound_files import SoundFiles
from engine.store.tables import checkpoint_from, minibatches_from
from engine.store.verified import broken_link, commit_numbers, model_file, read_commit, read_manifest, read_table
from engine.store.words import brief

WORK_OF_PEOPLE = ("basket", "interventions", "notes", "result.json")
"""What a run's folder holds beside its rounds, none of it committed."""
NOT_DOCUMENTS = frozenset(("data", "commits", "derived", "model"))


@dataclass(frozen=True)
class Damage:
    """One file that is not what was committed."""

    file: str
    """Relative to the run."""
    problem: str
    """One line that names the file, too."""


def verify_run(path: str | Path, files: Files | None = None) -> list[Damage]:
    """All damage in a run: `verify_rounds`, and what people made of it, see `verify_documents`. Errors as there."""
    return verify_rounds(path, files) + verify_documents(path, files)[0]


def verify_rounds(path: str | Path, files: Files | None = None, sound: SoundFiles | None = None) -> list[Damage]:
    """Read and check everything that the run's commits name: hashes, chain, pages, columns, permutations.

    Gone may be only what a commit drops, see `KeptFiles`. What a killed writer left (data that no commit names or that one
    drops, temporary manifests) is not damage.

    Args:
        path: the run's folder.
        files: file operations.
        sound: the files that are known to be sound, which are then not read again. The chain of commits is checked in any case,
            by the index of a long run (`commit_index`); what is found is kept where nothing is damaged.

    Returns:
        All damage found, in the order of the rounds; empty for a sound run.

    Raises:
        NotARunError: there is no run at `path`.
        BadInputError: a newer engine wrote it.
    """
    path = local_folder(path)
    files = files_of(path, files, afresh=True)
    try:
        data = read_manifest(path, files)
    except FileNotFoundError:
        raise NotARunError(f"{path} is not a run: it holds no run.json") from None
    except (DamagedRunError, StorageError) as error:
        return [Damage("run.json", str(error))]
    try:
        numbers = commit_numbers(path, files)
    except (DamagedRunError, StorageError) as error:
        return [Damage("commits", str(error))]
    root = sha256(data).hexdigest()
    sound = sound or SoundFiles(path, files, cache=False)
    indexed = load_commits(path, numbers, root, files) if sound.cache else {}
    commits, damage = _read_commits(path, numbers, indexed, sound, files)
    damage += _chain_damage(numbers, commits, root)
    kept = KeptFiles()
    for commit in commits.values():
        problem = kept.problem(commit) if len(commits) == len(numbers) else None
        damage += [Damage(commit.name, problem)] if problem else []
        kept.add(commit)
    manifest = None
    if not any(found.file == "run.json" for found in damage):
        try:
            manifest = RunManifest.from_bytes(data)
        except DamagedRunError as error:
            damage.append(Damage("run.json", str(error)))
    damage += _model_damage(path, manifest, files)
    in_data: list[Damage] = []
    for commit in commits.values():
        hashes = {f"data/{file.name}": file.sha256 for file in kept.of_round(commit.round)}
        if hashes and sound.has(hashes):
            continue
        identities = sound.identities(hashes)
        found = [*_data_damage(path, commit, kept, manifest, files)]
        if not found:
            sound.add(hashes, identities)
        in_data += found
    damage += _not_dropped(path, in_data, numbers, commits, kept, files)
    if sound.cache and not damage:
        sound.keep()
        if len(commits) - len(indexed) >= WORTH:
            save_commits(path, commits, files)
    return sorted(damage, key=lambda found: (found.file != "run.json", _number(found.file)))


def _read_commits(
    path: Path, numbers: list[int], indexed: Mapping[int, Commit], sound: SoundFiles, files: Files
) -> tuple[dict[int, Commit], list[Damage]]:
    """Every commit by its number, and what can't be read; from the index those whose files are known to be sound."""
    commits: dict[int, Commit] = {}
    damage: list[Damage] = []
    for number in numbers:
        name = f"commits/{commit_name(number)}"
        known = indexed.get(number)
        if known is not None and sound.has({name: known.hash}):
            commits[number] = known
            continue
        identities = sound.identities([name])
        try:
            commits[number] = read_commit(path, number, files)
        except (DamagedRunError, StorageError) as error:
            damage.append(Damage(name, str(error)))
        else:
            sound.add({name: commits[number].hash}, identities)
    return commits, damage


def verify_documents(path: str | Path, files: Files | None = None) -> tuple[list[Damage], list[str]]:
    """Read and check what people made: a run's sets of records, plans, results and notes; or a whole campaign.

    The rounds of a run's branches are left to `verify_run` of the branch.

    Args:
        path: a run's folder, or a campaign's.
        files: file operations.

    Returns:
        The damage, and the documents that an earlier version wrote without a checksum, so that nobody can tell.
    """
    path, files = Path(path), files or Files()
    places = WORK_OF_PEOPLE if files.exists(path / "run.json") else (".",)
    damage: list[Damage] = []
    unchecked: list[str] = []
    for file in sorted(found for place in places for found in _files_of(path / place, path)):
        try:
            whole = inside(path, *Path(file).parts)
            if _is_checked(whole, files) is False:
                unchecked.append(file)
        except (DamagedRunError, StorageError) as error:
            damage.append(Damage(file, str(error)))
    return damage, unchecked


def _is_checked(path: Path, files: Files) -> bool | None:
    """Whether a sound document, table of results or note has a checksum; None where it is gone by now."""
    try:
        if path.suffix == ".parquet":
            return read_results_table(path, files)[1]
        if path.suffix == ".txt":
            return False  # a note of an earlier version
        document = read_json(path, files)
    except FileNotFoundError:
        return None
    return None if document is None else document.checked


def _files_of(place: Path, top: Path) -> Iterator[str]:
    """Documents and tables of results in a file or folder and below it, and links instead of folders; relative to `top`."""
    if place.is_symlink() or place.is_file():
        yield place.relative_to(top).as_posix()
        return
    for folder, below, names in os.walk(place):
        here = Path(folder)
        links = [name for name in below if (here / name).is_symlink()]
        below[:] = sorted({*below} - {*links, *NOT_DOCUMENTS} - {name for name in below if name.startswith(".")})
        for name in (*names, *links):
            whole = not name.startswith(".") and (name.endswith((".json", ".parquet")) or name == "note.txt")
            whole = whole and name != "run.json"
            if whole or name in links:
                yield (here / name).relative_to(top).as_posix()


def _chain_damage(numbers: list[int], commits: dict[int, Commit], root: str) -> Iterator[Damage]:
    """Breaks between commits; a commit that can't be read was reported and is passed over."""
    before: Commit | None = None
    for position, number in enumerate(numbers):
        commit = commits.get(number)
        gap = position > 0 and number != numbers[position - 1] + 1
        if gap:
            for missing in range(numbers[position - 1] + 1, number):
                yield Damage(f"commits/{missing:06d}.json", f"commits/{missing:06d}.json is missing")
        elif commit and (position == 0 or before):
            problem = broken_link(before, commit, root)
            if problem:
                yield Damage("run.json" if before is None else commit.name, problem)
        before = commit


def _not_dropped(
    path: Path,
    in_data: list[Damage],
    numbers: list[int],
    commits: Mapping[int, Commit],
    kept: KeptFiles,
    files: Files,
) -> list[Damage]:
    """What is damaged, without what is gone because a commit drops it, or may drop it where it can't be read itself."""
    if not in_data:
        return []
    if len(commits) == len(numbers):
        gone = _dropped_meanwhile(path, commits[numbers[-1]], kept, files)
        return [found for found in in_data if found.file not in gone]
    unread = max(number for number in numbers if number not in commits)
    return [found for found in in_data if int(_number(found.file)) > unread or files.exists(path / found.file)]


def _dropped_meanwhile(path: Path, last: Commit, kept: KeptFiles, files: Files) -> set[str]:
    """The data files that a writer has dropped since the commits were read."""
    gone: set[str] = set()
    try:
        for number in (number for number in commit_numbers(path, files) if number > last.round):
            commit = read_commit(path, number, files)
            if broken_link(last, commit, "") or kept.problem(commit):
                break
            gone.update(f"data/{name}" for name in kept.add(commit))
            last = commit
    except (DamagedRunError, StorageError):
        pass  # of the commits that came later, the next check says what is wrong
    return gone


def _data_damage(
    path: Path, commit: Commit, kept: KeptFiles, manifest: RunManifest | None, files: Files
) -> Iterator[Damage]:
    """Damage in the data files of one commit that are kept.

    Without a manifest, or of a kind not known, only bytes and pages are checked.
    """
    parts = () if manifest is None else parts_of(manifest.kind)
    own = {*UPDATE, *(table for part in parts for table in part)}
    foreign = next((file.kind for file in commit.files if parts and file.kind not in own), None)
    if foreign is not None:
        yield Damage(
            commit.name, f"{commit.name} is damaged: it names {brief(foreign)}, which this run's rounds don't have"
        )
        return
    tables: dict[str, pa.Table] = {}
    there = kept.of_round(commit.round)
    names = {file.kind: f"data/{file.name}" for file in there}
    for file in there:
        try:
            tables[file.kind] = read_table(
                path, file, files, None if manifest is None else manifest.most_rows(file.kind)
            )
            if file.kind == "checkpoint":
                checkpoint_from(tables[file.kind], names[file.kind])
        except (DamagedRunError, StorageError) as error:
            yield Damage(names[file.kind], str(error))
    if manifest is None or not parts:
        return
    for part in (part for part in parts if tables.keys() >= {*part}):
        try:
            columns: Columns = columns_named(manifest.kind)
            buffer = columns.buffer(manifest, [tables[name] for name in part], [names[name] for name in part])
            if part == parts[0] and "minibatches" in tables:
                minibatches_from(tables["minibatches"], len(buffer), names["minibatches"])
        except (
            DamagedRunError
        ) as error:  # several files are read together; it begins with the name of the one that is wrong
            yield Damage(str(error).split(" ", 1)[0], str(error))


def _model_damage(path: Path, manifest: RunManifest | None, files: Files) -> Iterator[Damage]:
    """Damage in a language model's description."""
    for name, digest in ({} if manifest is None else manifest.model).items():
        try:
            model_file(path, name, digest, files)
        except (DamagedRunError, StorageError) as error:
            yield Damage(f"model/{name}", str(error))


def _number(file: str) -> str:
    """'commits/000012.json' and 'data/000012-...' -> '000012'."""
    return file.partition("/")[2][:6]

"""Import a run of anybody's making: read in a process of its own, under limits, and written anew."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Timer
from typing import Any
from uuid import uuid4

from engine.errors import BadInputError, DamagedRunError, EngineError, NotARunError, StorageError
from engine.executors import Progress
from engine.jobs.import_limits import Limits
from engine.jobs.launch import ROOT
from engine.store.buckets.mirror import address_of, local_folder
from engine.store.files import Files
from engine.store.read import Run, open_run
from engine.store.words import counted

LONGEST_NAME = 64
"""Characters of a folder that an import makes."""
STAGING = ".importing"
"""End of the hidden folder that a run is in until it is whole."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others reserve much more than they use
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_REFUSALS = {kind.__name__: kind for kind in (BadInputError, NotARunError, DamagedRunError, StorageError)}


@dataclass(frozen=True)
class Received:
    """What an import brought."""

    run: Run
    sets: int
    """Rounds of which it has sets of records: baskets, selections, groups."""
    left_out: Mapping[str, int]
    """How many files and folders of the original it has not, by what they are."""

    @property
    def sentence(self) -> str:
        """In words, for a line of its own."""
        said = [
            f"{self.run.path}: {counted(len(self.run.rounds), 'round')}, {len(self.run.stored_rounds)} with records"
        ]
        said += [f"sets of records of {counted(self.sets, 'round')}"] if self.sets else []
        left = ", ".join(f"{number} of {what}" for what, number in sorted(self.left_out.items()))
        return "; ".join([*said, *([f"not taken over: {left}"] if left else [])])


def receive(
    source: str | Path,
    into: str | Path,
    name: str = "",
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Received:
    """Take over a run that anybody may have made, or an archive of one, without executing or believing anything in it.

    A child process reads all of it, within the limits, and writes a new run of what it understood: rounds, what people said
    of the run, and their sets of records. Interventions and caches are left behind. The new run appears once it is whole.

    Args:
        source: a run's folder, its address on an object store, or an archive that `engine.store.transfer.archive` made.
        into: the folder of runs.
        name: of the new run in it; by default that of `source`.
        limits: see `Limits`.
        progress: told commits done and in all; raise from it to cancel.

    Raises:
        BadInputError: there is nothing at `source`, or something under that name already.
        NotARunError: it is no run.
        DamagedRunError: something in it is not as this format has it.
        StorageError: the disk refused, or it needs more than the limits allow.
    """
    source, into, limits = local_folder(source), Path(into), limits or Limits()
    if address_of(source) is not None:
        Files().make_folder(source)  # what the child fetches goes there
    if not source.exists():
        raise BadInputError(f"{source} does not exist; name a run's folder, or an archive that export --archive made")
    out = into / _checked(name or (source.resolve().name if source.is_dir() else source.stem), bool(name))
    if os.path.lexists(out):
        raise BadInputError(f"{out} is there already; choose another name with --name")
    with _staging(into) as staging:
        said = _in_a_child(
            {"source": str(source.resolve()), "staging": str(staging), **asdict(limits)}, limits, progress
        )
        if os.path.lexists(out):
            raise BadInputError(f"{out} is there by now; choose another name with --name")
        Files().rename(staging / "run", out)
    return Received(open_run(out), int(said["sets"]), dict(said["left_out"]))


def _checked(name: str, chosen: bool) -> str:
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        what = "the name" if chosen else "what it is called,"
        raise BadInputError(
            f"{what} {name[:LONGEST_NAME]!r} can't be a run's: say --name with up to {LONGEST_NAME} letters, digits, dots, "
            "dashes and underscores"
        )
    return name


@contextmanager
def _staging(into: Path) -> Iterator[Path]:
    """A hidden folder that is gone afterwards, also those that killed imports left: nobody holds their locks."""
    files = Files()
    files.make_folder(into)
    for name in files.names(into):
        if name.startswith(".") and name.endswith(STAGING):
            with suppress(EngineError):
                lock = files.lock(into / name / "lock")
                shutil.rmtree(into / name, ignore_errors=True)
                files.unlock(lock)
    staging = into / f".{uuid4().hex}{STAGING}"
    files.make_folder(staging)
    lock = files.lock(staging / "lock")
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        files.unlock(lock)


def _import_path() -> list[str]:
    """Where the child finds the program and what it needs: nothing that is relative to where the reader stands."""
    return [
        str(ROOT),
        *(place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if Path(place).is_absolute()),
    ]


def _in_a_child(asked: Mapping[str, Any], limits: Limits, progress: Progress | None) -> dict[str, Any]:
    """What the child says last, when it has done its work; an error of the child's is raised here."""
    try:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.jobs.receiving", json.dumps(asked)],
            env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(_import_path())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise StorageError(f"no process can be started ({error.strerror}); close something, then try again") from error
    clock = Timer(limits.seconds, child.kill)
    clock.start()
    said: dict[str, Any] = {}
    try:
        assert child.stdout is not None
        for line in child.stdout:
            said = json.loads(line)
            if progress is not None and "done" in said:
                progress("commits written anew", said["done"], said["total"])
        code = child.wait()
    finally:
        is_over = not clock.is_alive()
        clock.cancel()
        child.kill()
        child.wait()
    if "error" in said:
        raise _REFUSALS.get(said["kind"], DamagedRunError)(said["error"])
    if is_over or code == -signal.SIGXCPU:
        raise StorageError(f"it takes longer than {limits.seconds:g} s, so it was given up; allow more with --seconds")
    if code or "sets" not in said:
        raise StorageError(
            f"the process that read it ended early (code {code}), as one does that needs more than {limits.memory:g} GiB of "
            "memory; allow more with --memory"
        )
    return said

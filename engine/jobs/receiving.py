"""The child of an import: `python -m engine.jobs.receiving JSON` reads a run of anybody's making, and writes it anew.

It says in lines of JSON how far it is, and last what it wrote or why it gave up.
"""

from __future__ import annotations

import errno
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import DamagedRunError, EngineError, StorageError
from engine.intervention.record_sets import copy_sets
from engine.jobs.import_limits import GIB, LimitedFiles, Limits
from engine.store.files import Files
from engine.store.read import open_run
from engine.store.run_notes import RunNotes, change_run_notes, read_run_notes
from engine.store.transfer.archive import LEFT_BEHIND, is_of_a_run, unpack
from engine.store.transfer.rewritten import rewrite_run

KNOWN = frozenset(("run.json", "data", "commits", "model", "basket", "notes", "writer.lock"))
"""What a run's folder holds that is taken over, or needed by nobody else."""


def main() -> None:
    """Do the work; what ends it early is one line."""
    asked = json.loads(sys.argv[1])
    limits = Limits(asked["memory"], asked["seconds"], asked["disk"])
    limits.hold()
    try:
        done = _written_anew(Path(asked["source"]), Path(asked["staging"]), limits)
    except EngineError as error:
        why = error.__cause__
        is_full = isinstance(why, MemoryError) or (isinstance(why, OSError) and why.errno == errno.ENOMEM)
        done = _too_little(limits) if is_full else {"error": str(error), "kind": type(error).__name__}
    except (MemoryError, ImportError):  # a library that is loaded when it is first needed has no room either
        done = _too_little(limits)
    except Exception as error:  # noqa: BLE001  a run of anybody's making may hold anything
        said = " ".join(str(error).split())[:200]
        done = {"error": f"it can't be understood ({type(error).__name__}: {said})", "kind": DamagedRunError.__name__}
    _say(done)


def _too_little(limits: Limits) -> dict[str, Any]:
    said = f"it needs more than {limits.memory:g} GiB of memory, so it was given up; allow more with --memory"
    return {"error": said, "kind": StorageError.__name__}


def _written_anew(source: Path, staging: Path, limits: Limits) -> dict[str, Any]:
    files = LimitedFiles(round(limits.disk * GIB))
    if source.is_dir():
        left_out = _beside(source)
    else:
        unpacked = staging / "unpacked"
        files.make_folder(unpacked)
        files.lasting = False
        left_out, source = unpack(source, unpacked, files), unpacked
        files.lasting = True
    run = open_run(source)
    notes = read_run_notes(source)
    copy = rewrite_run(run, staging / "run", files, lambda done, total: _say({"done": done, "total": total}))
    if notes != RunNotes():
        change_run_notes(copy.path, lambda _: notes, files=files)
    return {"sets": sum(copy_sets(run, copy, k) for k in run.stored_rounds), "left_out": dict(left_out)}


def _beside(source: Path) -> Counter[str]:
    """What a run's folder holds that is not taken over: how many things are in each of the folders that are known."""
    files, left = Files(), Counter[str]()
    for name in files.names(source):
        if name in LEFT_BEHIND:
            left[name] += len(files.names(source / name)) if (source / name).is_dir() else 1
        elif name not in KNOWN and not is_of_a_run([name]):
            left["others"] += 1
    return left


def _say(what: Mapping[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()

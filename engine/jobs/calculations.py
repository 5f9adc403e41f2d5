"""A calculation about a round, in the background; its result is kept in the run's `derived/`, and so is its folder.

```
<run>/derived/jobs/<id>/job.json     {"work": "influence", "question": {...}, "created": 1767323045.0}
```

The folder is a cache, too, that may be deleted at any time. Equal questions about equal rounds have equal ids.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInputError, DamagedRunError, StorageError
from engine.jobs.folder import ACTIVE, Job, clear_cancel, read_status, request_cancel, write_status
from engine.jobs.launch import launch
from engine.jobs.questions import JobQuestion, from_json, identity, to_json
from engine.store.documents import read_json, write_json
from engine.store.files import Files, inside
from engine.store.read import Run

JOB_FILE = "job.json"


@dataclass(frozen=True)
class Calculation:
    """What a page needs of a calculation: start it, see how far it is, stop it. Whatever it says is read from its folder."""

    run: Run
    question: JobQuestion

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits."""
        commit = next((info.hash for info in self.run.rounds if info.round == self.question.round), "")
        text = json.dumps({"commit": commit, **identity(self.question)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> Path:
        """Its folder, which need not be there.

        Raises:
            DamagedRunError: a link is in its place.
        """
        return inside(self.run.path, "derived", "jobs", self.id)

    def start(self) -> None:
        """Begin, unless the same calculation runs already.

        Raises:
            DamagedRunError: something in the place of its files is no plain file.
            StorageError: the run's folder can't be written.
        """
        if self.running:
            return
        folder = self.folder
        Files().make_folder(folder)
        clear_cancel(folder)
        write_json(inside(folder, JOB_FILE), {**to_json(self.question), "created": time.time()}, durable=False)
        write_status(folder, "queued", "waiting for the worker", 0, 1)
        launch(folder)

    def stop(self) -> None:
        """Ask it to end; what is finished is kept.

        Raises:
            StorageError: the run's folder can't be written.
        """
        job = self._status()
        if job is not None and job.state in ACTIVE:
            request_cancel(job)

    @property
    def asked(self) -> JobQuestion | None:
        """The question that it was last started with; None where there is none, or none that can be read."""
        try:
            return read_question(self.folder)
        except (DamagedRunError, StorageError):
            return None

    @property
    def running(self) -> bool:
        """Whether it waits for its worker, or the worker is alive."""
        job = self._status()
        return job is not None and job.state in ACTIVE

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end, and has not ended yet."""
        job = self._status()
        return job is not None and job.is_stopping

    @property
    def progress(self) -> tuple[float, str]:
        """The share that is done of what the worker does now, and the time left, such as `3 min left`, where it is known."""
        job = self._status()
        return (job.share, job.left) if job is not None and job.state in ACTIVE else (0.0, "")

    @property
    def complaint(self) -> str:
        """Why it ended, where that is worth a line."""
        job = self._status()
        if job is None:
            return ""
        if job.state == "cancelled":
            return f"cancelled; {self.question.keeps}" if self.question.keeps else ""
        return {"failed": job.doing, "stale": "its worker is gone"}.get(job.state, "")

    def _status(self) -> Job | None:
        """How far it is; None where it was never started, or its folder can't be read."""
        try:
            folder = self.folder
            return read_status(folder) if Files().exists(inside(folder, JOB_FILE)) else None
        except (DamagedRunError, StorageError):
            return None


def read_question(folder: Path) -> JobQuestion | None:
    """The question of the calculation in a folder, or None if there is none.

    Raises:
        DamagedRunError: `job.json` is not what was written.
        StorageError: the disk refused.
    """
    document = read_json(inside(folder, JOB_FILE))
    if document is None:
        return None
    try:
        return from_json(document.values)
    except BadInputError as error:
        raise DamagedRunError(f"{folder.name}/{JOB_FILE} is damaged: it asks nothing ({error})") from error

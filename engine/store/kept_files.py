"""The files that a run's commits name and no later commit drops: what must be there, and what may be gone."""

from __future__ import annotations

from engine.store.chain import Commit, DataFile


class KeptFiles:
    """Sees the commits of a run in order. What a commit drops follows from the rounds that it lists, and is said nowhere else.

    A dropped round keeps its metrics. Its checkpoint, the parameters after the update before it, goes only where the records
    of that update are gone, too: a round that is kept can always be replayed and compared with what came after it.
    """

    def __init__(self) -> None:
        """Before the first commit."""
        self._files: dict[int, dict[str, DataFile]] = {}
        self._dropped: set[int] = set()
        self.bytes = 0
        """Their size together."""

    def problem(self, commit: Commit) -> str | None:
        """Why the next commit can't drop what it lists, in a line; None where it can."""
        if [*commit.dropped] != sorted({*commit.dropped}):
            return f"{commit.name} is damaged: the rounds that it drops are not in order"
        for k in commit.dropped:
            if k >= commit.round:
                return f"{commit.name} is damaged: it drops round {k}, which does not come before it"
            if not self.has_records(k):
                return f"{commit.name} is damaged: it drops round {k}, which has no records by then"
        return None

    def add(self, commit: Commit) -> list[str]:
        """See the next commit; the names of the files that it drops. Rounds that were not seen are passed over."""
        if commit.files:
            self._files[commit.round] = {file.kind: file for file in commit.files}
        self.bytes += sum(file.bytes for file in commit.files)
        if not commit.dropped:
            return []
        self._dropped.update(commit.dropped)
        gone: list[DataFile] = []
        for k in commit.dropped:
            gone += self._remove(k, [file.kind for file in self.of_round(k) if file.kind != "checkpoint"])
        for k in sorted({near for each in commit.dropped for near in (each, each + 1)} & self._dropped):
            if self.file(k, "checkpoint") is not None and not self.has_records(k - 1):
                gone += self._remove(k, ["checkpoint"])
        self.bytes -= sum(file.bytes for file in gone)
        return [file.name for file in gone]

    def _remove(self, k: int, kinds: list[str]) -> list[DataFile]:
        """Forget files of a round, and the round once it has none, so that a long run stays quick to look through."""
        files = self._files.get(k, {})
        gone = [files.pop(kind) for kind in kinds]
        if not files:
            self._files.pop(k, None)
        return gone

    def has_records(self, k: int) -> bool:
        """Whether the whole round is there."""
        return self.file(k, "minibatches") is not None

    def was_dropped(self, k: int) -> bool:
        """Whether a later commit dropped the round."""
        return k in self._dropped

    def file(self, k: int, kind: str) -> DataFile | None:
        """The round's file of that kind, or None."""
        return self._files.get(k, {}).get(kind)

    def of_round(self, k: int) -> list[DataFile]:
        """The round's files."""
        return [*self._files.get(k, {}).values()]

    @property
    def names(self) -> frozenset[str]:
        """The names of all of them."""
        return frozenset(file.name for files in self._files.values() for file in files.values())

    @property
    def rounds(self) -> list[int]:
        """The rounds that are there whole, in order."""
        return [k for k in self._files if self.has_records(k)]

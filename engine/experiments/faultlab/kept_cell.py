"""One environment and one seed: what is asked, and the answers once there are some, kept in a sealed JSON file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from engine.config import TrainConfig
from engine.errors import BadInputError, DamagedRunError
from engine.executors import Pool, Progress
from engine.store.documents import read_json, write_json
from engine.store.files import Files
from engine.typed import Count, typed


@dataclass(frozen=True)
class KeptCell:
    """What the cells of all experiments of the lab have."""

    env_id: str
    seed: Count
    settings: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """In the place of the preset's."""
    answers: tuple[Any, ...] = field(default=(), kw_only=True)

    def __str__(self) -> str:
        return f"{self.env_id}, seed {self.seed}"

    @property
    def file_name(self) -> str:
        """Of its file in the folder of the answers."""
        return f"{self.env_id}-{self.seed}.json"

    def write(self, out: Path) -> None:
        """Keep it, whole or not at all."""
        write_json(out / self.file_name, asdict(self))

    def kept(self, out: Path) -> Self | None:
        """The finished cell in the folder; None where there is none.

        Raises:
            BadInputError: it was made with other settings.
            DamagedRunError: it is not what was written.
        """
        path = out / self.file_name
        document = read_json(path)
        if document is None:
            return None
        try:
            found = typed(type(self), document.values)
        except BadInputError as error:
            raise DamagedRunError(f"{path} is damaged: {error}") from None
        if replace(found, answers=()) != replace(self, answers=()):
            raise BadInputError(f"{path} was made with {self.differs_in}; name another folder")
        return found

    @property
    def differs_in(self) -> str:
        """In what a cell of the same name may be another one, in words."""
        return "other settings"


C = TypeVar("C", bound=KeptCell)


def finish(
    cells: Sequence[C],
    answered: Callable[[C], tuple[Any, ...]],
    config: Callable[[C], TrainConfig],
    out: Path,
    pool: Pool,
    report: Progress,
) -> list[C]:
    """Answer every cell that is not answered in the folder yet; each is written once it is finished.

    Args:
        cells: without answers.
        answered: a module's own function, which gives the answers of one.
        config: what a cell trains with; says what is wrong with one, before anything is begun.
        out: a folder with one file a cell, to make or to continue.
        pool: where.
        report: is told how many cells are finished.

    Returns:
        The cells with their answers, in the order asked.

    Raises:
        BadInputError: `config` refuses a cell, or a cell in the folder was made with other settings. Nothing was written.
        DamagedRunError: a cell in the folder is not what was written.
        StorageError: the disk refused.
    """
    pool.check()
    for cell in cells:
        config(cell)
    missing = [cell for cell in cells if cell.kept(out) is None]
    Files().make_folder(out)
    done = len(cells) - len(missing)
    report(f"{done} of {len(cells)} cells are finished", done, len(cells))
    for cell, answers in pool.run(answered, missing):
        replace(cell, answers=answers).write(out)
        done += 1
        report(f"{cell}: cell {done} of {len(cells)}", done, len(cells))
    return [found for cell in cells if (found := cell.kept(out)) is not None]

"""What the checks answered in one environment with one seed, as it is kept: a sealed JSON file each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from engine.analysis.checks.checked import Check, Fault, fault_named
from engine.errors import BadInputError, DamagedRunError
from engine.intervention.autopsy.autopsy_result import Verdict
from engine.store.documents import read_json, write_json
from engine.typed import AtLeastOne, Count, typed

Form = Literal["gross", "mild"]
FORMS: tuple[Form, ...] = get_args(Form)
STEPPED = "environment"
"""The check that needs the environment, where all others need the record alone."""


@dataclass(frozen=True)
class Failed:
    """A check that was not ok."""

    name: str
    fault: Fault
    what: str

    @property
    def as_check(self) -> Check:
        """As the checks gave it."""
        return Check(self.name, False, self.what, self.fault)


@dataclass(frozen=True)
class Answer:
    """What was named in one round."""

    plant: str
    form: Form
    round: Count
    named: Verdict
    failed: tuple[Failed, ...]

    def __repr__(self) -> str:
        return f"Answer({self.form} {self.plant} in round {self.round}: {self.named})"

    @property
    def named_by_record(self) -> Verdict:
        """What is named where the environment can't be stepped, as in another trainer's run; equals `named` where none failed."""
        if all(each.name != STEPPED for each in self.failed):
            return self.named
        return named_by([each.as_check for each in self.failed if each.name != STEPPED])


@dataclass(frozen=True)
class Cell:
    """One environment and one seed: what is asked, and the answers once there are some."""

    env_id: str
    seed: Count
    round: AtLeastOne
    """Faults are planted in it; all rounds up to it are asked where nothing is planted."""
    arms: bool = False
    """Whether policies were played, and not the checks asked alone."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """In the place of the preset's."""
    answers: tuple[Answer, ...] = ()

    def __str__(self) -> str:
        return f"{self.env_id}, seed {self.seed}"

    def file(self, out: Path) -> Path:
        """Where it is kept."""
        return out / f"{self.env_id}-{self.seed}.json"

    def write(self, out: Path) -> None:
        """Keep it, whole or not at all."""
        write_json(self.file(out), asdict(self))

    def kept(self, out: Path) -> Cell | None:
        """The finished cell in the folder; None where there is none.

        Raises:
            BadInputError: it was made with other settings.
            DamagedRunError: it is not what was written.
        """
        found = read_cell(self.file(out))
        if found is not None and replace(found, answers=()) != replace(self, answers=()):
            raise BadInputError(
                f"{self.file(out)} was made with another round, other settings or arms; name another folder"
            )
        return found


def read_cell(path: Path) -> Cell | None:
    """A cell; None where there is none.

    Raises:
        DamagedRunError: it is not what was written.
    """
    document = read_json(path)
    if document is None:
        return None
    try:
        return typed(Cell, document.values)
    except BadInputError as error:
        raise DamagedRunError(f"{path} is damaged: {error}") from None


def named_by(checks: Sequence[Check]) -> Verdict:
    """What checks alone name; `not real` where they find no fault, since nothing else was asked."""
    return fault_named(checks) or "not real"


def answer(plant: str, form: Form, round: int, named: Verdict, checks: Sequence[Check]) -> Answer:
    """What is kept of a round's checks."""
    failed = (
        Failed(each.name, each.fault, each.what) for each in checks if each.ok is False and each.fault is not None
    )
    return Answer(plant, form, round, named, tuple(failed))

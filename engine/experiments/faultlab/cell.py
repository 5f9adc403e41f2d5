"""What the checks answered where faults were planted in one environment with one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from engine.analysis.checks.checked import Check, Fault, fault_named
from engine.experiments.faultlab.kept_cell import KeptCell
from engine.intervention.autopsy.autopsy_result import Verdict
from engine.typed import AtLeastOne, Count

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
class Cell(KeptCell):
    """Faults planted in one environment with one seed."""

    round: AtLeastOne
    """Faults are planted in it; all rounds up to it are asked where nothing is planted."""
    arms: bool = False
    """Whether policies were played, and not the checks asked alone."""
    answers: tuple[Answer, ...] = field(default=(), kw_only=True)

    @property
    def differs_in(self) -> str:
        """The round, the settings or whether policies were played."""
        return "another round, other settings or arms"


def named_by(checks: Sequence[Check]) -> Verdict:
    """What checks alone name; `not real` where they find no fault, since nothing else was asked."""
    return fault_named(checks) or "not real"


def answer(plant: str, form: Form, round: int, named: Verdict, checks: Sequence[Check]) -> Answer:
    """What is kept of a round's checks."""
    failed = (
        Failed(each.name, each.fault, each.what) for each in checks if each.ok is False and each.fault is not None
    )
    return Answer(plant, form, round, named, tuple(failed))

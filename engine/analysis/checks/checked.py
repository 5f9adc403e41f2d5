"""What a check of a round found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Fault = Literal["numbers", "environment", "advantages", "records", "critic", "step", "unexplained"]
"""What is wrong where a check fails, in the order in which one is named: the identifiers of an autopsy's verdict."""

Read = Callable[[int], Any]
"""Reads a round of the run whose records are there; a check of several rounds reads each of them once."""


@dataclass(frozen=True)
class Check:
    """One question about a round, and its answer."""

    name: str
    """What was asked: `replay before`, `policy`, `critic`, `advantages`, `environment`, `records before`, `reward sign`,
    `settings`, `numbers`, `replay`."""
    ok: bool | None
    """None: it can't be told."""
    what: str
    """The answer in a sentence, or why there is none."""
    fault: Fault | None = None
    """What is wrong, where it is not ok."""
    records: tuple[int, ...] = ()
    """Records that it is wrong of, in order, where these are some and not all."""

    def __repr__(self) -> str:
        answer = {True: "ok", False: f"not ok ({self.fault})", None: "can't be told"}[self.ok]
        return f"Check({self.name}: {answer}; {self.what})"

    @property
    def sentence(self) -> str:
        """The answer, as a sentence of its own."""
        return f"{self.what[:1].upper()}{self.what[1:]}."

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"records": list(self.records)}


def fault_named(checks: Sequence[Check]) -> Fault | None:
    """The fault that a verdict names, where checks find one or several; None where they find none.

    >>> fault_named([Check("replay", False, "it lands elsewhere", "step"), Check("critic", False, "it is another", "critic")])
    'critic'
    """
    found = {check.fault for check in checks if check.ok is False}
    return next((fault for fault in get_args(Fault) if fault in found), None)

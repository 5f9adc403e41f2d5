"""Planted against named: how often the right answer came, with intervals, and what came in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from operator import attrgetter
from typing import Any

from engine.experiments.faultlab.cell import FORMS, Answer, Cell, Form
from engine.experiments.faultlab.lab import forms
from engine.experiments.faultlab.plants import PLANTS
from engine.intervals import Interval
from engine.intervention.autopsy.autopsy_result import Verdict

NOTHING = "none"
"""The right answer where nothing is planted."""
CLEAN: tuple[Verdict, ...] = ("not real", "order", "data")
"""Right where nothing is planted, whatever the checks found."""


@dataclass(frozen=True)
class Row:
    """A fault in one form, over environments and seeds."""

    plant: str
    form: Form
    right: str
    """The verdict that names it."""
    rounds: int
    """It was planted in, or asked where nothing was planted."""
    named: Interval
    """Share with the right answer (Wilson, 95 %)."""
    named_by_record: Interval
    """The same where the environment is not stepped."""
    instead: Mapping[str, int]
    """Verdict -> how often it came in the place of the right one."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "named": plain(self.named), "named_by_record": plain(self.named_by_record)}


def is_right(answer: Answer, named: Verdict) -> bool:
    """Whether a verdict is right about a round; where nothing is planted, one that no fault of the record led to.

    >>> is_right(Answer("rate", "mild", 12, "step", ()), "step"), is_right(Answer("nothing", "gross", 3, "step", ()), "step")
    (True, True)
    """
    wanted = PLANTS[answer.plant].verdict
    return named == wanted if wanted else named in CLEAN or not answer.failed


def rows(cells: Sequence[Cell]) -> list[Row]:
    """A row for every plant in each of its forms that was asked; for `nothing`, over all rounds of the clean runs."""
    found = []
    for plant, form, _ in forms():
        own = [each for cell in cells for each in cell.answers if (each.plant, each.form) == (plant.name, form)]
        if own:
            named, by_record = _share(own, lambda each: each.named), _share(own, lambda each: each.named_by_record)
            instead: Counter[str] = Counter(each.named for each in own if not is_right(each, each.named))
            found.append(Row(plant.name, form, plant.verdict or NOTHING, len(own), named, by_record, dict(instead)))
    return found


def together(cells: Sequence[Cell], *, by_record: bool = False) -> dict[str, Interval]:
    """`gross` and `mild`: share of planted faults that are named; `false alarms`: share of clean rounds with a fault named.

    A plant whose two forms are one counts as gross. With `by_record` as where the environment is not stepped.
    """
    answers = [each for cell in cells for each in cell.answers]
    named = attrgetter("named_by_record" if by_record else "named")
    clean = [each for each in answers if not PLANTS[each.plant].verdict]
    alarms = Interval.of_share(sum(not is_right(each, named(each)) for each in clean), len(clean))
    planted: dict[str, Interval] = {
        form: _share([each for each in answers if each.form == form and PLANTS[each.plant].verdict], named)
        for form in FORMS
    }
    return {**planted, "false alarms": alarms}


def misses(cells: Sequence[Cell]) -> Iterator[str]:
    """A line for every wrong answer."""
    for cell in cells:
        for each in cell.answers:
            if not is_right(each, each.named):
                said = "; ".join(failed.what for failed in each.failed)
                form = f"{each.form} " if PLANTS[each.plant].verdict else ""
                yield f"{cell}, round {each.round}: {form}{each.plant}, named {each.named}" + (
                    f" ({said})" if said else ""
                )


def to_json(cells: Sequence[Cell]) -> dict[str, Any]:
    """What `faultlab --json` prints, beside the folder."""
    environments = dict.fromkeys(cell.env_id for cell in cells)
    by_environment = {name: [cell for cell in cells if cell.env_id == name] for name in environments}
    return {
        "cells": len(cells),
        "together": {name: plain(share) for name, share in together(cells).items()},
        "together_by_record": {name: plain(share) for name, share in together(cells, by_record=True).items()},
        "rows": [row.to_json() for row in rows(cells)],
        "environments": {name: [row.to_json() for row in rows(own)] for name, own in by_environment.items()},
        "misses": list(misses(cells)),
    }


def percent(share: Interval) -> str:
    """`95 % (76 to 99)`; `-` where there is none."""
    if isnan(share.value):
        return "-"
    return f"{100 * share.value:.3g} % ({100 * share.low:.0f} to {100 * share.high:.0f})"


def _share(answers: Sequence[Answer], named: Callable[[Answer], Verdict]) -> Interval:
    return Interval.of_share(sum(is_right(each, named(each)) for each in answers), len(answers))


def plain(share: Interval) -> dict[str, float | None]:
    """A share for JSON; null where there is none."""
    return {name: None if isnan(value) else value for name, value in share._asdict().items()}

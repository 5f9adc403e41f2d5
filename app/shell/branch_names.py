"""What the branches of a removal are called where room is short: the branch and its control can be told apart."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from app.shell.cached import cached
from engine.errors import EngineError
from engine.intervention.plan import Intervention
from engine.jobs.interventions import PLAN_FILE, WrittenIntervention
from engine.store.documents import read_json
from engine.typed import typed

BRANCH = re.compile(r"(?P<parent>.*)/interventions/(?P<id>[0-9a-f]{12})/branch(?P<control>/control)?")
SHOWN = 4
"""Digits of an intervention's id that tell two of the same size apart."""


def branch_name(run: str, path: Path) -> str | None:
    """Of an intervention's branch, what was done: `without 475 of round 50 · lander (fa1b)`; None of any other run.

    Args:
        run: its id, see `loaders.run_paths`.
        path: its folder.
    """
    found = BRANCH.fullmatch(run)
    if found is None:
        return None
    parent, short = found["parent"], found["id"][:SHOWN]
    folder = path.parent.parent if found["control"] else path.parent
    chosen, random, what = _what(folder / PLAN_FILE)
    return f"{random if found['control'] else chosen} {what} · {parent} ({short})"


def _stamp(file: Path) -> tuple[Path, int]:
    with suppress(OSError):
        return file, file.stat().st_mtime_ns
    return file, 0


@cached(max_entries=1024, by=_stamp)
def _what(file: Path) -> tuple[str, str, str]:
    """What a plan does to its records, and to random ones; and how many of which round these are, or that nobody knows."""
    with suppress(EngineError, OSError):
        document = read_json(file)
        if document is not None:
            plan = Intervention.from_json(typed(WrittenIntervention, document.values, more=True).plan)
            done = ("repaired", "random repaired") if plan.repair else ("without", "random")
            return *done, f"{len(plan.removed)} of round {plan.round}"
    return "without", "random", "some records"

"""`python -m engine autopsy`: what happened in the update of a round, and what would have prevented it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import Json, Round, RunFolder
from engine.errors import CancelledError
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    from engine.intervals import Interval
    from engine.intervention.autopsy.autopsy_result import Autopsy


def autopsy(
    run: RunFolder,
    round: Round,
    episodes: Annotated[int, typer.Option("--episodes", help="Of each policy, on common seeds.")] = 64,
    as_json: Json = False,
) -> None:
    """Say whether a round is what it claims to be, whether its change was real, and what would have prevented a fall."""
    from engine.intervention.autopsy.examine import autopsy as examine

    try:
        with progress(quiet=as_json) as report:
            found = examine(run, round, episodes=episodes, progress=report)
    except KeyboardInterrupt:
        raise CancelledError("stopped; nothing is written by an autopsy but what its checks replayed") from None
    if as_json:
        print_json(found.to_json())
        return
    print(f"update of round {found.round}: {found.verdict}")
    print(found.sentence)
    print_checks(found)
    if found.arms:
        print_table(
            ("arm", "times", "return", "against as recorded"),
            [(arm.name, arm.replicates, _shown(arm.mean), _shown(arm.difference)) for arm in found.arms],
        )
    for name, why in found.left_out.items():
        print(f"note: {name} is left out: {why}")
    if found.next:
        print(f"try next: {found.next}")


def print_checks(found: Autopsy) -> None:
    """A line for each question."""
    words = {True: "ok", False: "WRONG", None: "can't be told"}
    print_table(("asked", "answer", "why"), [(each.name, words[each.ok], each.what) for each in found.checks])


def _shown(interval: Interval) -> str:
    return f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"

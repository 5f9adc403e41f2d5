"""What replays alone say of an update whose policies can't be played: numbers on the records of the next stored rounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.core.kind import kind_of
from engine.core.policy import Policy
from engine.core.replays.replayed_run import update_key
from engine.errors import BadInputError
from engine.executors import Progress
from engine.intervals import Interval
from engine.intervention.autopsy.arm import Arm, Check
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, Kept
from engine.intervention.autopsy.played_arms import FIRST, policy_of
from engine.intervention.unplayed import NUMBERS, RoundRecords, later_rounds, no_distributions
from engine.store.read import Run, ranges
from engine.store.snapshot import Snapshot

VERSION = 1
"""Part of every key; raise it whenever one of the numbers means something else."""
RECORDED = "as recorded"
REPLAYED = ("other minibatch orders", "a quarter of the learning rate")
"""Arms that need the round's own records alone, and say how much the update owes to its order and to its size."""
CHANGED: Mapping[str, str] = {
    "return_target": "the return target",
    "log_prob_positive": "the log-probability of actions with positive advantage",
    "log_prob_negative": "that of actions with negative advantage",
}
"""What an update changes, in words; the KL is no change."""


@dataclass(frozen=True)
class OnRecords:
    """What an update makes of the records of a later round, against theta(k)."""

    round: int
    """Whose records."""
    update: str
    """`as recorded`, or the arm that was replayed."""
    replays: int
    numbers: Mapping[str, Interval]
    """By the names of `NUMBERS`: the KL from theta(k), and how much theta(k)'s number changed; with a t interval over the
    replays. One that is not known is left out."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "round": self.round,
            "update": self.update,
            "replays": self.replays,
            **{name: _plain(interval) for name, interval in self.numbers.items()},
        }


def why_silent(run: Run, snapshot: Snapshot) -> str:
    """Why replays say nothing of a round, either; empty where they do."""
    if not later_rounds(run, snapshot.round):
        return "no later round has records"
    try:
        kind_of(snapshot).policy(snapshot)
    except BadInputError as error:
        return str(error)
    return ""


def kept_numbers(run: Run, k: int, *, cache: bool = True) -> Kept:
    """What is known by now of the policies of round k on later records.

    Args:
        run: the run.
        k: the round; what other commits, software or machines led to is as if it were not there.
        cache: read and write `derived/`.
    """
    later = later_rounds(run, k)
    commits = [info.hash for info in run.rounds if info.round in later]
    key = update_key(run, k, {"version": VERSION, "on_records": commits}) if cache else None
    return Kept(run, key, lambda policy: len(later) * len(NUMBERS))


def ask(run: Run, snapshot: Snapshot, arms: Sequence[Arm], numbers: Kept, say: Progress) -> None:
    """Ask the policies before and after the update, and those of the arms, about later records; what is known is kept.

    Args:
        run: the run.
        snapshot: round k, of which `why_silent` says nothing.
        arms: those that can be had.
        numbers: filled in.
        say: told what is replayed, and how many policies are asked, of how many.
    """
    if not _missing(arms, numbers):
        return
    original = kind_of(snapshot).policy(snapshot)
    with_kl = not no_distributions(original, snapshot)
    later = [RoundRecords.of(snapshot, run.snapshot(k), with_kl) for k in later_rounds(run, snapshot.round)]
    while left := _missing(arms, numbers):
        check = partial(say, f"asking the policy {left[0]}", len(numbers), len(numbers) + len(left))
        check()
        policy = _policy(run, snapshot, arms, left[0], numbers, check)
        if policy is not None:
            numbers.keep(left[0], _asked(policy, original, later))


def on_records(run: Run, k: int, arms: Sequence[Arm], numbers: Kept) -> tuple[OnRecords, ...] | None:
    """What an autopsy says of later records; None where that is still to be asked.

    Args:
        run: the run.
        k: its round.
        arms: those that can be had.
        numbers: what is known.
    """
    if _missing(arms, numbers):
        return None
    updates = {RECORDED: [AFTER]} | {arm.name: _policies(arm) for arm in _replayed(arms, numbers)}
    found = []
    for i, later in enumerate(later_rounds(run, k)):
        here = slice(i * len(NUMBERS), (i + 1) * len(NUMBERS))
        for update, policies in updates.items():
            changed = np.stack([numbers[name][here] - numbers[BEFORE][here] for name in policies])
            known = {
                name: _interval(column)
                for name, column in zip(NUMBERS, changed.T, strict=True)
                if not np.isnan(column).any()
            }
            found.append(OnRecords(later, update, len(policies), known))
    return tuple(found)


def replay_seconds(snapshot: Snapshot, arms: Sequence[Arm]) -> float | None:
    """How long the replays take, from what the update took; None where the round does not say."""
    update = snapshot.metrics.get("update_seconds")
    return None if update is None else float(update) * FIRST * sum(arm.name in REPLAYED for arm in arms)


def in_words(found: Sequence[OnRecords]) -> str:
    """What the recorded update made of later records, in a sentence: means over their rounds; empty where nothing is known.

    >>> in_words([OnRecords(4, "as recorded", 1, {"return_target": Interval(0.012), "kl": Interval(0.003)})])
    'On the records of round 4, which had no part in it, the update changed the return target by +0.012, and moved the policy ...'
    """
    recorded = [each for each in found if each.update == RECORDED]
    if not recorded:
        return ""
    values = {name: [each.numbers[name].value for each in recorded if name in each.numbers] for name in NUMBERS}
    changed = [f"{what} by {np.mean(values[name]):+.3g}" for name, what in CHANGED.items() if values[name]]
    moved = f", and moved the policy by a KL of {np.mean(values['kl']):.2g} nats" if values["kl"] else ""
    rounds = [each.round for each in recorded]
    return (
        f"On the records of round{'s' * (len(rounds) > 1)} {ranges(rounds)}, which had no part in it, the update changed "
        f"{', '.join(changed)}{moved}."
    )


def _replayed(arms: Sequence[Arm], numbers: Kept) -> list[Arm]:
    return [arm for arm in arms if arm.name in REPLAYED and arm.kept_as not in numbers.left_out]


def _policies(arm: Arm) -> list[str]:
    """What those of an arm are called."""
    return [policy_of(arm, which) for which in range(FIRST)]


def _missing(arms: Sequence[Arm], numbers: Kept) -> list[str]:
    policies = [BEFORE, AFTER, *(name for arm in _replayed(arms, numbers) for name in _policies(arm))]
    return [name for name in policies if name not in numbers]


def _policy(run: Run, snapshot: Snapshot, arms: Sequence[Arm], name: str, numbers: Kept, check: Check) -> Policy | None:
    """The policy of that name; None where its arm turns out to have none, which is remembered."""
    kind = kind_of(snapshot)
    if name == BEFORE:
        return kind.policy(snapshot)
    if name == AFTER:
        return kind.policy(snapshot.changed(checkpoint=run.checkpoint(snapshot.round + 1)))
    arm = next(arm for arm in arms if name in _policies(arm))
    try:
        policy: Policy = arm.agent(_policies(arm).index(name), check).policy
    except BadInputError as error:
        numbers.leave_out(arm.kept_as, str(error))
        return None
    return policy


@torch.no_grad()
def _asked(policy: Policy, original: Policy, later: Sequence[RoundRecords]) -> NDArray[np.float64]:
    """(rounds * numbers,) NaN where a number is not known."""
    found = [dict(records.numbers(policy, original)) for records in later]
    return np.array([numbers.get(name, math.nan) for numbers in found for name in NUMBERS])


def _interval(values: NDArray[np.float64]) -> Interval:
    return Interval.of_mean(values) if len(values) > 1 else Interval(float(values[0]))


def _plain(interval: Interval) -> dict[str, float | None]:
    return {
        name: value if math.isfinite(value) else None
        for name, value in zip(("change", "low", "high"), interval, strict=True)
    }

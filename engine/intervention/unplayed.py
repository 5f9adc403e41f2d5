"""A removal or repair where nothing can be played: the arms' policies are compared on records, which other policies collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.core.checkpoint import one_thread
from engine.core.divergence import divergence
from engine.core.kind import kind_of
from engine.core.policy import Policy, with_gradients
from engine.core.targets.functions import Target
from engine.core.targets.question import TargetName
from engine.errors import BadInputError
from engine.executors import INLINE, Pool
from engine.intervention.comparison import changes, target_meaning, target_verdict
from engine.intervention.plan import Intervention, ProgressMeter
from engine.intervention.replayed_arms import (
    OrderTask,
    OrderValues,
    about,
    carried_out,
    in_every_order,
    replayed_arms,
)
from engine.store.read import Run, ranges
from engine.store.snapshot import Snapshot

LATER_ROUNDS = 3
"""Rounds with records after the replayed one that are looked at, at most."""
NUMBERS: Mapping[str, str] = {
    "return_target": "return target",
    "kl": "KL from the original",
    "log_prob_positive": "log-probability of actions with positive advantage",
    "log_prob_negative": "log-probability of actions with negative advantage",
}
"""What is known of the records of a round, as a result and as people call it."""


@dataclass(frozen=True, eq=False)
class RoundRecords:
    """The records of one round, which policies are asked about."""

    later: Any
    """The round."""
    return_target: Target
    by_sign: Mapping[str, NDArray[np.bool_]]
    """(m,) which actions or tokens have positive, and which negative advantage; those that none has are left out."""
    with_kl: bool
    """Whether policies say how they are distributed."""

    @classmethod
    def of(cls, snapshot: Snapshot, later: Snapshot, with_kl: bool) -> RoundRecords:
        """Those of a round `later`, for policies of the replayed round `snapshot`."""
        kind = kind_of(snapshot)
        advantage = kind.advantages(later)
        by_sign = {"log_prob_positive": advantage > 0, "log_prob_negative": advantage < 0}
        there = {name: chosen for name, chosen in by_sign.items() if chosen.any()}
        return cls(later, kind.return_target(snapshot, later.buffer), there, with_kl)

    def numbers(self, policy: Policy, original: Policy) -> Iterator[tuple[str, float]]:
        """What a policy makes of the records, by the names in `NUMBERS`."""
        yield "return_target", float(self.return_target.value(policy))
        log_prob = kind_of(self.later).log_probs_by(policy, self.later)
        for name, chosen in self.by_sign.items():
            yield name, float(log_prob[chosen].mean(dtype=np.float64))
        if self.with_kl:
            yield "kl", float(divergence(original, policy, self.later.buffer.observation).mean())


def compare_on_records(
    run: Run,
    snapshot: Snapshot,
    plan: Intervention,
    target: Target,
    meter: ProgressMeter,
    why: str,
    pool: Pool = INLINE,
) -> dict[str, Any]:
    """Replay the round in all arms and orders, and compare what their policies say of recorded rounds.

    The verdict is about the records of later rounds, which had no part in the update, where the measured target is this round's
    return target; else about the measured target itself.

    Args:
        run: has the later rounds.
        snapshot: round k.
        plan: the intervention.
        target: the one that it measures.
        meter: told of the progress.
        why: nothing can be played.
        pool: where the orders are replayed.

    Returns:
        What an `UnplayedResult` says, without the branch.
    """
    no_kl = no_distributions(kind_of(snapshot).policy(snapshot), snapshot)
    later = later_rounds(run, snapshot.round)
    each_round = [RoundRecords.of(snapshot, one, not no_kl) for one in (snapshot, *map(run.snapshot, later))]
    measured: dict[str, list[float]] = {}
    found: dict[tuple[int, str], dict[str, list[float]]] = {}
    here = partial(numbers_in_order, snapshot, plan, target, each_round)
    elsewhere = partial(numbers_elsewhere, snapshot, plan, target, each_round)
    for of_order in in_every_order(here, elsewhere, plan, meter, pool):
        for arm, (value, numbers) in of_order.items():
            measured.setdefault(arm, []).append(value)
            for on, number in numbers.items():
                found.setdefault(on, {}).setdefault(arm, []).append(number)
    is_judged_later = bool(later) and plan.measured == TargetName()
    judged = _mean([found[k, "return_target"] for k in later]) if is_judged_later else measured
    return {
        **about(snapshot),
        **carried_out(plan, len(snapshot.buffer), measured),
        "unplayed": why,
        "verdict": target_verdict(**judged),
        "judged": changes(**judged) | {"rounds": later if is_judged_later else []},
        "by_round": [
            {"round": on.later.round, "records": len(on.later.buffer)}
            | {name: changes(**found[on.later.round, name]) for name in NUMBERS if (on.later.round, name) in found}
            for on in each_round
        ],
        "left_out": [
            *([f"{NUMBERS['kl']}: {no_kl}"] if no_kl else []),
            *(
                f"{NUMBERS[name]}: round {on.later.round} has no such record"
                for on in each_round
                for name in ("log_prob_positive", "log_prob_negative")
                if name not in on.by_sign
            ),
        ],
    }


ArmNumbers = tuple[float, dict[tuple[int, str], float]]
"""What an arm's policy makes of the measured target, and, by round and name in `NUMBERS`, of recorded rounds."""


def numbers_in_order(
    snapshot: Snapshot,
    plan: Intervention,
    target: Target,
    each_round: Sequence[RoundRecords],
    task: OrderTask,
    meter: ProgressMeter,
) -> dict[str, ArmNumbers]:
    """Replay all arms in one minibatch order, and ask their policies about recorded rounds."""
    found: dict[str, ArmNumbers] = {}
    original: Policy | None = None
    for arm, replayed in replayed_arms(snapshot, plan, task, meter):
        policy = replayed.policy
        original = policy if original is None else original
        with torch.no_grad():
            numbers: dict[tuple[int, str], float] = {}
            for on in each_round:
                meter.check()
                numbers |= {(on.later.round, name): number for name, number in on.numbers(policy, original)}
            found[arm] = float(target.value(policy)), numbers
    return found


@with_gradients
def numbers_elsewhere(
    snapshot: Snapshot, plan: Intervention, target: Target, each_round: Sequence[RoundRecords], task: OrderTask
) -> dict[str, ArmNumbers]:
    """The same in a process that does nothing else."""
    one_thread()
    return numbers_in_order(snapshot, plan, target, each_round, task, ProgressMeter(None, snapshot, plan))


def not_played(result: Mapping[str, Any]) -> str:
    """That nothing was played, why, and what the numbers therefore are; plain text."""
    return (
        f"Nothing was played: {result['unplayed']}. These are numbers on recorded observations, which another policy collected; "
        "what episodes would return is not known."
    )


def means_on_records(result: Mapping[str, Any]) -> str:
    """What follows the verdict and a colon; plain text."""
    return target_meaning(result["verdict"], _judged_on(result), bool(result.get("repair")))


def _judged_on(result: Mapping[str, Any]) -> str:
    """What the verdict is about."""
    rounds, target = result["judged"]["rounds"], result["target"]
    if rounds:
        of_rounds = f"round{'s' * (len(rounds) > 1)} {ranges(rounds)}"
        return f"the return target over the records of {of_rounds} (none of them in the update)"
    if target["name"] == "return" and target.get("of_round") is None:
        return "the return target over the round's own records (which the update used: no later round has records here)"
    return f"the measured {target['name']} target"


def later_rounds(run: Run, k: int) -> list[int]:
    """The rounds after k whose records had no part in its update, as far as they are looked at."""
    return [later for later in run.stored_rounds if later > k][:LATER_ROUNDS]


def no_distributions(policy: Policy, snapshot: Snapshot) -> str:
    """Why a policy doesn't say how it is distributed in a round's states; empty where it does."""
    try:
        policy.distributions(getattr(snapshot.buffer, "observation", None))
    except BadInputError as reason:
        return str(reason)
    return ""


def _mean(rounds: Sequence[OrderValues]) -> dict[str, list[float]]:
    """Of several rounds, arm by arm and order by order."""
    return {arm: np.mean([each[arm] for each in rounds], axis=0).tolist() for arm in rounds[0]}

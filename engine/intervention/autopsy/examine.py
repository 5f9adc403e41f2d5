"""The autopsy of a round: is it what it claims to be, was its change real, what would have prevented it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.checks.checked import Check
from engine.analysis.checks.round_checks import check_round
from engine.core.checkpoint import one_thread
from engine.core.evaluation import EVALUATION_SEED, PolicyEvaluation
from engine.core.kind import Kind, kind_of
from engine.core.policy import with_gradients
from engine.errors import BadInputError
from engine.executors import Progress
from engine.intervals import CONFIDENCE, Interval
from engine.intervention.autopsy.arms import Arm, possible
from engine.intervention.autopsy.autopsy_result import NEXT, Autopsy, Change, PlayedArm, Verdict
from engine.store.read import Run, open_run
from engine.store.snapshot import Snapshot

FIRST = ("numbers", "environment", "advantages", "records", "critic", "step", "unexplained")
"""Which fault a verdict names, where checks find several."""
EPISODES = 64
RECOVERED = 0.5
"""Share of the fall that an arm takes back at least where it explains it."""


@with_gradients
def autopsy(
    run: Run | str | Path, round: int, *, episodes: int = EPISODES, progress: Progress | None = None
) -> Autopsy:
    """What happened between theta(k) and theta(k+1), and what would have prevented it.

    >>> import engine
    >>> found = engine.autopsy("sample_runs/FrozenLake-v1", 19)
    >>> found.verdict
    'not real'

    Args:
        run: a run, or its folder.
        round: k, whose records are stored.
        episodes: of each policy, all on the same seeds.
        progress: told what is going on; raise from it to cancel.

    Raises:
        BadInputError: the round is not stored, or theta(k+1) is not.
        DamagedRunError: a file is not what was written.
    """
    one_thread()
    run = run if isinstance(run, Run) else open_run(run)
    snapshot, kind = run.snapshot(round), kind_of(run.snapshot(round))
    if round + 1 not in run.checkpoint_rounds:
        raise BadInputError(f"the parameters after the update of round {round} were not recorded; ask an earlier round")
    say = progress or (lambda doing, done, total: None)
    arms = [arm for arm, why in possible(snapshot) if not why]
    total = 3 + sum(arm.replicates for arm in arms)
    say("checking the record", 0, total)
    checks = tuple(check_round(run, round))
    unplayed = kind.unplayed(snapshot)
    real: Change | None = None
    played: tuple[PlayedArm, ...] = ()
    if not unplayed:
        evaluation = kind.evaluation(snapshot, {})
        try:
            table = _Table(kind, snapshot, evaluation, episodes, say, total)
            real = _change(run, table)
            if real.fell:
                played = _played(table, arms)
        finally:
            evaluation.close()
    verdict = verdict_of(checks, real, played)
    left_out = {arm.name: why for arm, why in possible(snapshot) if why}
    return Autopsy(
        run.name, round, checks, real, unplayed, tuple(played), left_out, verdict, _next(run, snapshot, verdict)
    )


def verdict_of(checks: Sequence[Check], real: Change | None, arms: Sequence[PlayedArm]) -> Verdict:
    """A fault of the record first, then whether there was a fall at all, then its cause.

    Causes are compared as wholes and in this order: luck of the order is what is there with other orders of the same data, luck
    of the data what is not there with other data, and a step is too large where a smaller one takes the fall back.
    """
    faults = {each.fault for each in checks if each.ok is False}
    named = next((fault for fault in FIRST if fault in faults), None)
    if named is not None:
        return named
    if real is None or not real.fell:
        return "not real"
    for cause in ("order", "data", "step"):
        if any(arm.cause == cause and _takes_back(arm, real) for arm in arms):
            return cause
    return "unexplained"


def _takes_back(arm: PlayedArm, real: Change) -> bool:
    return arm.difference.low > 0 and arm.difference.value >= -RECOVERED * real.change.value


class _Table:
    """Returns of policies on the same seeds."""

    def __init__(
        self, kind: Kind, snapshot: Snapshot, evaluation: PolicyEvaluation, episodes: int, say: Progress, total: int
    ) -> None:
        self.kind, self.snapshot, self.evaluation, self.episodes = kind, snapshot, evaluation, episodes
        self._say, self._done, self._total, self._doing = say, 0, total, ""
        self.after: NDArray[np.float64] = np.zeros(0)
        """(episodes,) of theta(k+1)."""

    def returns(self, agent: Any) -> NDArray[np.float64]:
        """(episodes,) of an agent."""
        player = self.kind.player(self.snapshot, agent)
        return self.evaluation.returns(player, 0, self.episodes, self.check)

    def begin(self, doing: str) -> None:
        """Say what comes next."""
        self._done += 1
        self._doing = doing
        self.check()

    def check(self) -> None:
        """Say where it stands; whoever listens may cancel."""
        self._say(self._doing, self._done, self._total)


def _change(run: Run, table: _Table) -> Change:
    """What the recorded update did."""
    snapshot, k = table.snapshot, table.snapshot.round
    table.begin("playing the policy before the update")
    before = table.returns(table.kind.agent(snapshot))
    table.begin("playing the policy after the update")
    table.after = table.returns(table.kind.agent(snapshot.changed(checkpoint=run.checkpoint(k + 1))))
    training = {info.round: info.metrics for info in run.rounds}
    of_both = [training.get(j, {}) for j in (k, k + 1)]
    return Change(
        Interval.of_mean(table.after - before),
        float(before.mean()),
        float(table.after.mean()),
        table.episodes,
        (EVALUATION_SEED, EVALUATION_SEED + table.episodes - 1),
        (of_both[0].get("mean_return"), of_both[1].get("mean_return")),
        _noise(of_both),
    )


def _played(table: _Table, arms: Sequence[Arm]) -> tuple[PlayedArm, ...]:
    """Every arm on the seeds of the two policies."""
    found, confidence, recorded = [], 1 - (1 - CONFIDENCE) / len(arms), table.after.mean()
    for arm in arms:
        means = []
        for which in range(arm.replicates):
            table.begin(f"{arm.name}, {which + 1} of {arm.replicates}")
            means.append(table.returns(arm.agent(table.snapshot, which, table.check)).mean())
        values = np.asarray(means)
        mean, difference = Interval.of_mean(values), Interval.of_mean(values - recorded, confidence)
        found.append(PlayedArm(arm.name, arm.cause, mean, difference, arm.replicates))
    return tuple(found)


def _noise(metrics: Sequence[Mapping[str, Any]]) -> float | None:
    """Standard error of the difference of two rounds' mean returns; None where they have none."""
    variance = 0.0
    for each in metrics:
        deviation, episodes = each.get("std_return"), each.get("episodes")
        if deviation is None or not episodes:
            return None
        variance += deviation**2 / episodes
    return math.sqrt(variance)


def _next(run: Run, snapshot: Snapshot, verdict: str) -> str:
    config = snapshot.config
    return NEXT.get(verdict, "").format(
        run=run.path,
        double_batch=2 * config.batch_size,
        double_steps=2 * config.n_steps,
        quarter_rate=config.learning_rate / 4,
    )

"""The autopsy of two runs: where they parted, what differed before, and whether the lower one recovers from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.analysis.compared_runs import check_same_environment, differing
from engine.analysis.incidents.apart import apart, decided, returns_of
from engine.analysis.paired_rounds import LEAST_ROUNDS, differences, rounds_before
from engine.core.checkpoint import one_thread
from engine.core.policy import with_gradients
from engine.errors import BadInputError
from engine.executors import Pool, Progress
from engine.intervention.autopsy.common_returns import CommonReturns
from engine.intervention.autopsy.kept_returns import EPISODES
from engine.intervention.autopsy.next_step import next_after_parting
from engine.intervention.autopsy.parting import Pair, parting
from engine.intervention.autopsy.recovery import recovery
from engine.intervention.autopsy.two_runs_result import TOO_FEW, TwoRunsAutopsy
from engine.store.read import Run, open_run
from engine.store.words import counted
from engine.typed import whole

ROUNDS, SEEDS = 5, 5
"""That the lower run is trained on, and how often."""


@with_gradients
def autopsy_against(
    run: Run | str | Path,
    other: Run | str | Path,
    *,
    rounds: int = ROUNDS,
    seeds: int = SEEDS,
    episodes: int = EPISODES,
    executor: str = "processes",
    workers: int | None = None,
    cache: bool = True,
    progress: Progress | None = None,
) -> TwoRunsAutopsy:
    """Where two runs of one setting parted, what differed before, and whether the lower one recovers with other luck.

    >>> import engine
    >>> lake = "sample_runs/FrozenLake-v1"
    >>> engine.autopsy_against(lake, lake).verdict
    'never parted'

    Of the rounds in which their returns of training differ by more than their noise, those where they do so longest and most
    are looked at. The runs parted at the first of them, moved to the first round whose policies differ on common seeds, looked
    for by halves. From there the lower run is trained on with other luck: once with the generators and environments of the
    other run, else with luck drawn anew.

    Args:
        run: a run, or its folder.
        other: another run in the same environment.
        rounds: that the lower run is trained on.
        seeds: how often, at least 2.
        episodes: of each policy, all on the same seeds.
        executor: `inline`, `processes` or `ray`.
        workers: trainings at a time; by default one a core.
        cache: keep what is played in the `derived/` of `run`, and take it from there.
        progress: told what is going on; raise from it to cancel. What is finished is kept.

    Raises:
        BadInputError: the two are not runs of one environment, or a number is too small.
        DamagedRunError: a file is not what was written.
    """
    one_thread()
    both = tuple(each if isinstance(each, Run) else open_run(each) for each in (run, other))
    pool = Pool(executor, workers)
    pool.check()
    check_same_environment(*both)
    if whole(seeds, "seeds") < 2 or whole(rounds, "rounds") < 1:
        raise BadInputError(f"seeds is {seeds} and rounds {rounds}; there must be at least 2 seeds and 1 round")
    returns = CommonReturns(both[0], 0, episodes, {"heads": [each.head for each in both]}, cache=cache)
    pair = Pair((both[0], both[1]), returns, progress or (lambda doing, done, total: None))
    return _examined(pair, rounds, seeds, pool)


def _examined(pair: Pair, rounds: int, seeds: int, pool: Pool) -> TwoRunsAutopsy:
    """All of it."""
    trained = [returns_of((info.round, info.metrics) for info in run.rounds) for run in pair.runs]
    stretches = apart(*trained)
    left_out = {} if decided(*trained) else {"returns": TOO_FEW}
    found = TwoRunsAutopsy(
        pair.name(0), pair.name(1), differs=differing(*pair.runs), stretches=tuple(stretches), left_out=left_out
    )
    if not stretches:
        return found
    largest = max(stretches, key=lambda each: each.size)
    lower = largest.lower
    parted, why = parting(pair, largest)
    left_out |= {"playing": why} if why else {}
    if parted is None:
        return found
    before = rounds_before(*pair.runs, parted.round)
    if len(before) < LEAST_ROUNDS:
        left_out["what differed before"] = f"{counted(len(before), 'round')} before they parted say nothing"
        before = []
    recovered, why = recovery(pair, lower, parted, rounds, seeds, pool)
    left_out |= {"training on": why} if why else {}
    return replace(
        found,
        lower=pair.name(lower),
        parted=parted,
        looked_at=tuple(differences(*pair.runs, before)),
        looked_rounds=tuple(before),
        recovery=recovered,
        verdict="parted" if recovered is None else recovered.verdict,
        next=next_after_parting(pair.runs[lower], parted.round, parted.before),
    )

"""`python -m benchmarks.fits [RUN:ROUND ...] [--subsets M] [--orders Q]`: is `replay_regression` better the more pairs it has?

Prints its LDS by the number of pairs with half of the records removed, for the return and for the actions of three random
records, beside `tracin_adam`, from which it starts, the noise ceiling, and what the replays that it was fitted to foretell of it.
By default in rounds of the sample runs where no estimator comes near the ceiling. Replays are kept in the runs: an interrupted
call goes on where it stopped. A round takes some two thousand of them, minutes on two idle cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import engine
from engine.core.draws import VALIDATION_SEED
from engine.core.estimators.registry import ESTIMATORS, PRIOR, REPLAY_REGRESSION, record_gradients
from engine.core.estimators.replay_pairs import PairOutcomes, contrasts, half_differences, pair_outcomes
from engine.core.estimators.replay_regression import fit
from engine.core.faithfulness.lds import lds, noise_ceiling
from engine.core.kind import kind_of
from engine.core.replays.many import replays, with_nothing_removed
from engine.core.targets.functions import Target, in_words
from engine.core.targets.of_records import return_target
from engine.executors import PROCESSES
from engine.intervals import Interval
from engine.store.snapshot import Snapshot
from engine.terminal import print_table, progress

ROUNDS = ("LunarLander-v3:95", "FrozenLake-v1:15", "FrozenLake-v1:27", "Acrobot-v1:10")
SHARES = (0.25, 0.5, 1.0)
"""Of the pairs, to be fitted to."""
ACTIONS = 3


def targets_of(snapshot: Snapshot) -> list[Target]:
    """The return, and the actions of random records."""
    drawn = np.random.default_rng(snapshot.round).choice(len(snapshot.buffer), ACTIONS, replace=False)
    return [return_target(snapshot), *(engine.action_target(snapshot, record=int(record)) for record in np.sort(drawn))]


def scores(snapshot: Snapshot, target: Target, pairs: PairOutcomes) -> Iterator[tuple[str, NDArray[np.floating]]]:
    """(n,) influence by `tracin_adam`, and by the fit to a quarter, half and all of the pairs."""
    kind, prior = kind_of(snapshot), ESTIMATORS[PRIOR](snapshot, target).influence
    yield PRIOR, prior
    gradients, x = record_gradients(snapshot, target), contrasts(snapshot)
    z, q, y = gradients.summed(x), x @ prior, half_differences(pairs.once)
    for share in SHARES:
        m = round(share * len(y))
        fitted = fit(z[:m], q[:m], y[:m])
        missed = kind.credit(snapshot, gradients.policy, gradients.direction(fitted.v)).influence
        yield f"{m} pairs", fitted.alpha * prior + missed


def measured(snapshot: Snapshot, subsets: int, orders: int) -> Iterator[tuple[str, str, Interval]]:
    """For each target the noise ceiling, the LDS of each of the `scores`, and what was foretold of the last of these."""
    removed = kind_of(snapshot).random_removals(snapshot, 0.5, subsets, VALIDATION_SEED)
    targets = targets_of(snapshot)
    with progress() as report:
        of_each = replays(snapshot, targets, with_nothing_removed(removed), orders, pool=PROCESSES, report=report)
    with progress() as report:
        pairs = pair_outcomes(snapshot, targets, pool=PROCESSES, report=report)
    for target, outcomes, once, again in zip(targets, of_each, *pairs, strict=True):
        rng, called = np.random.default_rng(0), in_words(target)
        yield called, "ceiling", noise_ceiling(outcomes[1:] - outcomes[0], rng) or Interval()
        for name, influence in scores(snapshot, target, PairOutcomes(once, again)):
            yield called, name, lds(influence, ~removed, outcomes[1:], rng)
        yield called, "foretold", engine.influence(snapshot, target, REPLAY_REGRESSION).expected or Interval()


def main() -> None:
    """Print a table for each round."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fits", description=__doc__.splitlines()[0])
    parser.add_argument("rounds", nargs="*", metavar="RUN:ROUND", default=ROUNDS, help="of the sample runs")
    parser.add_argument("--subsets", type=int, default=64, help="to measure on")
    parser.add_argument("--orders", type=int, default=16, help="minibatch orders that each is replayed in")
    arguments = parser.parse_args()
    for each in arguments.rounds:
        name, _, k = each.partition(":")
        found = measured(engine.open_run(f"sample_runs/{name}").snapshot(int(k)), arguments.subsets, arguments.orders)
        print(f"\n{name}, round {k}")
        print_table(
            ("target", "scores", "LDS", "95 % interval"),
            [(target, who, i.value, f"{i.low:.2f} to {i.high:.2f}") for target, who, i in found],
        )


if __name__ == "__main__":
    main()

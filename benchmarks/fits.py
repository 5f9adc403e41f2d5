"""`python -m benchmarks.fits [RUN:ROUND ...] [--subsets M] [--orders Q]`: is `replay_regression` better the more pairs it has?

Prints its LDS by the number of pairs for the return target with half of the records removed, beside `tracin_adam`, from which it
starts, and the noise ceiling. By default in rounds of the sample runs where no estimator comes near the ceiling. Replays are kept
in the runs: an interrupted call goes on where it stopped. A round takes some two thousand of them, minutes on two idle cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import engine
from engine.core.draws import VALIDATION_SEED
from engine.core.estimators.registry import ESTIMATORS, PRIOR, record_gradients
from engine.core.estimators.replay_pairs import contrasts, half_differences, pair_outcomes
from engine.core.estimators.replay_regression import fit
from engine.core.faithfulness.lds import lds, noise_ceiling
from engine.core.kind import kind_of
from engine.core.replays.many import replays, with_nothing_removed
from engine.core.targets.of_records import return_target
from engine.executors import PROCESSES
from engine.intervals import Interval
from engine.store.snapshot import Snapshot
from engine.terminal import print_table, progress

ROUNDS = ("LunarLander-v3:95", "FrozenLake-v1:15", "FrozenLake-v1:27", "Acrobot-v1:10")
PAIRS = (128, 256, 512)


def scores(snapshot: Snapshot) -> Iterator[tuple[str, NDArray[np.floating]]]:
    """(n,) influence on the return by `tracin_adam`, and by the fit to the first 128, 256, 512 pairs."""
    target, kind = return_target(snapshot), kind_of(snapshot)
    prior = ESTIMATORS[PRIOR](snapshot, target).influence
    yield PRIOR, prior
    with progress() as report:
        (outcomes,) = pair_outcomes(snapshot, [target], pool=PROCESSES, report=report)
    gradients, x = record_gradients(snapshot, target), contrasts(snapshot)
    z, q, y = gradients.summed(x), x @ prior, half_differences(outcomes)
    for m in PAIRS:
        fitted = fit(z[:m], q[:m], y[:m])
        missed = kind.credit(snapshot, gradients.policy, gradients.direction(fitted.v)).influence
        yield f"{m} pairs", fitted.alpha * prior + missed


def measured(snapshot: Snapshot, subsets: int, orders: int) -> Iterator[tuple[str, Interval]]:
    """The noise ceiling, and the LDS of each of the `scores`."""
    removed = kind_of(snapshot).random_removals(snapshot, 0.5, subsets, VALIDATION_SEED)
    with progress() as report:
        target = return_target(snapshot)
        (outcomes,) = replays(snapshot, [target], with_nothing_removed(removed), orders, pool=PROCESSES, report=report)
    rng = np.random.default_rng(0)
    yield "ceiling", noise_ceiling(outcomes[1:] - outcomes[0], rng) or Interval()
    for name, influence in scores(snapshot):
        yield name, lds(influence, ~removed, outcomes[1:], rng)


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
            ("scores", "LDS", "95 % interval"), [(who, i.value, f"{i.low:.2f} to {i.high:.2f}") for who, i in found]
        )


if __name__ == "__main__":
    main()

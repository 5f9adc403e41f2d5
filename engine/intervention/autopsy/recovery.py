"""Does the lower of two runs recover from where they parted, trained on with other luck?"""

from __future__ import annotations

import numpy as np

from engine.analysis.compared_runs import differing
from engine.core.kind import kind_of
from engine.executors import Pool
from engine.intervals import Interval
from engine.intervention.autopsy.parting import Pair
from engine.intervention.autopsy.recorded_policies import RecordedPolicies
from engine.intervention.autopsy.trained_on import Training, train_missing
from engine.intervention.autopsy.two_runs_result import Parting, Recovery
from engine.store.read import Run

OTHER_LUCK = "other luck"
LENT, ANEW = "the other run's", "drawn anew"


def recovery(
    pair: Pair, lower: int, parted: Parting, rounds: int, seeds: int, pool: Pool
) -> tuple[Recovery | None, str]:
    """The lower run trained on from where they parted, and why it can't be; None where it can't.

    Args:
        pair: two runs.
        lower: which of them.
        parted: where.
        rounds: to train on, as far as both runs have them.
        seeds: trainings. The first has the generators and environments of the other run, where these fit.
        pool: where to train.
    """
    run, other = pair.runs[lower], pair.runs[1 - lower]
    first = max((k for k in run.stored_rounds if k <= parted.round), default=-1)
    last = max((k for k in pair.common if first < k <= first + rounds), default=-1)
    if why := pair.unplayed or _why_not(run, first, last):
        return None, why
    luck = other.path.resolve() if _fits(run, other, first) else None
    lent = [luck, *[None] * (seeds - 1)]
    trainings = [
        Training(OTHER_LUCK, which, run.path.resolve(), first, (last,), pair.returns.episodes, {}, luck=of)
        for which, of in enumerate(lent)
    ]
    stopped = train_missing(trainings, pair.returns, pool, pair.say)
    if stopped:
        return None, stopped[OTHER_LUCK]
    with RecordedPolicies(pair.returns, pair.say, 2) as policies:
        recorded, higher = (float(pair.play(policies, which, last).mean()) for which in (lower, 1 - lower))
    ends = np.array([pair.returns[each.policy(last)].mean() for each in trainings])
    found = Recovery(
        first=first,
        last=last,
        luck=tuple(ANEW if of is None else LENT for of in lent),
        ends=tuple(ends.tolist()),
        mean=Interval.of_mean(ends),
        difference=Interval.of_mean(ends - recorded),
        recorded=recorded,
        higher=higher,
    )
    return found, ""


def _why_not(run: Run, first: int, last: int) -> str:
    if first < 0 or last < 0:
        return "no later round is stored in both runs"
    return kind_of(run.snapshot(first)).no_training


def _fits(run: Run, other: Run, first: int) -> bool:
    """Whether the other run can lend its luck: its statistics of observations would come along."""
    normalizes = other.config.normalize_observation or other.config.normalize_reward
    return other.has_records(first - 1) and not normalizes and not differing(run, other)

"""The autopsy of many rounds: did the policy stop getting better, and how does it go on from there otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.config import TrainConfig
from engine.core.checkpoint import one_thread
from engine.core.evaluation import EVALUATION_SEED
from engine.core.kind import kind_of
from engine.core.policy import with_gradients
from engine.errors import BadInputError
from engine.executors import Pool, Progress
from engine.intervals import CONFIDENCE, Interval
from engine.intervention.autopsy.common_returns import CommonReturns
from engine.intervention.autopsy.kept_returns import EPISODES
from engine.intervention.autopsy.next_step import next_after_rounds
from engine.intervention.autopsy.over_rounds_result import LongArm, LongCause, LongChange, LongVerdict, RoundsAutopsy
from engine.intervention.autopsy.play import why_unplayed
from engine.intervention.autopsy.recorded_policies import RecordedPolicies
from engine.intervention.autopsy.trained_on import Training, otherwise, train_missing, training_seconds
from engine.store.read import Run, open_run, ranges_near
from engine.store.snapshot import Snapshot
from engine.typed import whole

SEEDS, POINTS = 5, 5
"""Trainings of each arm, and rounds whose policies are played, the first and the last among them."""
RECOVERED = 0.5
"""Share of a decay that an arm takes back at least where it explains it."""
WHY_FILTERED = "the run is filtered already"


@dataclass(frozen=True, eq=False)
class Otherwise:
    """One thing that is otherwise in all rounds."""

    name: str
    cause: LongCause
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Setting -> its value, or what makes it of the run's settings."""

    def of(self, config: TrainConfig) -> dict[str, Any]:
        """The settings' values."""
        return {name: value(config) if callable(value) else value for name, value in self.settings.items()}


LUCK = Otherwise("other luck", "luck")
ARMS = (
    LUCK,
    Otherwise("half the learning rate", "step", {"learning_rate": lambda config: config.learning_rate / 2}),
    Otherwise("a quarter of the learning rate", "step", {"learning_rate": lambda config: config.learning_rate / 4}),
    Otherwise("the worst half of negative records filtered", "records", {"filter": "iif", "drop": 0.5}),
    Otherwise("the worst half of negative records repaired", "records", {"filter": "reestimate", "drop": 0.5}),
)


@with_gradients
def autopsy_rounds(
    run: Run | str | Path,
    first: int,
    last: int,
    *,
    seeds: int = SEEDS,
    points: int = POINTS,
    episodes: int = EPISODES,
    executor: str = "processes",
    workers: int | None = None,
    cache: bool = True,
    progress: Progress | None = None,
) -> RoundsAutopsy:
    """Why a run did not get better between two rounds: it is trained on from the first of them, with one thing otherwise.

    >>> import engine
    >>> few = {"seeds": 2, "points": 2, "episodes": 16, "executor": "inline"}
    >>> found = engine.autopsy_rounds("sample_runs/FrozenLake-v1", 1, 29, **few)
    >>> found.verdict, found.real.moved
    ('rose', 'rose')

    theta(first) and theta(last) are played on common seeds. Where the policy did not get better for certain, it is trained on
    from theta(first), with the optimizer's state, in five arms: with other luck alone, with half and a quarter of the learning
    rate, and with the worst half of the negative records of each round filtered (IIF), or
    trained on with their TD errors in the place of advantages. Seed s has the same luck in every arm.

    Args:
        run: a run, or its folder.
        first: a round whose records are stored.
        last: a later round whose checkpoint is stored.
        seeds: trainings of each arm, at least 2.
        points: rounds whose policies are played, `first` and `last` among them; at least 2.
        episodes: of each policy, all on the same seeds.
        executor: `inline`, `processes` or `ray`.
        workers: trainings at a time; by default one a core.
        cache: keep what is played in the run's `derived/`, and take it from there.
        progress: told what is going on; raise from it to cancel. What is finished is kept.

    Raises:
        BadInputError: the rounds are not stored, or the run can't be trained on here.
        DamagedRunError: a file is not what was written.
    """
    one_thread()
    run = run if isinstance(run, Run) else open_run(run)
    pool = Pool(executor, workers)
    pool.check()
    snapshot = start_of(run, first, last)
    numbers = points_between(first, last, whole(points, "points"))
    if whole(seeds, "seeds") < 2:
        raise BadInputError(f"seeds is {seeds}; an interval needs at least 2")
    say = progress or (lambda doing, done, total: None)
    returns = CommonReturns(run, first, episodes, _about(run, numbers), cache=cache)
    recorded = _play_recorded(run, numbers, returns, say)
    real = _change(returns, first, last)
    possible = {arm: why for arm, why in possible_arms(snapshot) if real.moved != "rose"}
    trainings = [
        Training(
            arm.name,
            which,
            run.path.resolve(),
            first,
            tuple(numbers[1:]),
            episodes,
            arm.of(snapshot.config),
        )
        for arm, why in possible.items()
        if not why
        for which in range(seeds)
    ]
    stopped = train_missing(trainings, returns, pool, say) if trainings else {}
    left_out = {arm.name: why or stopped[arm.name] for arm, why in possible.items() if why or arm.name in stopped}
    had = [arm for arm in possible if arm.name not in left_out]
    arms = _played(had, trainings, returns, real.after)
    verdict = long_verdict(real, arms)
    remedy = next(
        (arm.of(snapshot.config) for arm, played in zip(had, arms, strict=True) if explains(real, played)), {}
    )
    return RoundsAutopsy(
        run=run.name,
        first=first,
        last=last,
        recorded=recorded,
        real=real,
        arms=arms,
        left_out=left_out,
        verdict=verdict,
        next=next_after_rounds(run, snapshot, recorded, verdict, remedy),
    )


def start_of(run: Run, first: int, last: int) -> Any:
    """The first of the rounds, where a run can be trained on from it to the last.

    Raises:
        BadInputError: it can't; says why.
    """
    if last <= first:
        raise BadInputError(f"the rounds {first} to {last} run backwards; name an earlier and a later one")
    if not run.has_checkpoint(last):
        there = ranges_near(run.checkpoint_rounds, last)
        raise BadInputError(f"the policy of round {last} was not recorded; rounds with a checkpoint are {there}")
    snapshot = run.snapshot(first)
    if why := kind_of(snapshot).no_training or why_unplayed(snapshot):
        raise BadInputError(why)
    return snapshot


def points_between(first: int, last: int, points: int) -> list[int]:
    """Rounds at even distances, both ends among them.

    >>> points_between(20, 30, 5)
    [20, 22, 25, 28, 30]

    Raises:
        BadInputError: there are fewer than two points.
    """
    if points < 2:
        raise BadInputError(f"points is {points}; the first and the last round are two")
    return sorted({round(at) for at in np.linspace(first, last, points).tolist()})


def possible_arms(snapshot: Snapshot) -> Iterator[tuple[Otherwise, str]]:
    """Every arm with why it can't be had from a round on; empty where it can."""
    for arm in ARMS:
        why = WHY_FILTERED if arm.cause == "records" and snapshot.config.filter != "none" else ""
        try:
            changed = otherwise(snapshot, arm.of(snapshot.config))
            kind_of(snapshot).make_filter(kind_of(snapshot).settings(changed))
        except BadInputError as error:
            why = why or str(error)
        yield arm, why


def long_verdict(real: LongChange, arms: Sequence[LongArm]) -> LongVerdict:
    """Whether there is a decay or a standstill, then the cause of the first arm that explains it."""
    if real.moved == "rose":
        return "rose"
    explained = next((arm.cause for arm in arms if explains(real, arm)), None)
    return explained or ("unexplained" if real.moved == "decayed" else "settled")


def explains(real: LongChange, arm: LongArm) -> bool:
    """Whether an arm ends better for certain than the run does.

    Luck is asked first and by itself, at 95 %: the run is compared with others that differ from it in nothing else. What another
    arm changes explains something only where it ends better than these, at 95 % for all such arms together. A decay is
    explained where half of it is taken back.
    """
    better = arm.difference if arm.over_luck is None else arm.over_luck
    return better.low > 0 and (real.moved == "plateau" or arm.difference.value >= -RECOVERED * real.change.value)


def seconds_at_most(
    run: Run, first: int, last: int, *, seeds: int = SEEDS, points: int = POINTS, episodes: int = EPISODES
) -> float | None:
    """How long all arms take one after the other, from what the recorded rounds took; None where these don't say."""
    metrics = [info.metrics for info in run.rounds if first <= info.round < last]
    return training_seconds(metrics, len(ARMS) * seeds, points, episodes)


def _about(run: Run, numbers: Sequence[int]) -> dict[str, Any]:
    """What the policies depend on: where they are played, and which run it is."""
    commits = {info.round: info.hash for info in (*run.rounds, *((run.final,) if run.final else ()))}
    return {"points": list(numbers), "commits_there": [commits.get(k) for k in numbers]}


def _recorded(k: int) -> str:
    return f"of round {k}"


def _play_recorded(run: Run, numbers: Sequence[int], returns: CommonReturns, say: Progress) -> dict[int, float]:
    """Round -> mean return of the recorded policy, where its checkpoint is stored."""
    there = [k for k in numbers if run.has_checkpoint(k)]
    with RecordedPolicies(returns, say, len(there)) as policies:
        return {k: float(policies.play(run, k, _recorded(k)).mean()) for k in there}


def _change(returns: CommonReturns, first: int, last: int) -> LongChange:
    before, after = (returns[_recorded(k)] for k in (first, last))
    seeds = EVALUATION_SEED, EVALUATION_SEED + returns.episodes - 1
    return LongChange(
        Interval.of_mean(after - before), float(before.mean()), float(after.mean()), returns.episodes, seeds
    )


def _played(
    arms: Sequence[Otherwise], trainings: Sequence[Training], returns: CommonReturns, recorded: float
) -> tuple[LongArm, ...]:
    """Every arm against the run as recorded, and against the arm that differs from it in luck alone."""
    means = {
        arm: np.array(
            [[returns[each.policy(k)].mean() for k in each.points] for each in trainings if each.name == arm.name]
        )
        for arm in arms
    }
    ends = {arm: values[:, -1] for arm, values in means.items()}
    confidence = {arm: CONFIDENCE if arm is LUCK else 1 - (1 - CONFIDENCE) / len({*ends} - {LUCK}) for arm in ends}
    return tuple(
        LongArm(
            arm.name,
            arm.cause,
            dict(zip(trainings[0].points, map(Interval.of_mean, values.T), strict=True)),
            Interval.of_mean(ends[arm] - recorded, confidence[arm]),
            None if arm is LUCK or LUCK not in ends else Interval.of_difference(ends[arm], ends[LUCK], confidence[arm]),
            len(values),
        )
        for arm, values in means.items()
    )

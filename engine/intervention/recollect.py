"""What comes after an intervention when the data are collected anew: every arm trained on, with several seeds.

A replay keeps the round's data as it was. Here each arm goes on to collect data of its own, so that what the removal did
to the policy also changes what the policy sees next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.core.checkpoint import one_thread
from engine.core.evaluation import PolicyEvaluation
from engine.core.filtering import filtered
from engine.core.kind import Given, kind_of
from engine.core.policy import with_gradients
from engine.core.replays.replay import replay
from engine.core.training import train_on
from engine.executors import INLINE, Pool
from engine.intervention.comparison import Estimate, compare
from engine.intervention.here_or_elsewhere import done
from engine.intervention.plan import ARMS, Intervention, ProgressMeter, draws, intervened
from engine.store.read import Run, open_run
from engine.store.snapshot import Snapshot

RECOLLECTION_SEED = 5
"""Names the generators of re-collected data among what a run's seed draws."""

Floats = NDArray[np.float64]


class Continued(NamedTuple):
    """One arm, trained on with one seed."""

    returns: Sequence[float | None]
    """Mean training return of each further round; None where no episode ended."""
    player: Any
    """The policy after the last of them, as `PolicyEvaluation.returns` takes it."""


def recollect(
    snapshot: Snapshot,
    plan: Intervention,
    folder: Path,
    evaluation: PolicyEvaluation,
    meter: ProgressMeter,
    given: Given,
    pool: Pool = INLINE,
) -> dict[str, Any]:
    """Train every arm on with several seeds, and evaluate what became of it; seed s of each arm has the same luck.

    Args:
        snapshot: round k.
        plan: the intervention.
        folder: with the first seed's branches, which are recorded already.
        evaluation: of the final policies.
        meter: told of the progress.
        given: in the place of something that the run's settings name.
        pool: where the arms are trained on.

    Returns:
        What `summarize` says.
    """
    recorded = {"counterfactual": folder, "control": folder / "control"}
    tasks = [SeedTask(arm, seed, plan.seeds) for seed in range(plan.seeds) for arm in ARMS]
    left = [task for task in tasks if task.seed or task.arm not in recorded]

    def here(task: SeedTask, meter: ProgressMeter) -> Played:
        return played(train_here(snapshot, plan, given, task, meter), plan, evaluation, task, meter)

    def finished(task: SeedTask) -> None:
        meter.finished(f"trained on, {task} is finished", updates=1 + plan.continue_rounds)

    elsewhere, doing = partial(train_elsewhere, snapshot, plan, given), "training on with newly collected data"
    made = done(left, here, elsewhere, pool, meter, doing=doing, finished=finished)
    found = dict(zip(left, made, strict=True))
    for arm, branch in recorded.items():
        task = SeedTask(arm, 0, plan.seeds)
        found[task] = played(recorded_arm(open_run(branch)), plan, evaluation, task, meter)
    of_arms = {arm: [found[task] for task in tasks if task.arm == arm] for arm in ARMS}
    curves = {arm: [each.training for each in seeds] for arm, seeds in of_arms.items()}
    returns = {arm: np.stack([each.returns for each in seeds]) for arm, seeds in of_arms.items()}
    return dict(summarize(curves, snapshot.round, returns))


@dataclass(frozen=True)
class SeedTask:
    """One arm that is trained on with one seed."""

    arm: str
    seed: int
    of: int

    def __str__(self) -> str:
        return f"{self.arm}, seed {self.seed + 1} of {self.of}"


class Played(NamedTuple):
    """What came of it."""

    training: BranchReturns
    returns: Floats
    """(episodes,) of the final policy."""


def played(
    found: Continued, plan: Intervention, evaluation: PolicyEvaluation, task: SeedTask, meter: ProgressMeter
) -> Played:
    """Play the final policy of an arm."""
    meter.say(f"evaluating {task}")
    returns = evaluation.returns(found.player, task.seed, -(-plan.episodes // plan.seeds), meter.check)
    meter.evaluated()
    return Played(found.returns, returns)


def train_here(snapshot: Snapshot, plan: Intervention, given: Given, task: SeedTask, meter: ProgressMeter) -> Continued:
    """Train an arm on in this process, and say how far it is."""

    def say(round: int) -> None:
        meter.say(f"training on, {task}, round {round}")

    records = draws(snapshot, plan, task.seed)[task.arm]
    return train_arm_on(snapshot, plan, records, task.seed, say=say, on_step=meter.step, given=given)


@with_gradients
def train_elsewhere(snapshot: Snapshot, plan: Intervention, given: Given, task: SeedTask) -> Played:
    """Train an arm on in a process that does nothing else, and play its final policy."""
    one_thread()
    meter = ProgressMeter(None, snapshot, plan)
    with closing(kind_of(snapshot).evaluation(snapshot, given)) as evaluation:
        return played(train_here(snapshot, plan, given, task, meter), plan, evaluation, task, meter)


def train_arm_on(
    snapshot: Snapshot,
    plan: Intervention,
    records: Sequence[int] | NDArray[Any],
    seed: int,
    *,
    say: Callable[[int], None] = lambda round: None,
    on_step: Callable[[], None] | None = None,
    given: Given | None = None,
) -> Continued:
    """Replay a round without some records, or with these repaired, and train on, recording nothing.

    Args:
        snapshot: round k.
        plan: the intervention.
        records: which of the round's; empty for the original.
        seed: 0 replays the recorded minibatch order and goes on as the run itself would have. s > 0 replays the s-th other
            order, begins new episodes and draws actions and minibatches anew: the same luck for every arm.
        say: told each round that begins.
        on_step: called before every optimizer step; raise from it to cancel.
        given: in the place of something that the run's settings name.
    """
    kind = kind_of(snapshot)
    replayed = replay(intervened(snapshot, plan, records, seed), on_step=on_step)
    learner = kind.after(replayed.snapshot, replayed.agent, snapshot.path or Path(), given or {})
    if seed:
        learner.reseed(np.random.default_rng([snapshot.config.seed, snapshot.round, seed, RECOLLECTION_SEED]))
    returns = []
    leave = partial(filtered, record_filter=kind.make_filter(kind.settings(snapshot)))
    for later in train_on(learner, learner.round + plan.continue_rounds, leave, on_step):
        say(later.round)
        returns.append(later.metrics["mean_return"])
    learner.close()
    return Continued(returns, learner.player())


def recorded_arm(branch: Run) -> Continued:
    """A branch that was recorded already, from its first further round to its final checkpoint."""
    returns = [info.metrics["mean_return"] for info in branch.rounds[1:]]
    last = branch.snapshot(branch.rounds[-1].round)
    after = replace(last, checkpoint=branch.checkpoint(branch.config.rounds))
    kind = kind_of(last)
    return Continued(returns, kind.player(after, kind.agent(after)))


BranchReturns = Sequence[float | None]
"""An arm's mean training return of each further round, with one seed."""


def summarize(arms: Mapping[str, Sequence[BranchReturns]], round: int, evaluation: Mapping[str, Floats]) -> Any:
    """What `result.json` says of the re-collected data.

    Args:
        arms: one curve a seed, for `original`, `counterfactual` and `control`.
        round: k, the round that was replayed.
        evaluation: (seeds, episodes) returns of the final policies by arm, on evaluation seeds that the arms share.

    Returns:
        `seeds`; `rounds` after k; `curves`, by arm the mean training return of each round with its interval over the
        seeds and the seeds' own values (null where no episode ended); `evaluation` and `training`, each what
        `comparison.compare` says of the final policies' returns and of the mean training return (null where a seed
        ended no episode); `seed_means` of the evaluation; `verdict`, that of the evaluation.
    """
    training = {
        name: np.array([[math.nan if value is None else value for value in curve] for curve in each], np.float64)
        for name, each in arms.items()
    }
    seeds, rounds = next(iter(training.values())).shape
    seen = {name: np.isfinite(values) for name, values in training.items()}
    known = all(each.any(axis=1).all() for each in seen.values())
    evaluated = compare(**evaluation)
    return {
        "seeds": seeds,
        "rounds": [round + 1 + i for i in range(rounds)],
        "curves": {name: [_point(column) for column in values.T] for name, values in training.items()},
        "training": compare(**{name: np.nanmean(values, axis=1)[:, None] for name, values in training.items()})
        if known
        else None,
        "evaluation": evaluated,
        "seed_means": {name: returns.mean(axis=1).tolist() for name, returns in evaluation.items()},
        "verdict": evaluated["verdict"],
    }


def _point(values: Floats) -> dict[str, Any]:
    """(seeds,) -> mean and interval over those seeds in which an episode ended."""
    seen = values[np.isfinite(values)]
    estimate = Estimate.of(seen, 0).to_json() if len(seen) else {"mean": None, "low": None, "high": None}
    found = {name: estimate[name] for name in ("mean", "low", "high")}
    return found | {"seeds": [value if np.isfinite(value) else None for value in values.tolist()]}

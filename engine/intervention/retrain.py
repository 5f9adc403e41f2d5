"""Retrain a round without chosen records, or with these repaired, against the original and a control (paper, section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.checkpoint import one_thread
from engine.core.chosen_targets import chosen_target, named_target
from engine.core.evaluation import EVALUATION_SEED, PolicyEvaluation
from engine.core.kind import Given, Kind, kind_of
from engine.core.policy import with_gradients
from engine.core.replays.replay import Mode
from engine.core.targets.functions import Target, name_of
from engine.core.targets.question import Question, TargetName
from engine.core.training import branch
from engine.errors import BadInputError
from engine.executors import INLINE, Pool, Progress
from engine.intervention.comparison import compare
from engine.intervention.outcome import RESULT_FILE, Outcome, UnplayedOutcome, outcome_of
from engine.intervention.plan import (
    ARMS,
    Intervention,
    ProgressMeter,
    check_possible,
    episodes_per_order,
    intervened,
)
from engine.intervention.recollect import recollect
from engine.intervention.replayed_arms import OrderTask, about, carried_out, in_every_order, replayed_arms
from engine.intervention.unplayed import compare_on_records
from engine.known_kinds import kind_named
from engine.store.at_once import appears_at_once
from engine.store.buckets.mirror import called
from engine.store.documents import write_json
from engine.store.manifest import Parent
from engine.store.read import Run, open_run
from engine.store.snapshot import Snapshot


@with_gradients
def retrain(
    run: Run | str | Path,
    round: int,
    drop: Sequence[int] | NDArray[Any],
    out: str | Path,
    *,
    repair: bool = False,
    mode: Mode = "mask",
    orders: int = 8,
    episodes: int = 64,
    continue_rounds: int = 0,
    seeds: int = 1,
    target: Target | TargetName | Question | str | None = None,
    about: int | tuple[int, ...] | None = None,
    action: float | tuple[float, ...] | None = None,
    of_round: int | None = None,
    observation: float | tuple[float, ...] | None = None,
    tokens: tuple[int, int] | None = None,
    progress: Progress | None = None,
    pool: Pool = INLINE,
    **given: Any,
) -> Outcome | UnplayedOutcome:
    """Replay a round without some records and compare, on the same evaluation seeds, with two other arms.

    The three arms are the original round, the round without the chosen records, and a control: the round without as
    many random records, drawn anew for every replay. Each arm is replayed in `orders` minibatch orders, because a
    single replay is mostly order noise. The branch written to `out` is the counterfactual in the recorded order.

    With `repair` no record is left out: the chosen ones, and in the control as many random ones, go on training with their
    TD errors in the place of their advantages.

    >>> import engine
    >>> outcome = engine.retrain("sample_runs/FrozenLake-v1", 3, [17, 40], "runs/without-two")
    >>> outcome.verdict  # of two records in 2048
    'within noise'
    >>> outcome.removed, outcome.counterfactual.episodes
    ([17, 40], 64)

    Args:
        run: the parent run.
        round: its round k.
        drop: record numbers to remove, or to repair.
        out: folder of the branch run to make.
        repair: repair the records in the place of removing them.
        mode: `mask` or `rebatch`, see `replay`.
        orders: replays per arm.
        episodes: evaluation episodes per arm.
        continue_rounds: further rounds to train in the branch, and in a control branch beside it.
        seeds: how often every arm, the original too, is trained on with newly collected data. The first seed goes on as the
            run itself did, and its branches are the ones that are recorded; the others replay another minibatch order and
            begin new episodes, with the same luck in every arm.
        target: whose change is measured beside the return: a word, or a `TargetName`, or a target of this round such as
            `engine.action_target(run.snapshot(round), record=17)`, or of a `Question` its target; `action` is that of the record
            `about`. By default the kind's own: return, or of language models sequence.
        about: record, or records, of an action target.
        action: its action, if another than the recorded one.
        of_round: round whose buffer a return target is taken over, if another than this one.
        observation: hand-typed state of an action target, in the place of `about`.
        tokens: language models: first and last token of an action target.
        progress: told what is going on; raise from it to cancel.
        pool: where minibatch orders are replayed and seeds trained on; the outcome is the same. By default in this process, where
            raising from `progress` cancels at once; elsewhere it does when something is finished.
        given: in the place of something that the run's settings name; language models: `reward_model`. Their episodes are
            responses to held-out prompts, and the return is the reward, without planted faults.

    Returns:
        What `result.json` in `out` holds, by attribute or by name: `original, counterfactual, control` and the differences
        (mean, low, high, episodes), `verdict`, `removed`, `target` (how f itself changed), `curves` if rounds were
        continued, `recollected` (see `recollect.summarize`) if they were with several seeds, `run`.
        Where no policy can be played, because the environment is not here or the policy's actions can't be drawn, an
        `UnplayedOutcome`: `unplayed` says why, and the arms are compared by return target, KL and log-probabilities on the
        records of this round and of later ones, `by_round`. Its `verdict` is about the target: it knows no returns.

    Raises:
        BadInputError: nothing or everything would be removed, a record is out of range or can't be repaired, the round is not
            there, the target has no name in it, or there are rounds to train on where nothing can be played.
    """
    run = run if isinstance(run, Run) else open_run(run)
    loose = {"about": about, "action": action, "of_round": of_round, "observation": observation, "tokens": tokens}
    plan = Intervention(
        round=round,
        removed=tuple(np.asarray(drop).tolist()),
        repair=repair,
        mode=mode,
        orders=orders,
        episodes=episodes,
        continue_rounds=continue_rounds,
        seeds=seeds,
        measured=_measured(run, round, target, loose),
    )
    return carry_out(run, plan, out, progress, given, pool)


def _measured(run: Run, round: int, target: Any, loose: Mapping[str, Any]) -> TargetName:
    """The name of the target, from what `retrain` is given; errors as there."""
    if isinstance(target, Question):
        target = target.target
    if target is None or isinstance(target, str):
        kind: Kind = kind_named(run.kind)
        return TargetName.of(target or kind.default_target, **loose)
    given = next((name for name, value in loose.items() if value is not None), None)
    if given is not None:
        raise BadInputError(
            f"{given} is said beside a target that says it; leave it out, or give the target's name as a word"
        )
    if isinstance(target, TargetName):
        return target
    snapshot = run.snapshot(round)
    name = name_of(chosen_target(snapshot, target))
    if name is None or named_target(snapshot, name).describe() != target.describe():
        raise BadInputError(
            f"this {target.name} target has no name in round {round}, by which the outcome could be read again; make it of "
            "that round with engine.return_target or engine.action_target, or give an engine.TargetName"
        )
    return name


def carry_out(
    run: Run,
    plan: Intervention,
    out: str | Path,
    progress: Progress | None = None,
    given: Given | None = None,
    pool: Pool = INLINE,
) -> Outcome | UnplayedOutcome:
    """`retrain`, with the plan made already."""
    pool.check()
    snapshot = run.snapshot(plan.round)
    kind, given = kind_of(snapshot), given or {}
    kind.check_given(given)
    if kind.no_training and (plan.continue_rounds or plan.seeds > 1):
        raise BadInputError(kind.no_training)
    check_possible(snapshot, plan)
    target = named_target(snapshot, plan.measured)
    meter = ProgressMeter(progress, snapshot, plan)
    unplayed = kind.unplayed(snapshot)
    if unplayed and plan.continue_rounds:
        raise BadInputError(unplayed)
    evaluation = None if unplayed else kind.evaluation(snapshot, given)
    try:
        with appears_at_once(Path(out), "branch") as folder:
            result: dict[str, Any] = {"run": called(out), "parent": run.name}
            if evaluation is None:
                result |= compare_on_records(run, snapshot, plan, target, meter, unplayed, pool)
            else:
                result |= compare_arms(snapshot, plan, target, evaluation, meter, pool, given)
            branches: dict[str, Sequence[int]] = {"counterfactual": plan.removed}
            if plan.continue_rounds:
                branches["control"] = kind.control(snapshot, plan.removed).tolist()
                result["curves"] = {"original": curve_of(run, plan.round, plan.continue_rounds)}
            for name, records in branches.items():
                meter.say(f"recording the {name} branch")
                place = folder if name == "counterfactual" else folder / name
                curve = _record_branch(run, snapshot, records, place, plan, meter, given)
                if plan.continue_rounds:
                    result["curves"][name] = curve
            if evaluation is not None and plan.seeds > 1:
                result["recollected"] = recollect(snapshot, plan, folder, evaluation, meter, given, pool)
            write_json(folder / RESULT_FILE, result)
    finally:
        if evaluation is not None:
            evaluation.close()
    return outcome_of(result)


def compare_arms(
    snapshot: Snapshot,
    plan: Intervention,
    target: Target,
    evaluation: PolicyEvaluation,
    meter: ProgressMeter,
    pool: Pool = INLINE,
    given: Given | None = None,
) -> dict[str, Any]:
    """Replay the round in all arms and orders, and compare: what a result says of the round itself, without branches.

    Args:
        snapshot: round k.
        plan: the intervention.
        target: the one that it measures.
        evaluation: of the arms' policies in this process.
        meter: told of the progress.
        pool: where the orders are replayed.
        given: in the place of something that the run's settings name, for the evaluation in other processes.
    """
    here = partial(play_order, snapshot, plan, target, evaluation)
    elsewhere = partial(play_order_elsewhere, snapshot, plan, target, given or {})
    orders = in_every_order(here, elsewhere, plan, meter, pool)
    arms = {
        arm: (np.stack([played[arm][0] for played in orders]), [played[arm][1] for played in orders]) for arm in ARMS
    }
    return about(snapshot) | compared(plan, len(snapshot.buffer), arms)


PlayedOrder = dict[str, tuple[NDArray[np.float64], float]]
"""Arm -> (episodes,) returns and f(theta(k+1)) of the measured target, in one minibatch order."""


def play_order(
    snapshot: Snapshot,
    plan: Intervention,
    target: Target,
    evaluation: PolicyEvaluation,
    task: OrderTask,
    meter: ProgressMeter,
) -> PlayedOrder:
    """Replay all arms in one minibatch order, and play their policies."""
    kind, per_order = kind_of(snapshot), episodes_per_order(plan)
    found = {}
    for arm, replayed in replayed_arms(snapshot, plan, task, meter):
        returns = evaluation.returns(kind.player(snapshot, replayed.agent), task.order, per_order, meter.check)
        found[arm] = returns, float(target.value(replayed.policy).detach())
    return found


@with_gradients
def play_order_elsewhere(
    snapshot: Snapshot, plan: Intervention, target: Target, given: Given, task: OrderTask
) -> PlayedOrder:
    """The same in a process that does nothing else."""
    one_thread()
    with closing(kind_of(snapshot).evaluation(snapshot, given)) as evaluation:
        return play_order(snapshot, plan, target, evaluation, task, ProgressMeter(None, snapshot, plan))


PlayedArms = Mapping[str, tuple[NDArray[np.float64], list[float]]]
"""Arm -> (orders, episodes per order) returns, and per order f(theta(k+1)) of the measured target."""


def compared(plan: Intervention, records: int, arms: PlayedArms) -> dict[str, Any]:
    """What a result says of three arms that were replayed and evaluated.

    Args:
        plan: the intervention.
        records: in the round.
        arms: `original`, `counterfactual`, `control`.
    """
    return {
        **carried_out(plan, records, {name: values for name, (_, values) in arms.items()}),
        "evaluation_seeds": [EVALUATION_SEED, EVALUATION_SEED + episodes_per_order(plan) * plan.orders - 1],
        **compare(arms["original"][0], arms["counterfactual"][0], arms["control"][0]),
        "order_means": {name: returns.mean(axis=1).tolist() for name, (returns, _) in arms.items()},
    }


def _record_branch(
    run: Run,
    snapshot: Snapshot,
    records: Sequence[int],
    out: Path,
    plan: Intervention,
    meter: ProgressMeter,
    given: Given,
) -> list[dict[str, Any]]:
    """Make the run that follows from an arm's removal or repair; returns its curve."""
    parent = Parent(
        run=run.name,
        round=plan.round,
        removed=() if plan.repair else tuple(records),
        mode=plan.mode,
        commit=snapshot.hash,
        repaired=tuple(records) if plan.repair else (),
    )
    rounds = branch(
        intervened(snapshot, plan, records),
        out,
        parent=parent,
        continue_rounds=plan.continue_rounds,
        on_step=meter.step,
        given=given,
    )
    curve = []
    for later in rounds:
        meter.say(f"training on {plan.in_words()}, round {later.round}")
        curve.append({"round": later.round, "mean_return": later.metrics["mean_return"]})
    return curve


def curve_of(run: Run, round: int, rounds: int) -> list[dict[str, Any]]:
    """How the parent itself went on."""
    return [
        {"round": info.round, "mean_return": info.metrics.get("mean_return")}
        for info in run.rounds
        if round < info.round <= round + rounds
    ]

"""Retrain a language model's round without chosen sequences, against the original and a control, as `intervention.retrain`.

What is compared is the mean reward of responses to held-out prompts, which all arms answer with the same luck.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.loop import train_on
from engine.errors import BadInputError, ZeroGradientError
from engine.intervention.outcome import RESULT_FILE
from engine.intervention.plan import EVALUATION_SEED, Intervention, Meter, Progress, episodes_per_order
from engine.intervention.recollect import RECOLLECTION_SEED, Curve, summarize
from engine.intervention.retrain import Arms, appears_at_once, compared, curve_of
from engine.intervention.workspace import Job, create_job
from engine.kinds.language.collect import Scene
from engine.kinds.language.filtering import make_filter, with_one_of_each_group
from engine.kinds.language.influence import sequence_influence
from engine.kinds.language.learner import LanguageLearner, same_language_machine
from engine.kinds.language.models import check_base, policy_at, recorded_tokenizer
from engine.kinds.language.policy import LanguagePolicy
from engine.kinds.language.replay import intervene_language, replay_language
from engine.kinds.language.rewards import RewardModel, make_reward
from engine.kinds.language.sequences import LanguageSnapshot
from engine.kinds.language.targets import TokenTarget, language_target
from engine.kinds.language.training import branch_language, filtered
from engine.store.documents import write_json
from engine.store.manifest import Parent
from engine.store.read import Run, open_run
from engine.store.snapshot import Float32s


def retrain_language(
    run: Run | str | Path,
    plan: Intervention,
    out: str | Path,
    progress: Progress | None = None,
    *,
    reward_model: RewardModel | None = None,
) -> dict[str, Any]:
    """Replay a round without some sequences and compare with the original and with a random removal of the same size.

    Args:
        run: the run, or its folder.
        plan: what to remove and how to look at the outcome; its target is `sequence`, `return`, or `action` of a record.
            Its episodes are responses to held-out prompts, and their return is the reward, without planted faults.
        out: folder of the branch run to make.
        progress: told what is going on; raise from it to cancel.
        reward_model: in the place of the one that the run's settings name.

    Returns:
        What `intervention.retrain.retrain` returns.

    Raises:
        BadInputError: nothing, everything or a whole GRPO group would be removed, a record is out of range, the round is
            not there, or a model can't be loaded.
    """
    run = run if isinstance(run, Run) else open_run(run)
    snapshot = run.language_snapshot(plan.round)
    snapshot.without(plan.removed)
    target = measured_target(snapshot, plan)
    meter = Meter(progress, snapshot, plan)
    check_base(snapshot.language, snapshot.named_here)
    judge = reward_model or make_reward(snapshot.language, received=not snapshot.named_here)
    with appears_at_once(Path(out)) as folder:
        result: dict[str, Any] = {"run": str(out), "parent": run.name, "env_id": snapshot.config.env_id}
        result["same_machine"] = same_language_machine(snapshot.fingerprint)
        result |= compared(plan, len(snapshot.buffer), _replay_arms(snapshot, plan, target, judge, meter))
        branches = {"counterfactual": np.asarray(plan.removed)}
        if plan.continue_rounds:
            branches["control"] = random_sequences(snapshot, plan)
            result["curves"] = {"original": curve_of(run, plan.round, plan.continue_rounds)}
        for name, records in branches.items():
            meter.say(f"recording the {name} branch")
            place = folder if name == "counterfactual" else folder / name
            curve = _record_branch(run, snapshot, records, place, plan, judge, meter)
            if plan.continue_rounds:
                result["curves"][name] = curve
        if plan.seeds > 1:
            result["recollected"] = _recollect(snapshot, plan, folder, judge, meter)
        write_json(folder / RESULT_FILE, result)
    return result


def create_language_job(
    run: Run, snapshot: LanguageSnapshot, plan: Intervention, about: dict[str, Any]
) -> tuple[Job, bool]:
    """`workspace.create_job`, for which `python -m engine.kinds.language.worker` is the worker. Errors as there."""
    measured_target(snapshot, plan)
    return create_job(run, snapshot, plan, about)


def predicted(snapshot: LanguageSnapshot, plan: Intervention, estimator: str = "first_order") -> dict[str, Any]:
    """What the scores say of a removal: estimator, and the summed influence of what is removed (None: zero gradient)."""
    about: dict[str, Any] = {"estimator": estimator, "orders": 1, "summed_influence": None}
    try:
        scores = sequence_influence(snapshot, measured_target(snapshot, plan), estimator)
    except ZeroGradientError:
        return about
    return about | {"summed_influence": float(scores.influence[list(plan.removed)].sum())}


def measured_target(snapshot: LanguageSnapshot, plan: Intervention) -> TokenTarget:
    """The target whose change is measured.

    Raises:
        BadInputError: there is none of that name for language models.
    """
    about = plan.measured.about
    if len(about) > 1:
        raise BadInputError(f"an action target of a language model is about one record, not {len(about)}")
    return language_target(snapshot, plan.target, record=about[0] if about else None)


def random_sequences(snapshot: LanguageSnapshot, plan: Intervention, order: int = 0) -> NDArray[np.int64]:
    """The control's draw for one minibatch order: as many kept records as the intervention removes, of no group all."""
    rng = np.random.default_rng([snapshot.config.seed, plan.round, order, len(plan.removed)])
    kept = snapshot.buffer.kept
    wanted = np.count_nonzero(kept[list(plan.removed)])
    shuffled = rng.permutation(np.flatnonzero(kept))
    chosen: NDArray[np.int64] = shuffled[:0]
    for record in shuffled:
        if len(chosen) == wanted:
            break
        chosen = with_one_of_each_group(snapshot, np.append(chosen, record))
    return np.sort(chosen)


def evaluation_prompts(snapshot: LanguageSnapshot, order: int, n: int) -> list[str]:
    """The n prompts that all arms answer in a minibatch order: the held-out ones in turn, or the round's own."""
    found = list(dict.fromkeys((snapshot.validation or snapshot.buffer).prompt))
    return [found[(order * n + i) % len(found)] for i in range(n)]


def _replay_arms(
    snapshot: LanguageSnapshot, plan: Intervention, target: TokenTarget, judge: RewardModel, meter: Meter
) -> Arms:
    """Replay and evaluate every arm in every order."""
    scene = _scene(snapshot, judge)
    n = episodes_per_order(plan)
    rewards: dict[str, list[Float32s]] = {}
    values: dict[str, list[float]] = {}
    for order in range(plan.orders):
        prompts = evaluation_prompts(snapshot, order, n)
        draws: dict[str, Any] = {
            "original": (),
            "counterfactual": plan.removed,
            "control": random_sequences(snapshot, plan, order),
        }
        for arm, drop in draws.items():
            meter.say(f"{arm}, minibatch order {order + 1} of {plan.orders}")
            mode = plan.mode if len(drop) else "mask"
            policy: LanguagePolicy = replay_language(snapshot, drop, mode=mode, order=order, on_step=meter.step).policy
            rewards.setdefault(arm, []).append(scene.rewards(policy, prompts, _luck(order)))
            values.setdefault(arm, []).append(float(target.value(policy).detach()))
            meter.evaluated()
    return {arm: (np.stack(rewards[arm]).astype(np.float64), values[arm]) for arm in rewards}


def _scene(snapshot: LanguageSnapshot, judge: RewardModel) -> Scene:
    """What it takes to reward answers."""
    tokenizer = recorded_tokenizer(snapshot.path or Path())
    return Scene(snapshot.config, snapshot.language, tokenizer, judge, None)


def _luck(block: int) -> np.random.Generator:
    """With which all arms answer a block of prompts."""
    return np.random.default_rng([EVALUATION_SEED, block])


def _recollect(
    snapshot: LanguageSnapshot, plan: Intervention, folder: Path, judge: RewardModel, meter: Meter
) -> dict[str, Any]:
    """Train every arm on with several seeds; the first one's branches are in `folder` already."""
    scene, n = _scene(snapshot, judge), -(-plan.episodes // plan.seeds)
    curves: dict[str, list[Curve]] = {}
    rewards: dict[str, list[Float32s]] = {}
    recorded = {"counterfactual": folder, "control": folder / "control"}
    for seed in range(plan.seeds):
        prompts = evaluation_prompts(snapshot, seed, n)
        draws: dict[str, Any] = {
            "original": (),
            "counterfactual": plan.removed,
            "control": random_sequences(snapshot, plan, seed),
        }
        for name, drop in draws.items():
            meter.say(f"training on, {name}, seed {seed + 1} of {plan.seeds}")
            if seed == 0 and name in recorded:
                curve, policy = _recorded(open_run(recorded[name]))
            else:
                curve, policy = _trained_on(snapshot, plan, drop, seed, judge, meter)
            curves.setdefault(name, []).append(curve)
            rewards.setdefault(name, []).append(scene.rewards(policy, prompts, _luck(seed)))
            meter.evaluated()
    evaluation = {name: np.stack(found).astype(np.float64) for name, found in rewards.items()}
    return dict(summarize(curves, snapshot.round, evaluation))


def _recorded(branch: Run) -> tuple[Curve, LanguagePolicy]:
    """A branch's mean rewards after its first round, and its final policy."""
    last = branch.checkpoint(branch.config.rounds)
    parameters = {name.removeprefix("parameter/"): t for name, t in last.items() if name.startswith("parameter/")}
    language = branch.language_snapshot(branch.rounds[0].round).language
    curve = [info.metrics["mean_return"] for info in branch.rounds[1:]]
    return curve, policy_at(branch.config, language, branch.path, parameters)


def _trained_on(
    snapshot: LanguageSnapshot, plan: Intervention, drop: Any, seed: int, judge: RewardModel, meter: Meter
) -> tuple[Curve, LanguagePolicy]:
    """An arm trained on without recording it; the same seed is the same luck in every arm, 0 that of the run itself."""
    mode = plan.mode if len(drop) else "mask"
    replayed = replay_language(snapshot, drop, mode=mode, order=seed, on_step=meter.step)
    learner = LanguageLearner.after(replayed, snapshot.path or Path(), judge)
    if seed:
        learner.reseed(np.random.default_rng([snapshot.config.seed, snapshot.round, seed, RECOLLECTION_SEED]))
    keep = partial(filtered, record_filter=make_filter(snapshot.config, snapshot.language))
    rounds = train_on(learner, learner.round + plan.continue_rounds, keep, meter.step)
    return [later.metrics["mean_return"] for later in rounds], learner.policy


def _record_branch(
    run: Run,
    snapshot: LanguageSnapshot,
    removed: NDArray[np.int64],
    out: Path,
    plan: Intervention,
    judge: RewardModel,
    meter: Meter,
) -> list[dict[str, Any]]:
    """Make the run that follows from the removal; returns its curve."""
    rounds = branch_language(
        intervene_language(snapshot, removed, mode=plan.mode),
        out,
        parent=Parent(run.name, plan.round, tuple(int(i) for i in removed), plan.mode, snapshot.hash),
        continue_rounds=plan.continue_rounds,
        record_filter=make_filter(snapshot.config, snapshot.language),
        reward_model=judge,
        on_step=meter.step,
    )
    curve = []
    for later in rounds:
        meter.say(f"training on without {len(removed)} records, round {later.round}")
        curve.append({"round": later.round, "mean_return": later.metrics["mean_return"]})
    return curve

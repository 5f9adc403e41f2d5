"""Retrain a round without chosen records, against the original and a control (paper, section 4.3)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from engine.attribution.naming import TargetName
from engine.attribution.targets import Target, named_target
from engine.envs import find
from engine.errors import BadInputError
from engine.intervention.comparison import Estimate, compare
from engine.intervention.filtering import make_filter
from engine.intervention.recollect import Continued, evaluate, recorded_arm, summarize, train_arm_on
from engine.learning.checkpoint import same_machine
from engine.learning.evaluation import Evaluator
from engine.learning.normalization import normalizer_at
from engine.learning.replay import Mode, check_replayable, intervene, replay
from engine.learning.training import branch
from engine.store.derived import write_json
from engine.store.files import Files
from engine.store.manifest import Parent
from engine.store.read import Run, open_run
from engine.store.sequences import LanguageSnapshot
from engine.store.snapshot import Snapshot, check_records

RESULT_FILE = "result.json"
PARTIAL = ".partial"
"""End of the hidden name that a branch has until it is whole."""
EVALUATION_SEED = 10_000_000
"""Evaluation seeds start here, far from training's."""

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, total); raise from it to cancel."""


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """What to remove and how to look at the outcome. Equal interventions have equal results."""

    round: int
    removed: tuple[int, ...]
    """Record numbers; kept sorted and unique."""
    mode: Mode = "mask"
    orders: int = 8
    """Replays per arm, each with a minibatch order of its own; the first is the recorded one."""
    episodes: int = 64
    """Evaluation episodes per arm, divided over the orders."""
    continue_rounds: int = 0
    """Rounds that the branch trains on after the replayed one."""
    seeds: int = 1
    """Times that every arm trains on, each with newly collected data; the first goes on as the run itself did."""
    target: str = "return"
    """Target whose change is measured beside the return: `return` or `action`. What follows says more of it, as
    `naming.TargetName` does."""
    about: int | tuple[int, ...] | None = None
    """Record, or records, that an action target is about."""
    action: float | tuple[float, ...] | None = None
    """Its action, if another than the recorded one."""
    of_round: int | None = None
    """Round whose buffer a return target is taken over, if another than this one."""
    observation: float | tuple[float, ...] | None = None
    """Hand-typed state that an action target is about in the place of records."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "removed", tuple(sorted(set(self.removed))))
        for name, value in self.measured.plain().items():
            object.__setattr__(self, name, value)
        if not self.removed:
            raise BadInputError("no records are chosen; choose at least one to remove")
        if self.orders < 2:
            raise BadInputError(f"orders is {self.orders}; at least 2 are needed for an interval")
        if self.episodes < self.orders:
            raise BadInputError(f"episodes is {self.episodes}; at least one per order ({self.orders}) is needed")
        if self.continue_rounds < 0:
            raise BadInputError(f"continue_rounds is {self.continue_rounds}; it must be 0 or more")
        if self.seeds < 1:
            raise BadInputError(f"seeds is {self.seeds}; it must be at least 1, and at least 2 for an interval")
        if self.seeds > 1 and not self.continue_rounds:
            raise BadInputError(
                f"seeds is {self.seeds}, but there are no rounds to train on; set continue_rounds to 1 or more"
            )
        if self.episodes < self.seeds:
            raise BadInputError(f"episodes is {self.episodes}; at least one per seed ({self.seeds}) is needed")

    @property
    def measured(self) -> TargetName:
        """The target whose change is measured."""
        return TargetName(**{field.name: getattr(self, field.name) for field in fields(TargetName)})

    def to_json(self) -> dict[str, Any]:
        """Plain values; those that plans did not have at first are left out where they say nothing."""
        values = asdict(self)
        said = {
            "seeds": self.seeds > 1,
            "of_round": self.of_round is not None,
            "observation": self.observation is not None,
        }
        return {name: value for name, value in values.items() if said.get(name, True)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Intervention:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: it is not such an object.
        """
        return cls(**{**values, "removed": tuple(values["removed"])})


def retrain(
    run: Run | str | Path,
    round: int,
    drop: Sequence[int] | NDArray[Any],
    out: str | Path,
    *,
    mode: Mode = "mask",
    orders: int = 8,
    episodes: int = 64,
    continue_rounds: int = 0,
    seeds: int = 1,
    target: str = "return",
    about: int | tuple[int, ...] | None = None,
    action: float | tuple[float, ...] | None = None,
    of_round: int | None = None,
    observation: float | tuple[float, ...] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Replay a round without some records and compare, on the same evaluation seeds, with two other arms.

    The three arms are the original round, the round without the chosen records, and a control: the round without as
    many random records, drawn anew for every replay. Each arm is replayed in `orders` minibatch orders, because a
    single replay is mostly order noise. The branch written to `out` is the counterfactual in the recorded order.

    >>> import engine
    >>> outcome = engine.retrain("sample_runs/FrozenLake-v1", 3, [17, 40], "runs/without-two")
    >>> outcome["verdict"]

    Args:
        run: the parent run.
        round: its round k.
        drop: record numbers to remove.
        out: folder of the branch run to make.
        mode: `mask` or `rebatch`, see `replay`.
        orders: replays per arm.
        episodes: evaluation episodes per arm.
        continue_rounds: further rounds to train in the branch, and in a control branch beside it.
        seeds: how often every arm, the original too, is trained on with newly collected data. The first seed goes on as the
            run itself did, and its branches are the ones that are recorded; the others replay another minibatch order and
            begin new episodes, with the same luck in every arm.
        target: whose change is measured beside the return: `return`, or `action` of the record `about`.
        about: record, or records, of an action target.
        action: its action, if another than the recorded one.
        of_round: round whose buffer a return target is taken over, if another than this one.
        observation: hand-typed state of an action target, in the place of `about`.
        progress: told what is going on; raise from it to cancel.

    Returns:
        What `result.json` in `out` holds: `original, counterfactual, control` and the differences (mean, low, high,
        episodes), `verdict`, `removed`, `target` (how f itself changed), `curves` if rounds were continued, `recollected`
        (see `recollect.summarize`) if they were with several seeds, `run`.

    Raises:
        BadInputError: nothing or everything would be removed, a record is out of range, the round is not there.
    """
    run = run if isinstance(run, Run) else open_run(run)
    plan = Intervention(
        round=round,
        removed=tuple(np.asarray(drop).tolist()),
        mode=mode,
        orders=orders,
        episodes=episodes,
        continue_rounds=continue_rounds,
        seeds=seeds,
        target=target,
        about=about,
        action=action,
        of_round=of_round,
        observation=observation,
    )
    return carry_out(run, plan, out, progress)


def carry_out(run: Run, plan: Intervention, out: str | Path, progress: Progress | None = None) -> dict[str, Any]:
    """`retrain`, with the plan made already."""
    snapshot = run.snapshot(plan.round)
    removed = check_records(plan.removed, len(snapshot.buffer))
    snapshot.without(removed)
    check_replayable(snapshot)
    target = named_target(snapshot, plan.measured)
    meter = Meter(progress, snapshot, plan)
    with appears_at_once(Path(out)) as folder:
        result: dict[str, Any] = {"run": str(out), "parent": run.name}
        result |= compare_arms(snapshot, plan, target, meter)
        branches = {"counterfactual": removed}
        if plan.continue_rounds:
            branches["control"] = random_removal(snapshot, plan)
            result["curves"] = {"original": curve_of(run, plan.round, plan.continue_rounds)}
        for name, records in branches.items():
            meter.say(f"recording the {name} branch")
            place = folder if name == "counterfactual" else folder / name
            curve = _record_branch(run, snapshot, records, place, plan, meter)
            if plan.continue_rounds:
                result["curves"][name] = curve
        if plan.seeds > 1:
            result["recollected"] = _recollect(snapshot, plan, folder, meter)
        write_json(folder / RESULT_FILE, result)
    return result


@contextmanager
def appears_at_once(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out`, made at once, that takes its name when everything in it is written, else vanishes.

    Raises:
        BadInputError: there is something at `out`.
        StorageError: the disk refused.
    """
    files = Files()
    partial = out.with_name(f".{out.name}.{uuid4().hex}{PARTIAL}")
    _check_free(out)
    files.make_folder(partial)
    try:
        yield partial
        _check_free(out)
        files.rename(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_free(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise BadInputError(f"{out} is there already; choose another folder for the branch")


def compare_arms(snapshot: Snapshot, plan: Intervention, target: Target, meter: Meter) -> dict[str, Any]:
    """Replay the round in all arms and orders, and compare: what a result says of the round itself, without branches."""
    arms = _replay_arms(snapshot, plan, target, meter)
    return {
        "env_id": snapshot.config.env_id,
        "same_machine": same_machine(snapshot.fingerprint),
        **compared(plan, len(snapshot.buffer), arms),
    }


Arms = Mapping[str, tuple[NDArray[np.float64], list[float]]]
"""Arm -> (orders, episodes per order) returns, and per order f(theta(k+1)) of the measured target."""


def compared(plan: Intervention, records: int, arms: Arms) -> dict[str, Any]:
    """What a result says of three arms that were replayed and evaluated.

    Args:
        plan: the intervention.
        records: in the round.
        arms: `original`, `counterfactual`, `control`.
    """
    return {
        "round": plan.round,
        "removed": list(plan.removed),
        "records": records,
        "mode": plan.mode,
        "orders": plan.orders,
        "evaluation_seeds": [EVALUATION_SEED, EVALUATION_SEED + episodes_per_order(plan) * plan.orders - 1],
        **compare(arms["original"][0], arms["counterfactual"][0], arms["control"][0]),
        "order_means": {name: returns.mean(axis=1).tolist() for name, (returns, _) in arms.items()},
        "target": {"name": plan.target, "about": plan.about, "action": plan.action, "of_round": plan.of_round}
        | {
            name: Estimate.of(np.asarray(values) - np.asarray(arms["original"][1]), 0).to_json()
            for name, (_, values) in arms.items()
            if name != "original"
        }
        | {"order_values": {name: values for name, (_, values) in arms.items()}},
    }


def _replay_arms(snapshot: Snapshot, plan: Intervention, target: Target, meter: Meter) -> Arms:
    """Replay and evaluate every arm in every order."""
    per_order = episodes_per_order(plan)
    normalizer = normalizer_at(snapshot.config, snapshot.checkpoint)
    evaluator = Evaluator(find(snapshot.config.env_id), normalizer)
    returns: dict[str, list[NDArray[np.float64]]] = {}
    values: dict[str, list[float]] = {}
    try:
        for order in range(plan.orders):
            draws: dict[str, Any] = {
                "original": (),
                "counterfactual": plan.removed,
                "control": random_removal(snapshot, plan, order),
            }
            seeds = EVALUATION_SEED + order * per_order + np.arange(per_order)
            for arm, drop in draws.items():
                meter.say(f"{arm}, minibatch order {order + 1} of {plan.orders}")
                mode = plan.mode if len(drop) else "mask"
                replayed = replay(snapshot, drop, mode=mode, order=order, on_step=meter.step)
                returns.setdefault(arm, []).append(evaluator.returns(replayed.agent, seeds, meter.check))
                values.setdefault(arm, []).append(float(target.value(replayed.policy).detach()))
                meter.evaluated()
    finally:
        evaluator.close()
    return {arm: (np.stack(returns[arm]), values[arm]) for arm in returns}


def _record_branch(
    run: Run, snapshot: Snapshot, removed: NDArray[np.int64], out: Path, plan: Intervention, meter: Meter
) -> list[dict[str, Any]]:
    """Make the run that follows from the removal; returns its curve."""
    parent = Parent(
        run=run.name,
        round=plan.round,
        removed=tuple(int(i) for i in removed),
        mode=plan.mode,
        commit=snapshot.hash,
    )
    rounds = branch(
        intervene(snapshot, removed, mode=plan.mode),
        out,
        parent=parent,
        continue_rounds=plan.continue_rounds,
        record_filter=make_filter(snapshot.config),
        on_step=meter.step,
    )
    curve = []
    for later in rounds:
        meter.say(f"training on without {len(removed)} records, round {later.round}")
        curve.append({"round": later.round, "mean_return": later.metrics["mean_return"]})
    return curve


def _recollect(snapshot: Snapshot, plan: Intervention, folder: Path, meter: Meter) -> dict[str, Any]:
    """Train every arm on with several seeds; the first one's branches are in `folder` already."""
    arms: dict[str, list[Continued]] = {
        "original": [],
        "counterfactual": [recorded_arm(open_run(folder))],
        "control": [recorded_arm(open_run(folder / "control"))],
    }
    for name, found in arms.items():
        for seed in range(len(found), plan.seeds):
            drop: dict[str, Any] = {
                "original": (),
                "counterfactual": plan.removed,
                "control": random_removal(snapshot, plan, seed),
            }

            def say(round: int, doing: str = f"training on, {name}, seed {seed + 1} of {plan.seeds}") -> None:
                meter.say(f"{doing}, round {round}")

            mode = plan.mode if name != "original" else "mask"
            found.append(
                train_arm_on(snapshot, drop[name], mode, plan.continue_rounds, seed, say=say, on_step=meter.step)
            )
    per_seed = -(-plan.episodes // plan.seeds)
    meter.say("evaluating the policies that were trained on")
    returns = evaluate(snapshot, arms, EVALUATION_SEED, per_seed, meter.check, meter.evaluated)
    curves = {name: [one.returns for one in each] for name, each in arms.items()}
    return dict(summarize(curves, snapshot.round, returns))


def curve_of(run: Run, round: int, rounds: int) -> list[dict[str, Any]]:
    """How the parent itself went on."""
    return [
        {"round": info.round, "mean_return": info.metrics.get("mean_return")}
        for info in run.rounds
        if round < info.round <= round + rounds
    ]


def random_removal(snapshot: Snapshot | LanguageSnapshot, plan: Intervention, order: int = 0) -> NDArray[np.int64]:
    """The control's draw for one minibatch order, or for one seed: as many records as the intervention removes."""
    rng = np.random.default_rng([snapshot.config.seed, plan.round, order, len(plan.removed)])
    kept = snapshot.buffer.kept
    removes = np.count_nonzero(kept[list(plan.removed)])
    return np.sort(rng.choice(np.flatnonzero(kept), removes, replace=False))


def episodes_per_order(plan: Intervention) -> int:
    """Evaluation episodes of an arm in one minibatch order."""
    return -(-plan.episodes // plan.orders)


class Meter:
    """Counts optimizer steps, an evaluation as half an update, and tells a `Progress` a hundred times or so."""

    def __init__(self, progress: Progress | None, snapshot: Snapshot | LanguageSnapshot, plan: Intervention) -> None:
        config = snapshot.config
        self.progress = progress
        self.update_steps = config.n_epochs * -(-config.records_per_round // config.batch_size)
        updates = 3 * plan.orders
        branches = 2 * (1 + plan.continue_rounds) if plan.continue_rounds else 1
        evaluations = updates
        if plan.seeds > 1:
            branches = 3 * plan.seeds * (1 + plan.continue_rounds)
            evaluations += 3 * plan.seeds
        self.total = self.update_steps * (updates + branches) + evaluations * (self.update_steps // 2)
        self.done = 0
        self.doing = "starting"

    def say(self, doing: str) -> None:
        """What is done from now on."""
        self.doing = doing
        self.check()

    def step(self) -> None:
        """An optimizer step begins."""
        self.done += 1
        if self.done % 8 == 0:
            self.check()

    def evaluated(self) -> None:
        """A policy has been evaluated."""
        self.done += self.update_steps // 2
        self.check()

    def check(self) -> None:
        """Tell the progress, which may cancel."""
        if self.progress is not None:
            self.progress(self.doing, min(self.done, self.total), self.total)

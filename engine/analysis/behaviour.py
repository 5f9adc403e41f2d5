"""How the agent came to do this here: pi(a|s) over rounds, and the records behind it (paper, section 4.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.formation import FEATURES, RoundFormation, formation
from engine.analysis.phases import Curves, Phases, phases
from engine.analysis.round_by_round import RoundByRound
from engine.core.chosen_targets import chosen_target
from engine.core.estimators.averaged_over_orders import check_request
from engine.core.estimators.registry import DEFAULT_ESTIMATOR
from engine.core.influence import influence
from engine.core.targets.of_records import ActionTarget
from engine.core.targets.question import Question, TargetName
from engine.errors import BadInputError, EngineError, ZeroGradientError
from engine.kinds.control.blueprint import Blueprint
from engine.kinds.control.control_only import control_only
from engine.store.read import Run, ranges
from engine.store.words import counted
from engine.terminal import Report
from engine.typed import typed

MOST_NAMED = 3
"""Rounds that can't be read up to which each has its own sentence."""
IMPOSSIBLE = 1e-6
"""Pi(a|s) below which the policy as good as never takes the action."""


@dataclass(frozen=True, eq=False)
class Behaviour:
    """How the agent came to take an action in a state."""

    target: ActionTarget
    estimator: str
    checkpoints: tuple[int, ...]
    """k is the policy before round k's update, the last one the final policy."""
    policy: NDArray[np.float64]
    """(checkpoints, actions) pi(.|s); of continuous actions (checkpoints, 2 d), the d means and then the d standard
    deviations."""
    is_discrete: bool
    formation: tuple[RoundFormation, ...]
    """Of every recorded round."""
    phases: Phases
    notes: tuple[str, ...]
    """What must be said: rounds that can't be read or keep no records, a policy that is certain."""

    def __repr__(self) -> str:
        found = self.probability
        changed = "" if found is None or not len(found) else f", pi(a|s) {found[0]:.3g} -> {found[-1]:.3g}"
        return f"Behaviour({counted(len(self.checkpoints), 'checkpoint')}{changed})"

    @property
    def probability(self) -> NDArray[np.float64] | None:
        """(checkpoints,) pi(a|s); None for continuous actions."""
        return self.policy[:, int(self.target.action[0])] if self.is_discrete else None

    def to_json(self) -> dict[str, Any]:
        """Plain values: lists over checkpoints and over recorded rounds."""
        every = self.formation
        described = self.target.describe()
        probability = self.probability
        return {
            "observation": described["observation"][0],
            "action": described["action"][0],
            "estimator": self.estimator,
            "checkpoints": list(self.checkpoints),
            **(
                {"mean_and_deviation": self.policy.tolist()}
                if probability is None
                else {"probability": probability.tolist()}
            ),
            "rounds": [item.round for item in every],
            "magnitude": [item.magnitude for item in every],
            "roughness": [item.roughness for item in every],
            "shuffled_roughness": [item.shuffled for item in every],
            "make_up": {
                name: {
                    "top": [item.top[name] for item in every],
                    "bottom": [item.bottom[name] for item in every],
                    "all": [item.every[name] for item in every],
                }
                for name in FEATURES
            },
            "phases": {
                "found": [vars(stretch) for stretch in self.phases.stretches],
                **self.phases.findings,
                "remarks": list(self.phases.remarks),
            },
            "notes": list(self.notes),
        }


@control_only
def behaviour(
    run: Run,
    target: ActionTarget | TargetName | Question,
    estimator: str = DEFAULT_ESTIMATOR,
    *,
    cache: bool = True,
    report: Report | None = None,
) -> Behaviour:
    """How a behaviour formed over a run: pi(a|s), the make-up of the records behind it, roughness, phases.

    >>> import engine
    >>> run = engine.open_run("sample_runs/FrozenLake-v1")
    >>> found = engine.behaviour(run, engine.action_target(run.snapshot(20), record=1000), cache=False)
    >>> found.phases.findings["saturation"]
    'rounds 20 to 29'

    Args:
        run: one round of it is in memory at a time.
        target: of one state and action, such as `engine.action_target(run.snapshot(12), record=100)`; or the name of a typed
            one, which is of no round, or a `Question` about it, which says the estimator, too.
        estimator: of the influence.
        cache: read from and write to the run's `derived/`.
        report: told how far it is; raise from it to stop, what was found is then kept.

    Raises:
        BadInputError: the target is about several states, or those of another run, there is no such estimator, or no round of
            the run has records.
    """
    if not isinstance(run, Run):
        raise BadInputError(f"a run is needed, not {type(run).__name__}; engine.open_run(folder) opens one")
    if not run.stored_rounds:
        raise BadInputError(f"no round of {run.path} has records; export a copy that keeps some, or train it again")
    if isinstance(target, Question):
        asked = target.alone(beside=estimator != DEFAULT_ESTIMATOR)
        if asked.orders > 1 or asked.by_layer:
            raise BadInputError(
                "a behaviour is followed in the recorded minibatch order, and not by layer; ask for neither"
            )
        target, estimator = asked.target, asked.estimator
    check_request(estimator, 1)
    if isinstance(target, str) or (isinstance(target, TargetName) and not target.observation):
        raise BadInputError(
            "a behaviour is one state and action; give engine.action_target(run.snapshot(k), record=i), or the name of a "
            "typed state and action"
        )
    target = chosen_target(run.snapshot(run.stored_rounds[0]), target)
    if not isinstance(target, ActionTarget) or len(target.action) != 1:
        raise BadInputError("a behaviour is one state and action; name one record")
    curve, formed = policy_curve(run, target, cache=cache), formation(run, target, estimator, cache=cache)
    for what, stream in (("the policy of every round", curve), ("the records of every round", formed)):
        for _ in stream:
            if report is not None:
                report(what, *stream.progress)
    return as_behaviour(curve, formed, target, estimator)


def as_behaviour(
    curve: RoundByRound[tuple[float, ...]],
    formed: RoundByRound[RoundFormation],
    target: ActionTarget,
    estimator: str = DEFAULT_ESTIMATOR,
) -> Behaviour:
    """What has been found so far as one whole.

    Raises:
        EngineError: none of the rounds can be read; says why not the first one.
    """
    for rounds in (curve, formed):
        if not rounds.found and not rounds.missing and rounds.failed:
            raise EngineError(rounds.failed[min(rounds.failed)])
    run, discrete = formed.run, formed.run.manifest.action_space.kind == "discrete"
    every = tuple(item for _, item in formed.in_order)
    action = int(target.action[0]) if discrete else 0
    of_action = {number: row[action] if discrete else math.nan for number, row in curve.found.items()}
    probability = np.array([of_action.get(item.round, math.nan) for item in every], np.float64)
    notes = [*unread(curve.failed | formed.failed), *_thinned(run), *_certain(every), *_impossible(every, probability)]
    return Behaviour(
        target,
        estimator,
        tuple(number for number, _ in curve.in_order),
        np.array([row for _, row in curve.in_order], np.float64),
        discrete,
        every,
        phases(_curves(every, probability)),
        tuple(notes),
    )


@control_only
def policy_curve(run: Run, target: ActionTarget, *, cache: bool = True) -> RoundByRound[tuple[float, ...]]:
    """The policy in one state at every checkpoint of the run; iterate to look at those that are not known yet.

    A row is pi(.|s), of continuous actions the means and then the standard deviations.
    """
    state = ActionTarget(target.observation, target.action[:0]).describe()
    blueprint, actions = Blueprint.of(run), run.manifest.action_space
    return RoundByRound(
        run,
        {"what": "the policy in a state", "version": 1, "observation": state["observation"]},
        run.checkpoint_rounds,
        lambda number: _in_state(blueprint.policy(run.checkpoint(number)), target),
        list,
        partial(_numbers, actions.n if actions.kind == "discrete" else 2 * math.prod(actions.shape)),
        cache=cache,
    )


def _numbers(m: int, values: Any) -> tuple[float, ...]:
    """An answer of m numbers; ValueError: it is none."""
    numbers = typed(tuple[float, ...], values)
    if len(numbers) != m:
        raise ValueError(f"{len(numbers)} numbers in the place of {m}")
    return numbers


def _in_state(policy: Any, target: ActionTarget) -> tuple[float, ...]:
    if policy.has_memory:
        raise BadInputError(
            "what a policy with a memory does in a state depends on what each round's own policy remembers; ask which "
            "records made it act so in one round, by the action target"
        )
    output, deviation = policy.action_parameters(target.observation)
    if deviation is None:
        return tuple(output.softmax(-1)[0].tolist())
    return (*output[0].tolist(), *deviation[0].tolist())


def _curves(every: Sequence[RoundFormation], probability: NDArray[np.float64]) -> Curves:
    """What the rule of the phases looks at."""

    def column(values: Sequence[float | None]) -> NDArray[np.float64]:
        return np.array([math.nan if value is None else value for value in values], np.float64)

    action, state, _ = FEATURES
    return Curves(
        rounds=[item.round for item in every],
        probability=probability,
        magnitude=column([item.magnitude for item in every]),
        same_action=column([item.top[action] for item in every]),
        same_action_of_all=column([item.every[action] for item in every]),
        similar_state=column([item.top[state] for item in every]),
        similar_state_of_all=column([item.every[state] for item in every]),
        roughness=column([item.smoothness for item in every]),
    )


def unread(failed: Mapping[int, str]) -> list[str]:
    """What must be said of rounds that can't be read: which, and why."""
    if len(failed) > MOST_NAMED:
        first = min(failed)
        return [f"Rounds {ranges(sorted(failed))} are left out; the first because {failed[first]}"]
    return [f"Round {number} is left out: {why}" for number, why in sorted(failed.items())]


def _thinned(run: Run) -> list[str]:
    kept, every = len(run.stored_rounds), len(run.rounds)
    if kept == every:
        return []
    return [
        f"Only {kept} of the run's {every} rounds keep their records ({ranges(run.stored_rounds)}); the others are gaps."
    ]


def _certain(every: Sequence[RoundFormation]) -> list[str]:
    certain = [item.round for item in every if item.magnitude == 0]
    return [f"In round {ranges(certain)} no record pushes the action: the policy is certain of it."] if certain else []


def _impossible(every: Sequence[RoundFormation], probability: NDArray[np.float64]) -> list[str]:
    never = [item.round for item, p in zip(every, probability, strict=True) if p < IMPOSSIBLE]
    if not never:
        return []
    return [
        f"In round {ranges(never)} the policy as good as never takes the action (π below {IMPOSSIBLE:g}): influence is on "
        "log π, which records can still raise."
    ]


@control_only
def influence_by_action(
    run: Run, estimator: str = DEFAULT_ESTIMATOR, *, cache: bool = True
) -> RoundByRound[tuple[float, ...]]:
    """Summed influence on each round's return target, by the action of the record; iterate to look at rounds not known yet.

    An answer has a number an action: the sum divided by the round's sum of |influence|, in [-1, 1]; zeros where no record
    pushes the return.
    """

    def look(number: int) -> tuple[float, ...]:
        snapshot, actions = run.snapshot(number), run.manifest.action_space.n
        try:
            scores = influence(snapshot, "return", estimator, cache=cache).influence
        except ZeroGradientError:
            return (0.0,) * actions
        sums = np.bincount(snapshot.buffer.action, scores, minlength=actions)
        return tuple((sums / (np.abs(scores).sum() or 1.0)).tolist())

    question = {"what": "influence on the return by action", "version": 1, "estimator": estimator}
    read = partial(_numbers, run.manifest.action_space.n)
    return RoundByRound(run, question, run.stored_rounds, look, list, read, cache=cache)

"""Is a round what it claims to be? Ten questions with exact answers; no policy is played."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.analysis.checks.advantage_rule import Followed, Rule, follow, follow_changing
from engine.analysis.checks.checked import Check, Fault, Read
from engine.analysis.checks.environment_steps import environment_steps
from engine.analysis.checks.landing import landed
from engine.analysis.checks.not_finite_step import not_finite_step
from engine.analysis.checks.reward_sign import EARLIER, reward_sign
from engine.analysis.checks.settings_in_force import settings
from engine.analysis.checks.stated_rule import follow_stated
from engine.analysis.incidents.detect import looks_at_records
from engine.analysis.incidents.unlike import EARLIER_RECORDS, EARLIER_ROUNDS, Unlike
from engine.analysis.not_finite_records import not_finite_records, some
from engine.core.checkpoint import one_thread
from engine.core.kind import kind_of
from engine.core.replays.rebuilt_policy import rebuilt_policy
from engine.core.stated_advantages import StatedAdvantages
from engine.errors import BadInputError
from engine.store.read import Run
from engine.store.snapshot import Snapshot

CLIP = 10.0
"""Size at which rewards are clipped that are divided by their running deviation, here and in Stable-Baselines3."""
CLOSE = 1e-3
"""By which a gamma or lambda that was read off may differ from the declared one."""
BEFORE_UPDATE = "of the checkpoint before the update is not finite"
"""How a check of numbers ends that finds the doing of an earlier update."""
NEAR_VALUE = 0.01
"""How far a recorded value may be from theta(k)'s on another machine, as a share of the values' size."""


def check_round(run: Run, k: int) -> list[Check]:
    """Ask a stored round all of it; its replay and that of the round before are kept in the run's `derived/`.

    >>> import engine
    >>> for check in check_round(engine.open_run("sample_runs/FrozenLake-v1"), 5):
    ...     print(check.name, check.ok)
    numbers True
    policy True
    critic True
    advantages True
    environment True
    records before True
    reward sign True
    settings True
    replay before True
    replay True

    Args:
        run: of any kind.
        k: a round whose records are there.

    Raises:
        BadInputError: the round's records are not stored.
        DamagedRunError: a file is not what was written.
    """
    one_thread()
    read = _reader(run, k)
    snapshot, before = read(k), landed(run, k - 1, "replay before", read)
    return [
        numbers(snapshot, run.checkpoint(k + 1) if run.has_checkpoint(k + 1) else {}),
        policy(snapshot),
        critic(snapshot),
        advantages(snapshot),
        environment_steps(run, snapshot, read),
        records_before(run, k, read),
        reward_sign(run, snapshot, before, read),
        settings(run, snapshot, read),
        before,
        landed(run, k, "replay", read),
    ]


def _reader(run: Run, k: int) -> Read:
    """Reads rounds, and holds those that several checks of round k look at."""
    held: dict[int, Snapshot] = {}

    def read(j: int) -> Snapshot:
        found = held.get(j) or run.snapshot(j)
        if k - EARLIER <= j <= k:
            held[j] = found
        return found

    return read


def numbers(snapshot: Snapshot, after: Mapping[str, NDArray[Any]]) -> Check:
    """Whether all numbers of the round and of `after`, the checkpoint after its update, are finite; `after` may be empty."""
    name, found = "numbers", not_finite_records(snapshot.buffer)
    if found.records:
        return Check(name, False, found.sentence, "numbers", found.records)
    if tensor := _not_finite(snapshot.checkpoint):
        return Check(name, False, f"{tensor} {BEFORE_UPDATE}", "numbers")
    tensor = _not_finite({each: values for each, values in after.items() if each.startswith("parameter/")})
    if not tensor:
        return Check(name, True, "all numbers of the records and of the checkpoints are finite")
    said = f"{tensor} is finite before the update and not after it"
    try:
        step = not_finite_step(snapshot)
    except BadInputError as error:
        return Check(name, False, f"{said}; which step did it can't be told: {error}", "numbers")
    if step is None:
        return Check(name, False, f"{said}; the replay of the update leads to finite parameters", "numbers")
    return Check(name, False, f"{said}; {step.sentence}", "numbers", step.records)


def policy(snapshot: Snapshot) -> Check:
    """Whether the recorded log-probabilities are those of theta(k)."""
    found = rebuilt_policy(snapshot)
    if found.largest is None:
        return Check("policy", None, found.sentence)
    return Check("policy", found.near, found.sentence, None if found.near else "records")


@torch.no_grad()
def critic(snapshot: Snapshot) -> Check:
    """Whether the recorded values are those of theta(k)."""
    name, kind = "critic", kind_of(snapshot)
    try:
        kind.check_loadable(snapshot)
        own = kind.policy(snapshot)
        batch = kind.batch(snapshot, own)
        found = own(batch.inputs, batch.action, True).value
    except BadInputError as error:
        return Check(name, None, str(error))
    recorded = np.asarray(getattr(snapshot.buffer, "value", ()), np.float64)
    if found is None or tuple(found.shape) != recorded.shape:
        return Check(name, None, "values of this kind of run are not compared")
    apart = np.abs(found.cpu().numpy().astype(np.float64) - recorded)
    wrong = np.flatnonzero(~(apart <= NEAR_VALUE * max(float(np.abs(recorded).max()), 1e-6)))
    if not len(wrong):
        return Check(name, True, f"the recorded values are those of the critic within {apart.max(initial=0):.2g}")
    said = (
        f"the recorded values are not the critic's: {_share(wrong, len(recorded))} differ, by up to {apart.max():.2g}"
    )
    return Check(name, False, said, "critic", _if_some(wrong, len(recorded)))


def advantages(snapshot: Snapshot) -> Check:
    """Whether the advantages follow from rewards and values, with the gamma and lambda of the settings, or as these say."""
    name, config = "advantages", snapshot.config
    if (stated := kind_of(snapshot).stated_advantages(snapshot)) is not None:
        return _as_stated(stated, len(snapshot.buffer))
    try:
        steps = kind_of(snapshot).advantage_steps(snapshot)
    except BadInputError as error:
        return Check(name, None, str(error))
    declared = Rule(config.gamma, config.gae_lambda, 1.0)
    if config.normalize_reward:
        found = follow_changing(steps, declared, CLIP)
    else:
        found = follow(steps, declared, np.random.default_rng([config.seed, snapshot.round]))
    if not found.steps:
        return Check(name, None, "no step of the round tells what its advantage was made of")
    with_what = f"gamma {config.gamma:g} and lambda {config.gae_lambda:g}"
    fault, said = _fault_of(found, declared)
    if fault is None:
        return Check(name, True, f"they follow from rewards and values with {with_what}")
    return Check(
        name, False, f"{said}; the settings say {with_what}", fault, _if_some(found.wrong, len(snapshot.buffer))
    )


def _as_stated(stated: StatedAdvantages, n: int) -> Check:
    """Of n records whose advantages follow from rewards alone."""
    rule, found = next(iter(stated.by_rule)), follow_stated(stated)
    if found.fault is None:
        return Check("advantages", True, f"they follow from the rewards: each is its {rule}")
    said = found.what or f"advantages do not follow from the rewards in records {some(found.wrong)}"
    return Check(
        "advantages", False, f"{said}; by the settings each is its {rule}", found.fault, _if_some(found.wrong, n)
    )


def _fault_of(found: Followed, declared: Rule) -> tuple[Fault | None, str]:
    """What is wrong with what advantages follow, in words."""
    rule = found.rule
    if rule is None:
        return "advantages", "most advantages follow from no gamma, lambda and factor of the rewards"
    if rule.reward_factor < 0:
        return "environment", "advantages were computed from rewards of the other sign"
    changing = declared.reward_factor != rule.reward_factor and rule.coefficients[::2] == declared.coefficients[::2]
    differ = [
        f"{what} {of_rule:g}"
        for what, of_rule, wanted in (
            ("gamma", rule.gamma, declared.gamma),
            ("lambda", rule.gae_lambda, declared.gae_lambda),
            ("rewards times", rule.reward_factor, declared.reward_factor),
        )
        if not (math.isnan(of_rule) or abs(of_rule - wanted) <= CLOSE) and not (what == "rewards times" and changing)
    ]
    if differ:
        return "advantages", f"advantages were computed with {' and '.join(differ)}"
    if len(found.wrong):
        return "records", f"advantages do not follow from rewards and values in records {some(found.wrong)}"
    return None, ""


def records_before(run: Run, k: int, read: Read) -> Check:
    """Whether rewards and observations are like those of the rounds before; `read` reads a round."""
    name, looks, unlike = "records before", looks_at_records(run, read=read), Unlike()
    for _ in looks:
        continue
    found = [unlike.see(j, look) for j, look in looks.in_order if j <= k]
    if found and found[-1]:
        return Check(name, False, found[-1][0].reason, "environment")
    if not looks.found[k].columns:
        return Check(name, None, "it has neither rewards nor observations that are compared")
    if not unlike.compared:
        needed = f"{EARLIER_RECORDS} records in {EARLIER_ROUNDS} rounds before, the last of them among these"
        return Check(name, None, f"too few records are stored to compare with; it takes {needed}")
    parts = {"rewards" if each == "reward" else "observations": None for each in unlike.compared}
    return Check(name, True, f"{' and '.join(parts)} are like those of the rounds before")


def _not_finite(tensors: Mapping[str, NDArray[Any]]) -> str:
    """The first tensor that is not finite; empty where all are."""
    floats = ((name, values) for name, values in tensors.items() if values.dtype.kind == "f")
    return next((name for name, values in floats if not np.isfinite(values).all()), "")


def _share(records: NDArray[np.integer], n: int) -> str:
    return f"all {n:,} records" if len(records) == n else f"{len(records):,} of {n:,} records"


def _if_some(records: NDArray[np.integer], n: int) -> tuple[int, ...]:
    return () if len(records) == n else tuple(records.tolist())

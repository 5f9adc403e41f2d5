"""The autopsy of a round: is it what it claims to be, was its change real, what would have prevented it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.analysis.checks.checked import Check, fault_named
from engine.analysis.checks.round_checks import check_round
from engine.core.checkpoint import one_thread
from engine.core.evaluation import EVALUATION_SEED
from engine.core.kind import kind_of
from engine.core.policy import with_gradients
from engine.errors import BadInputError
from engine.executors import Pool, Progress, why_no_processes
from engine.intervention.autopsy.arm import Arm
from engine.intervention.autopsy.arms import possible
from engine.intervention.autopsy.autopsy_result import NOT_YET, Autopsy, Change, Verdict
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, EPISODES, Kept, Returns
from engine.intervention.autopsy.next_step import next_step
from engine.intervention.autopsy.on_records import REPLAYED, ask, kept_numbers, on_records, why_silent
from engine.intervention.autopsy.order_of_play import missing
from engine.intervention.autopsy.play import play, why_unplayed
from engine.intervention.autopsy.played_arms import (
    PlayedArm,
    cause_of,
    change,
    played,
    recorded,
    remedy_of,
)
from engine.intervention.autopsy.read_sequences import ask_moves, kept_moves, to_read
from engine.intervention.autopsy.watched_episodes import Watched, of_records, of_seeds
from engine.store.read import Run, open_run, ranges
from engine.store.snapshot import Snapshot


@with_gradients
def autopsy(
    run: Run | str | Path,
    round: int,
    *,
    episodes: int = EPISODES,
    executor: str | None = None,
    workers: int | None = None,
    cache: bool = True,
    progress: Progress | None = None,
) -> Autopsy:
    """What happened between theta(k) and theta(k+1), and what would have prevented it.

    >>> import engine
    >>> found = engine.autopsy("sample_runs/FrozenLake-v1", 19)
    >>> found.verdict
    'not real'

    Args:
        run: a run, or its folder.
        round: k, whose records are stored.
        episodes: of the policies before and after the update; arms have half as many, all on the same seeds.
        executor: `inline`, `processes` or `ray`; by default `processes`, if other processes can import the program that is
            running. What takes a few seconds is played here in any case. The returns are the same.
        workers: policies at a time; by default one a core.
        cache: keep what is played in the run's `derived/`, and take it from there.
        progress: told what is going on; raise from it to cancel. What is finished is kept.

    Raises:
        BadInputError: the round is not stored, or theta(k+1) is not; or fewer than two episodes are asked for.
        DamagedRunError: a file is not what was written.
    """
    if episodes < 2:
        raise BadInputError(f"episodes is {episodes}; it must be at least 2, for an interval")
    one_thread()
    pool = Pool(executor or ("inline" if why_no_processes() else "processes"), workers)
    pool.check()
    run = run if isinstance(run, Run) else open_run(run)
    snapshot = run.snapshot(round)
    if why := why_no_autopsy(run, round):
        raise BadInputError(why)
    say = progress or (lambda doing, done, total: None)
    returns = Returns(run, round, episodes, cache=cache)
    say("checking the record", len(returns), len(returns) + 1)  # the time left is told from here on
    checks = check_round(run, round)
    numbers, moves = kept_numbers(run, round, cache=cache), kept_moves(run, snapshot, cache=cache)
    arms = arms_of(snapshot, checks)
    if not why_unplayed(snapshot):
        play(run, snapshot, arms, returns, say, pool, checks)
    elif not why_silent(run, snapshot):
        ask(run, snapshot, arms, numbers, say)
    ask_moves(run, snapshot, moves, say)
    return _concluded(run, snapshot, checks, returns, numbers, moves)


def kept_autopsy(run: Run, snapshot: Snapshot, checks: Sequence[Check], *, episodes: int = EPISODES) -> Autopsy:
    """The same of what is known by now, at once: where policies are still to be played, by the checks alone.

    Args:
        run: the run.
        snapshot: its round k, of which `why_no_autopsy` says nothing.
        checks: what `check_round` found.
        episodes: of the policies before and after the update.
    """
    k = snapshot.round
    found = Returns(run, k, episodes), kept_numbers(run, k), kept_moves(run, snapshot)
    return _concluded(run, snapshot, checks, *found)


def why_no_autopsy(run: Run, round: int) -> str:
    """Why a round can't be examined, and which ones can; empty where it can."""
    if run.has_checkpoint(round + 1):
        return ""
    others = [k for k in run.stored_rounds if k + 1 in run.checkpoint_rounds]
    instead = f"ask one of the rounds {ranges(others)}" if others else "no round of this run can be examined"
    return f"the parameters after the update of round {round} were not recorded; {instead}"


def arms_of(snapshot: Snapshot, checks: Sequence[Check] = ()) -> list[Arm]:
    """The arms that can be had for a round, of which something may be known."""
    return [arm for arm in possible(snapshot, checks) if not arm.why_not]


def _left_out(snapshot: Snapshot, checks: Sequence[Check], kept: Kept) -> dict[str, str]:
    """Arms that can't be had with the reason, also those of which that was seen as they were to be played."""
    whys = {arm.name: arm.why_not or kept.left_out.get(arm.kept_as, "") for arm in possible(snapshot, checks)}
    return {name: why for name, why in whys.items() if why}


def _unsaid(snapshot: Snapshot, checks: Sequence[Check], numbers: Kept, silent: str) -> dict[str, str]:
    """What replays don't say where nothing is played, with the reason."""
    if silent:
        return {"what replays say of later records": silent}
    return {name: why for name, why in _left_out(snapshot, checks, numbers).items() if name in REPLAYED}


def _concluded(
    run: Run, snapshot: Snapshot, checks: Sequence[Check], returns: Returns, numbers: Kept, moves: Kept
) -> Autopsy:
    """What follows from the checks, and from all that can be played, or can be asked of records where nothing can."""
    never, arms = why_unplayed(snapshot), arms_of(snapshot, checks)
    silent = why_silent(run, snapshot) if never else ""
    both = not never and BEFORE in returns and AFTER in returns
    real = _change(run, snapshot.round, returns) if both else None
    fell = real is not None and real.fell
    found = played(arms, returns) if fell else ()
    unsaid = _unsaid(snapshot, checks, numbers, silent) if never else {}
    verdict = verdict_of(checks, real, found)
    return Autopsy(
        run=run.name,
        round=snapshot.round,
        checks=tuple(checks),
        real=real,
        unplayed=never or (NOT_YET if missing(returns, arms) else ""),
        arms=found,
        left_out=_left_out(snapshot, checks, returns) if fell else unsaid,
        verdict=verdict,
        next=next_step(run, snapshot, verdict, any(check.ok is False for check in checks), remedy_of(verdict, found)),
        recorded=recorded(returns) if found else (),
        on_records=on_records(run, snapshot.round, arms, numbers) if never and not silent else (),
        watch=of_records(snapshot) if never else () if real is None else _watch(snapshot, returns),
        read=to_read(snapshot, moves, checks),
    )


def _watch(snapshot: Snapshot, returns: Returns) -> tuple[Watched, ...]:
    """Episodes of the two policies, where seeds are episodes."""
    return of_seeds(returns[BEFORE], returns[AFTER], EVALUATION_SEED) if kind_of(snapshot).has_states else ()


def verdict_of(checks: Sequence[Check], real: Change | None, arms: Sequence[PlayedArm]) -> Verdict:
    """A fault of the record first, then whether there was a fall at all, then its cause; `unexplained` where nobody knows.

    `played_arms.cause_of` says how causes are compared.
    """
    if (fault := fault_named(checks)) is not None:
        return fault
    if real is None:
        return "unexplained"
    if not real.fell:
        return "not real"
    return cause_of(arms) or "unexplained"


def _change(run: Run, k: int, returns: Returns) -> Change:
    """What the recorded update did."""
    training = {info.round: info.metrics for info in run.rounds}
    of_both = [training.get(j, {}) for j in (k, k + 1)]
    return Change(
        change(returns),
        float(returns[BEFORE].mean()),
        float(returns[AFTER].mean()),
        returns.episodes,
        (EVALUATION_SEED, EVALUATION_SEED + returns.episodes - 1),
        (of_both[0].get("mean_return"), of_both[1].get("mean_return")),
        _noise(of_both),
    )


def _noise(metrics: Sequence[Mapping[str, Any]]) -> float | None:
    """Standard error of the difference of two rounds' mean returns; None where they have none."""
    variance = 0.0
    for each in metrics:
        deviation, episodes = each.get("std_return"), each.get("episodes")
        if deviation is None or not episodes:
            return None
        variance += deviation**2 / episodes
    return math.sqrt(variance)

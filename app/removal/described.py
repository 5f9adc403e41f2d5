"""What an intervention is about, in words: what was done to which records, how they were chosen, what it was looked at by."""

from __future__ import annotations

from app.scores.target_controls import in_words as target_in_words
from app.shell import kinds
from engine.core.replays.replay import mode_name
from engine.core.targets.question import averaged_name
from engine.intervention.comparison import verdict_name
from engine.intervention.origin import in_words
from engine.jobs.interventions import InterventionJob
from engine.store.read import Run

NOT_KEPT = "not kept"


def title(job: InterventionJob) -> str:
    """What was done: `Round 50 without 475 records`; plain text."""
    return f"Round {job.plan.round} {job.plan.in_words()}"


def option(run: Run, job: InterventionJob) -> str:
    """The same with what came of it, where one is chosen from many; the id tells equal ones apart."""
    verdict = verdict_name(None if job.result is None else job.result.verdict)
    chosen = f" · {selection(run, job)}" if job.chosen else ""
    return f"{title(job)}: {verdict}{chosen} ({job.id[:4]})"


def selection(run: Run, job: InterventionJob) -> str:
    """How the records were chosen; plain text."""
    return in_words(job.chosen, run.manifest.action_space.value_names)


def looked_at_by(run: Run, job: InterventionJob) -> str:
    """The target, and the estimator whose scores were shown; plain text."""
    target = target_in_words(job.plan.measured, run.manifest.action_space.value_names)
    return f"target: {target} · estimator: {estimator(job)}"


def estimator(job: InterventionJob) -> str:
    """Whose scores foretold what would come of it; plain text."""
    name, orders = job.metadata.get("estimator"), job.metadata.get("orders", 1)
    if not isinstance(name, str):
        return NOT_KEPT
    return averaged_name(name, orders) if isinstance(orders, int) else name


def settings(run: Run, job: InterventionJob) -> str:
    """How it is replayed and played; plain text."""
    plan = job.plan
    played = job.result is None or "unplayed" not in job.result
    answers = f"{plan.episodes} {kinds.words(run).episodes} per arm" if played else "nothing played"
    more = f", then {plan.continue_rounds} more rounds" if plan.continue_rounds else ""
    more += f" with {plan.seeds} seeds" if plan.seeds > 1 else ""
    how = "TD errors in the place of advantages" if plan.repair else f"mode {mode_name(plan.mode)}"
    return f"{how}, {plan.orders} minibatch orders, {answers}{more}"

"""What a calculation in the background does; what it finds is kept where pages and commands look for it."""

from __future__ import annotations

from engine.analysis.diagnosis import diagnose
from engine.core.chosen_targets import named_target
from engine.core.faithfulness.measure import validate
from engine.core.influence import influence
from engine.core.replays.replayed_run import verified_round
from engine.core.targets.question import TargetName
from engine.executors import PROCESSES, Pool, Progress
from engine.intervention.autopsy.examine import autopsy
from engine.jobs.questions import Autopsy, Diagnose, Influence, JobQuestion, Replay, Validate
from engine.store.read import Run


def calculate(run: Run, question: JobQuestion, progress: Progress, pool: Pool = PROCESSES) -> None:
    """Answer a question about a round of a run, of whatever kind.

    Raises:
        EngineError: it can't be answered; says why.
    """
    if isinstance(question, Replay):
        verified_round(run, question.round, lambda done, total: progress("replay", done, total))
        return
    if isinstance(question, Autopsy):
        autopsy(
            run,
            question.round,
            episodes=question.episodes,
            executor=pool.executor,
            workers=pool.workers,
            progress=progress,
        )
        return
    snapshot = run.snapshot(question.round)
    target = named_target(snapshot, TargetName.from_plain(question.target))
    match question:
        case Influence():
            influence(
                snapshot,
                question.asked,
                on_step=lambda done, total: progress(question.estimator, done, total),
                refresh=question.refresh,
                pool=pool,
            )
        case Validate():
            validate(
                snapshot,
                target,
                question.estimators,
                subsets=question.subsets,
                orders=question.orders,
                fraction=question.fraction,
                score_orders=question.score_orders,
                pool=pool,
                report=progress,
            )
        case Diagnose():
            diagnose(
                snapshot,
                target,
                question.estimator,
                records=question.records or None,
                rollouts=question.rollouts,
                executor=pool.executor,
                workers=pool.workers,
                report=progress,
            )

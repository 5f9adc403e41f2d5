"""The training loop of language models: collect, filter, yield the snapshot, update, commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.core.checkpoint import one_thread
from engine.core.loop import check_same, record_rounds
from engine.core.training import Filtered
from engine.errors import BadInputError
from engine.kinds.language.advantages import regrouped
from engine.kinds.language.learner import LanguageLearner, origins, state_after
from engine.kinds.language.replay import replay_language
from engine.kinds.language.rewards import RewardModel
from engine.kinds.language.sequences import LanguageSnapshot
from engine.store.commit import RunWriter
from engine.store.manifest import Parent
from engine.store.read import open_run

SequenceFilter = Callable[[LanguageSnapshot], Filtered]


def train_language(
    config: TrainConfig,
    language: LanguageConfig,
    out: str | Path,
    *,
    resume: bool = False,
    record_filter: SequenceFilter | None = None,
    reward_model: RewardModel | None = None,
    on_step: Callable[[], None] | None = None,
) -> Iterator[LanguageSnapshot]:
    """Train a language model and record every round in the run folder `out`.

    Args:
        config: settings that all PPO runs share.
        language: models, prompts, and how sequences are made.
        out: the run folder to make, or with `resume` to continue.
        resume: continue an interrupted run; it goes on bit for bit as if nothing had happened.
        record_filter: which records each update goes without.
        reward_model: in the place of the one that `language.reward` names.
        on_step: called before every optimizer step; raise from it to cancel.

    Yields:
        Each round's snapshot between collect and update. The round is committed after its update, when the next one is
        asked for.

    Raises:
        BadInputError: a model or the prompts can't be used, or `out` is already a run, or not the run of these settings.
        BadNumberError: a reward or a parameter is NaN; earlier rounds are intact.
        LockedRunError: another process is writing this run.
        StorageError: the disk refused; earlier rounds stay readable.
    """
    one_thread()
    out, keep = Path(out), partial(filtered, record_filter=record_filter)
    if resume:
        recorded = open_run(out)
        if recorded.manifest.language is None:
            raise BadInputError("this run is not of a language model; continue it with python -m engine train")
        check_same(recorded.manifest.language, language)
        check_same(recorded.config, config)
        with RunWriter.append(out) as writer:
            run = open_run(out)
            if run.final is not None:
                return
            if run.rounds:
                last = replace(run.language_snapshot(run.rounds[-1].round), named_here=True)
                replayed = replay_language(last)
                learner = LanguageLearner.after(replayed, out, reward_model)
            else:
                learner = LanguageLearner.begin(config, language, out, reward_model)
            yield from record_rounds(learner, writer, config.rounds, keep, on_step)
        return
    learner = LanguageLearner.begin(config, language, out, reward_model)
    with RunWriter.create(out, learner.manifest(), model=learner.model) as writer:
        try:
            yield from record_rounds(learner, writer, config.rounds, keep, on_step)
        except BadInputError:
            writer.withdraw()
            raise


def branch_language(
    snapshot: LanguageSnapshot,
    out: str | Path,
    *,
    parent: Parent,
    continue_rounds: int = 0,
    record_filter: SequenceFilter | None = None,
    reward_model: RewardModel | None = None,
    on_step: Callable[[], None] | None = None,
) -> Iterator[LanguageSnapshot]:
    """Record what follows from an intervened snapshot as a run of its own, as `learning.training.branch` does.

    Args:
        snapshot: the parent's round after `replay.intervene_language`.
        out: the run folder to make.
        parent: what `run.json` says of the origin.
        continue_rounds: further rounds to train; 0 records only the replayed update.
        record_filter: filters the further rounds.
        reward_model: in the place of the one that the settings name.
        on_step: called before every optimizer step; raise from it to cancel.

    Yields:
        The snapshot of every round after the parent's.
    """
    if snapshot.path is None:
        raise BadInputError("a snapshot that is not from a run can't be branched off")
    out, stop, origin = Path(out), snapshot.round + 1 + continue_rounds, open_run(snapshot.path)
    replayed = replay_language(snapshot, on_step=on_step)
    config = replace(snapshot.config, rounds=stop)
    manifest = replace(origin.manifest, **origins(parent), config=config)
    with RunWriter.create(out, manifest, model=origin.model_files()) as writer:
        writer.commit_round(snapshot, {**snapshot.metrics, **asdict(replayed.metrics)})
        if continue_rounds == 0:
            writer.commit_final(stop, state_after(replayed))
            return
        learner = LanguageLearner.after(replayed, out, reward_model)
        learner.scene = replace(learner.scene, config=config)
        yield from record_rounds(learner, writer, stop, partial(filtered, record_filter=record_filter), on_step)


def filtered(snapshot: LanguageSnapshot, record_filter: SequenceFilter | None) -> LanguageSnapshot:
    """The collected round as a filter leaves it; its metrics say how many records went, and why."""
    if record_filter is None:
        return snapshot
    dropped, why, _ = record_filter(snapshot)
    left = regrouped(snapshot.without(dropped)) if len(dropped) else snapshot
    if snapshot.config.filter_mode == "rebatch":
        left = left.gathered()
    return replace(left, metrics={**snapshot.metrics, "dropped": len(dropped), "filter": why})

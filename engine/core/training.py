"""Training of every kind: collect, filter, yield the snapshot, update, commit; to begin, to resume, or as a branch."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from engine.config import TrainConfig
from engine.core.checkpoint import one_thread
from engine.core.filtering import RecordFilter, filtered
from engine.core.kept_rounds import KeptRounds
from engine.core.kind import Kind, Learner, kind_of
from engine.core.policy import with_gradients
from engine.core.replays.replay import replay
from engine.errors import BadInputError
from engine.keep import Keep
from engine.known_kinds import kind_named
from engine.store.commit import RunWriter, check_drops
from engine.store.manifest import KIND_VERSION, Parent, RunManifest
from engine.store.read import Run, open_run
from engine.store.snapshot import Snapshot

Filtered = Callable[[Snapshot], Snapshot]
"""A collected round -> what a filter leaves of it."""


@with_gradients
def train(
    settings: Any,
    out: str | Path,
    *,
    resume: bool = False,
    on_step: Callable[[], None] | None = None,
    keep: Keep | None = None,
    **given: Any,
) -> Run:
    """Train to the end and record every round in the run folder `out`; where the settings name a filter, on a part of each.

    >>> import engine
    >>> run = engine.train(engine.preset("FrozenLake-v1", rounds=2), "runs/short")
    >>> run.stored_rounds
    [0, 1]

    Args:
        settings: what to train: a `TrainConfig` (`engine.preset`), or what `engine.language_settings` gives.
        out: the run folder to make, or with `resume` to continue; or its address on an object store, `s3://bucket/run`.
        resume: continue an interrupted run; it goes on bit for bit as if nothing had happened.
        on_step: called before every optimizer step; raise from it to cancel.
        keep: which rounds keep their records, an `engine.Keep`; by default all of them. A run that is resumed is told it again.
        given: in the place of something that the settings name; language models: `reward_model`.

    Returns:
        The recorded run. `rounds` gives each round while the training goes on.

    Raises:
        BadInputError: `out` is already a run, or not the run of these settings, a model can't be used, or the filter drops
            too much.
        BadNumberError: a reward or a parameter is NaN; earlier rounds are intact.
        LockedRunError: another process is writing this run.
        StorageError: the disk refused; earlier rounds stay readable.
    """
    for _ in rounds(settings, out, resume=resume, on_step=on_step, keep=keep, **given):
        pass
    return open_run(out)


@with_gradients
def rounds(
    settings: Any,
    out: str | Path,
    *,
    resume: bool = False,
    on_step: Callable[[], None] | None = None,
    keep: Keep | None = None,
    **given: Any,
) -> Generator[Any, None, None]:
    """Train as `train` does, one round at a time, as the caller asks for them.

    >>> import engine
    >>> config = engine.preset("FrozenLake-v1", rounds=2, seed=0, filter="iif", drop=0.5)
    >>> for snapshot in engine.rounds(config, "runs/filtered"):
    ...     print(snapshot.round, len(snapshot.buffer), snapshot.metrics["dropped"], snapshot.metrics["filter"])
    0 2048 418 iif: the worst 418 of ... negative records by first_order
    1 2048 4... iif: the worst 4... of ... negative records by first_order

    Wrong settings are refused at once; nothing else happens before the first round is asked for. Where the caller stops
    early, the committed rounds stay, and `resume` goes on from them.

    Args and errors are those of `train`.

    Yields:
        Each round's snapshot between collect and update. The round is committed after its update, when the next one
        is asked for.
    """
    kind = _kind_of_settings(settings)
    kind.check_given(given)
    kind.checked(settings)
    _check_keep(keep)
    return rounds_with(kind.make_filter(settings), settings, out, resume=resume, on_step=on_step, keep=keep, **given)


def rounds_with(
    record_filter: RecordFilter | None,
    settings: Any,
    out: str | Path,
    *,
    resume: bool = False,
    on_step: Callable[[], None] | None = None,
    keep: Keep | None = None,
    **given: Any,
) -> Generator[Any, None, None]:
    """`rounds` with a filter in the place of the one that the settings name."""
    one_thread()
    kind = _kind_of_settings(settings)
    kind.check_given(given)
    _check_keep(keep)
    settings, out = kind.checked(settings), Path(out)
    leave = partial(filtered, record_filter=record_filter)
    if resume:
        run = open_run(out)
        check_same(run, settings)
        if keep is not None:
            check_drops(run.manifest, out)
        with RunWriter.append(out) as writer:
            run.refresh()
            learner = _resumed(kind, settings, run, given)
            kept = None if keep is None else KeptRounds(keep, writer.manifest, run.rounds)
            if learner is not None:
                yield from record_rounds(learner, writer, learner.config.rounds, leave, on_step, kept)
        return
    learner = kind.begin(settings, out, given)
    manifest, kept = learner.manifest(), None
    if keep is not None:
        manifest = replace(manifest, schema_version=KIND_VERSION)
        kept = KeptRounds(keep, manifest)
    with RunWriter.create(out, manifest, model=learner.model) as writer:
        try:
            yield from record_rounds(learner, writer, learner.config.rounds, leave, on_step, kept)
        except BadInputError:
            writer.withdraw()
            raise


def _check_keep(keep: Any) -> None:
    """Refuse what says nothing of which rounds to keep.

    Raises:
        BadInputError: it is no `Keep`.
    """
    if keep is not None and not isinstance(keep, Keep):
        raise BadInputError(f"keep is {keep!r}; it must be an engine.Keep, such as engine.Keep(every=100, last=20)")


def _kind_of_settings(settings: Any) -> Kind:
    """What can be trained with them.

    Raises:
        BadInputError: they are nobody's settings.
    """
    name = getattr(settings, "kind", None)
    config = settings if isinstance(settings, TrainConfig) else getattr(settings, "config", None)
    recorded = isinstance(settings, Run | RunManifest | Snapshot)
    if recorded or not isinstance(name, str) or not isinstance(config, TrainConfig):
        raise BadInputError(
            f"a {type(settings).__name__} is not the settings of a run; engine.preset and engine.language_settings make them"
        )
    kind: Kind = kind_named(name)
    return kind


def _resumed(kind: Kind, settings: Any, run: Run, given: Mapping[str, Any]) -> Learner[Any] | None:
    """The training of an interrupted run after its last round; None where it ended."""
    if run.final is not None:
        return None
    if not run.rounds:
        learner = kind.begin(settings, run.path, given)
        if learner.manifest().environment != run.manifest.environment:
            raise BadInputError(
                f"{run.name} was started in another environment of this name; train into another folder"
            )
        return learner
    replayed = replay(kind.own(run.snapshot(run.rounds[-1].round)))
    return kind.after(replayed.snapshot, replayed.agent, run.path, given)


def branch(
    snapshot: Snapshot,
    out: str | Path,
    *,
    parent: Parent,
    continue_rounds: int = 0,
    on_step: Callable[[], None] | None = None,
    given: Mapping[str, Any] | None = None,
) -> Iterator[Any]:
    """Record what follows from an intervened snapshot as a run of its own.

    The branch begins with the parent's round, its removed records marked as not kept, and trains `continue_rounds`
    further rounds, filtered as the parent's were; random generators and environments go on as they stood in the parent.

    Args:
        snapshot: the parent's round after `replays.replay.intervene`.
        out: the run folder to make.
        parent: what `run.json` says of the origin.
        continue_rounds: further rounds to train; 0 records only the replayed update.
        on_step: called before every optimizer step; raise from it to cancel.
        given: in the place of something that the settings name.

    Yields:
        The snapshot of every round after the parent's.
    """
    one_thread()
    kind, out, stop = kind_of(snapshot), Path(out), snapshot.round + 1 + continue_rounds
    replayed = replay(snapshot, on_step=on_step)
    learner = kind.after(snapshot, replayed.agent, out, given or {}, collects=continue_rounds > 0)
    learner.config = replace(snapshot.config, rounds=stop)
    leave = partial(filtered, record_filter=kind.make_filter(kind.settings(snapshot)))
    with RunWriter.create(out, learner.manifest(parent), model=learner.model) as writer:
        writer.commit_round(snapshot, {**snapshot.metrics, **asdict(replayed.metrics)})
        yield from record_rounds(learner, writer, stop, leave, on_step)


def record_rounds(
    learner: Learner[Any],
    writer: RunWriter,
    stop: int,
    leave: Filtered,
    on_step: Callable[[], None] | None,
    kept: KeptRounds | None = None,
) -> Iterator[Any]:
    """`train_on`, every round and the final state committed to a run, from which `kept` drops what is not to be kept."""

    def commit(snapshot: Snapshot, metrics: Mapping[str, Any]) -> None:
        found = {**snapshot.metrics, **metrics}
        dropped = [] if kept is None else kept.dropped(snapshot.round, found, writer.kept)
        writer.commit_round(snapshot, found, dropped)

    yield from train_on(learner, stop, leave, on_step, commit)
    writer.commit_final(learner.round, learner.state())


def train_on(
    learner: Learner[Any],
    stop: int,
    leave: Filtered,
    on_step: Callable[[], None] | None = None,
    commit: Callable[[Snapshot, Mapping[str, Any]], None] = lambda snapshot, metrics: None,
) -> Iterator[Any]:
    """Collect, `leave` what a filter leaves, yield the snapshot, update, commit, up to round `stop` - 1.

    Without `commit` nothing is recorded.
    """
    while learner.round < stop:
        snapshot = leave(learner.collect())
        yield snapshot
        commit(snapshot, learner.update(snapshot, on_step))


def check_same(run: Run, settings: Any) -> None:
    """Refuse to continue a run with other settings than it was started with.

    Raises:
        BadInputError: names the first that differs.
    """
    if run.kind != settings.kind:
        raise BadInputError(
            f"{run.name} is a run of the kind {run.kind}, and these are settings of the kind {settings.kind}; resume it with "
            "its own, or train into another folder"
        )
    kind: Kind = kind_named(run.kind)
    for name, old, new in _differences(kind.settings(run.manifest), settings):
        raise BadInputError(
            f"this run was started with {name}={old}, not {new}; resume it with the same settings, or train into another folder"
        )


def _differences(recorded: Any, asked: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name and both values of each setting that differs, in settings within settings too."""
    for field in fields(asked):
        old, new = getattr(recorded, field.name), getattr(asked, field.name)
        if is_dataclass(new):
            yield from _differences(old, new)
        elif old != new:
            yield field.name, old, new

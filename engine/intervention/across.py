"""The single-round intervention, repeated at every recorded round by itself (paper, section 4.3 and Fig. 5).

```
<run>/interventions/across/<id>/series.json          what is repeated, at which rounds
<run>/interventions/across/<id>/rounds/000012.json   one finished round; never done again
<run>/interventions/across/<id>/result.json          all rounds and their summary, once all are finished
<run>/interventions/across/<id>/orders.parquet       one row a round and minibatch order: the mean return of each arm
```

`engine.jobs` keeps the first and begins the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from msgspec import Meta

from engine.core.chosen_targets import named_target
from engine.core.estimators.registry import DEFAULT_ESTIMATOR, ESTIMATORS
from engine.core.filtering import bottom_fraction
from engine.core.influence import influence
from engine.core.kind import kind_of
from engine.core.replays.replay import Mode, check_replayable
from engine.core.targets.question import TargetName
from engine.errors import BadInputError, CancelledError, DamagedRunError, EngineError
from engine.executors import PROCESSES, Pool, Progress
from engine.intervention.outcome import RESULT_FILE, is_round_outcome
from engine.intervention.plan import Episodes, Intervention, Orders, ProgressMeter, check_possible
from engine.intervention.retrain import compare_arms
from engine.intervention.series_summary import summarize
from engine.store.documents import read_json, set_aside, write_json
from engine.store.files import Files, inside
from engine.store.read import Run, open_run, ranges
from engine.store.results_table import write_results
from engine.store.snapshot import Snapshot
from engine.typed import Count, settle, typed

ORDERS_FILE = "orders.parquet"


@dataclass(frozen=True, kw_only=True)
class Series:
    """The intervention that is repeated, and where. Equal series have equal results."""

    rounds: Annotated[tuple[Count, ...], Meta(min_length=1)]
    """Kept sorted and unique. Each round is intervened in by itself: its update is replayed from its own snapshot."""
    drop_bottom: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """Share of the records with negative influence that is removed, worst first; 1, as in the paper, is all of them."""
    estimator: Annotated[str, Meta(extra_json_schema={"enum": list(ESTIMATORS)})] = DEFAULT_ESTIMATOR
    """Of the influence on the kind's own target that ranks them: return, or of language models sequence."""
    mode: Mode = "mask"
    orders: Orders = 8
    """Replays per arm and round, each with a minibatch order of its own."""
    episodes: Episodes = 64
    """Evaluation episodes per arm and round, divided over the orders; the same in every round."""

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "rounds", tuple(sorted(set(self.rounds))))
        if self.estimator not in ESTIMATORS:
            names = ", ".join(ESTIMATORS)
            raise BadInputError(f"unknown estimator {self.estimator!r}; it must be one of {names}")
        self._removing((0,), 0, "return")

    def _removing(self, records: Sequence[int], round: int, target: str) -> Intervention:
        return Intervention(
            round=round,
            removed=tuple(records),
            mode=self.mode,
            orders=self.orders,
            episodes=self.episodes,
            measured=TargetName(target=target),
        )

    def at(self, snapshot: Snapshot) -> Intervention:
        """The intervention in one round, the same that `retrain --drop-bottom` makes.

        Raises:
            BadInputError: none can be made: no record has negative influence, all of them have, the target's gradient is
                zero, or the round was recorded without its minibatches.
        """
        check_replayable(snapshot)
        kind = kind_of(snapshot)
        scores = influence(snapshot, None, self.estimator).influence
        if not (scores < 0).any():
            raise BadInputError(f"no record has negative influence on the {kind.default_target}")
        bottom = bottom_fraction(scores, self.drop_bottom).tolist()
        plan = self._removing(bottom, snapshot.round, kind.default_target)
        check_possible(snapshot, plan)
        return plan

    @property
    def settings(self) -> dict[str, Any]:
        """All but the rounds."""
        return {name: value for name, value in asdict(self).items() if name != "rounds"}

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Series:
        """The inverse of `to_json`.

        Raises:
            BadInputError: it is not such an object.
        """
        return typed(cls, values)


def series_of(run: Run, rounds: Sequence[int] | None = None, **settings: Any) -> Series:
    """A series at some rounds of a run, by default all with records.

    Raises:
        BadInputError: a round has no records, or a setting is wrong.
    """
    stored = run.stored_rounds
    if not stored:
        raise BadInputError(f"no round of {run.name} has records; there is nothing to intervene in")
    for k in rounds or ():
        if k not in stored:
            raise BadInputError(f"round {k} has no records in this run; rounds with records are {ranges(stored)}")
    return Series(rounds=tuple(stored if rounds is None else rounds), **settings)


@dataclass(frozen=True)
class RoundTask:
    """One round's intervention, with all that another process needs for it."""

    run: Path
    folder: Path
    cancel: Path
    """A file whose presence ends it."""
    series: Series
    round: int

    def __str__(self) -> str:
        return f"round {self.round}"


def carry_out_series(
    run: Run,
    series: Series,
    folder: Path,
    progress: Progress,
    *,
    cancel: Path,
    pool: Pool = PROCESSES,
) -> dict[str, Any]:
    """Intervene in every round that is not finished yet, and sum up all.

    Args:
        run: the run.
        series: what to repeat.
        folder: where finished rounds are kept, in its folder `rounds`.
        progress: told the rounds that are finished; raise from it to cancel.
        cancel: a file that may appear; it cancels, too, also within a round.
        pool: where rounds are done; on Ray with a folder that all machines share.

    Returns:
        What `result.json` holds: `run`, `env_id`, `series`, `summary` (see `series_summary.summarize`) and `rounds`, each what a
        result of `retrain` says without its branch, or `skipped`: the reason.

    Raises:
        CancelledError: it was cancelled; finished rounds are kept.
        BadInputError: no round could be intervened in.
        EngineError: a round failed; the others are kept.
    """
    commits = {info.round: info.hash for info in run.rounds}
    missing = []
    for k in series.rounds:  # a round that was recorded anew, or whose file can't be understood, is done again
        known, path = read_round(folder, k), _round_file(folder, k)
        if known is not None and known["commit"] == commits.get(k):
            continue
        if path.exists():
            set_aside(path)
        missing.append(k)
    total = len(series.rounds)
    done = total - len(missing)
    progress(f"{done} of {total} rounds are finished" if done else "beginning", done, total)
    tasks = [RoundTask(run.path.resolve(), folder.resolve(), cancel.resolve(), series, k) for k in missing]
    try:
        for task, _ in pool.run(intervene_at, tasks):
            done += 1
            progress(f"{task} is finished", done, total)
    except EngineError:
        if cancel.exists():
            raise CancelledError("cancelled; finished rounds are kept") from None
        raise
    return _summed_up(run, series, folder)


def intervene_at(task: RoundTask) -> None:
    """Carry out one round's intervention and keep what came of it.

    Raises:
        CancelledError: the file that cancels appeared.
        EngineError: the round is damaged, or the disk refused.
    """

    def watch(_doing: str, _done: int, _total: int) -> None:
        if task.cancel.exists():
            raise CancelledError("cancelled")

    watch("", 0, 1)
    snapshot = open_run(task.run).snapshot(task.round)
    try:
        plan = task.series.at(snapshot)
    except BadInputError as reason:
        found: dict[str, Any] = {"round": task.round, "skipped": str(reason)}
    else:
        kind = kind_of(snapshot)
        if unplayed := kind.unplayed(snapshot):
            raise BadInputError(unplayed)
        evaluation = kind.evaluation(snapshot, {})
        try:
            found = compare_arms(
                snapshot, plan, named_target(snapshot), evaluation, ProgressMeter(watch, snapshot, plan)
            )
        finally:
            evaluation.close()
        found["removed_count"] = len(found.pop("removed"))
    write_json(_round_file(task.folder, task.round), found | {"commit": snapshot.hash})


def _round_file(folder: Path, k: int) -> Path:
    return inside(folder, "rounds", f"{k:06d}.json")


def read_round(folder: Path, k: int) -> dict[str, Any] | None:
    """A finished round, or None where there is none that can be understood."""
    try:
        document = read_json(_round_file(folder, k))
    except DamagedRunError:
        return None
    if document is None or not is_round_outcome(document.values):
        return None
    found: dict[str, Any] = document.values
    return found if found["round"] == k and "commit" in found else None


def _summed_up(run: Run, series: Series, folder: Path) -> dict[str, Any]:
    """Write `result.json` and `orders.parquet`."""
    rounds = [found for k in series.rounds if (found := read_round(folder, k)) is not None]
    carried_out = [found for found in rounds if "skipped" not in found]
    if not carried_out:
        raise BadInputError(f"no round of {run.name} can be intervened in: {rounds[0]['skipped']}")
    result = {
        "run": run.name,
        "env_id": run.manifest.env_id,
        "seed": run.config.seed,
        "series": series.to_json(),
        "summary": summarize(rounds),
        "rounds": rounds,
    }
    files = Files()
    write_results(inside(folder, ORDERS_FILE), orders_table(carried_out), files)
    write_json(inside(folder, RESULT_FILE), result, files)
    return result


def orders_table(rounds: Sequence[Mapping[str, Any]]) -> pa.Table:
    """One row a round and minibatch order: the mean return of each arm over that order's evaluation episodes."""
    means = [found["order_means"] for found in rounds]
    arms = {name: np.concatenate([each[name] for each in means]) for name in means[0]}
    orders = [np.arange(len(each["original"]), dtype=np.int32) for each in means]
    numbers = [np.full(len(order), found["round"], np.int32) for found, order in zip(rounds, orders, strict=True)]
    return pa.table({"round": np.concatenate(numbers), "order": np.concatenate(orders), **arms})

"""Falls of trainings whose learning rate is too high: what their autopsies say, and what really happens with other luck."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.kind import kind_of
from engine.core.training import train
from engine.envs import with_settings
from engine.errors import BadNumberError
from engine.executors import Pool, Progress
from engine.experiments.faultlab.kept_cell import KeptCell, finish
from engine.experiments.faultlab.lab import PRESET
from engine.intervals import Interval
from engine.intervention.autopsy.arm import Arm, Cause
from engine.intervention.autopsy.arms import possible
from engine.intervention.autopsy.autopsy_result import Verdict
from engine.intervention.autopsy.examine import autopsy
from engine.intervention.autopsy.kept_returns import EPISODES
from engine.store.read import Run, open_run
from engine.store.snapshot import Snapshot
from engine.typed import AtLeastOne, Count, Positive

FACTORS = (10.0, 30.0)
"""Times the preset's learning rate."""
JudgedCause = Literal["order", "data", "step"]
JUDGED: tuple[JudgedCause, ...] = get_args(JudgedCause)
"""Causes of which is played what really happens without them."""
UNSEEN = 1000
"""An autopsy's arms have fewer replicates: from this one on, minibatch orders and data are new."""

Play = Callable[[Any, int], NDArray[np.float64]]
"""(agent, block) -> returns of its episodes; blocks have no seed in common."""


@dataclass(frozen=True)
class Judged:
    """What an autopsy said of a fall, and what happens with luck that it has not seen: a number a block of new seeds."""

    verdict: Verdict
    change: tuple[float, ...]
    """Of the mean return by the recorded update."""
    arms: Mapping[JudgedCause, tuple[float, ...]]
    """Mean return of the cause's arm, in each block of another replicate, less that of the recorded update."""
    failed: tuple[str, ...] = ()
    """Checks of the record that were not ok."""


@dataclass(frozen=True)
class Update:
    """A round of the training."""

    round: Count
    change: Interval
    """Of the mean return, on the seeds by which falls are found."""
    judged: Judged | None = None
    """None where it was no fall, or not one of those that were drawn."""

    @property
    def fell(self) -> bool:
        """Whether the policy got worse for certain."""
        return self.change.high < 0


@dataclass(frozen=True)
class FallsCell(KeptCell):
    """One training with too high a learning rate: what is asked, and every round once it was."""

    factor: Positive
    """Times the preset's learning rate."""
    rounds: AtLeastOne
    most: AtLeastOne = 3
    """Falls that are judged; they are drawn where there are more."""
    blocks: AtLeastOne = 10
    """Of seeds, by which a fall is judged."""
    episodes: AtLeastOne = 32
    """Of a policy in a block; falls are found on as many."""
    answers: tuple[Update, ...] = field(default=(), kw_only=True)

    def __str__(self) -> str:
        return f"{self.env_id}, seed {self.seed}, learning rate x {self.factor:g}"

    @property
    def file_name(self) -> str:
        """Of its file in the folder of the answers."""
        return f"{self.env_id}-{self.seed}-x{self.factor:g}.json"

    @property
    def differs_in(self) -> str:
        """All that is not in the name of its file."""
        return "other rounds, settings or numbers of falls, blocks or episodes"


def judge_falls(
    cells: Sequence[FallsCell], out: Path, *, pool: Pool, report: Progress = lambda doing, done, total: None
) -> list[FallsCell]:
    """Train, find the falls and judge their autopsies, for every cell that is not in the folder yet.

    Args:
        cells: without answers.
        out: a folder with one file a cell, to make or to continue.
        pool: where.
        report: is told how many cells are finished.

    Returns:
        The cells with their answers, in the order asked.

    Raises:
        BadInputError: an environment or a setting is unknown, or a cell in the folder was made with other settings. Nothing
            was written.
        DamagedRunError: a cell in the folder is not what was written.
        StorageError: the disk refused.
    """
    return finish(cells, answered, _config, out, pool, report)


def answered(cell: FallsCell) -> tuple[Update, ...]:
    """Train, find the rounds in which the policy got worse, and judge the autopsies of those that are drawn."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        with suppress(BadNumberError):  # its earlier rounds are as good as any
            train(_config(cell), path)
        run = open_run(path)
        changes = _changes(run, cell)
        fallen = [k for k, change in changes.items() if change.high < 0]
        rng = np.random.default_rng(cell.seed)
        drawn = fallen if len(fallen) <= cell.most else rng.choice(fallen, cell.most, replace=False).tolist()
        return tuple(Update(k, change, judge(run, k, cell) if k in drawn else None) for k, change in changes.items())


def judge(run: Run, k: int, cell: FallsCell) -> Judged:
    """The autopsy of a round, and what its arms do with luck that the autopsy has not seen."""
    found, snapshot = autopsy(run, k, executor="inline"), run.snapshot(k)
    leads, changes = _leads(snapshot), list[float]()
    arms: dict[JudgedCause, list[float]] = {cause: [] for cause in JUDGED}
    with _playing(snapshot, cell) as play:
        before, after = kind_of(snapshot).agent(snapshot), _after(run, snapshot)
        for block in range(1, 1 + cell.blocks):
            recorded = play(after, block).mean()
            changes.append(float(recorded - play(before, block).mean()))
            for cause in JUDGED:
                agent = leads[cause].agent(UNSEEN + block, lambda: None)
                arms[cause].append(float(play(agent, block).mean() - recorded))
    failed = tuple(check.name for check in found.failed)
    return Judged(found.verdict, tuple(changes), {cause: tuple(values) for cause, values in arms.items()}, failed)


def _leads(snapshot: Snapshot) -> dict[Cause, Arm]:
    """The arm that decides on each cause."""
    return {arm.cause: arm for arm in possible(snapshot) if arm.lead}


def _config(cell: FallsCell) -> TrainConfig:
    """What a cell trains with.

    Raises:
        BadInputError: its environment or a setting is unknown.
    """
    usual = with_settings(cell.env_id, PRESET, cell.settings)
    own = {"learning_rate": cell.factor * usual.learning_rate, "seed": cell.seed, "rounds": cell.rounds}
    return with_settings(cell.env_id, PRESET, {**cell.settings, **own})


def _changes(run: Run, cell: FallsCell) -> dict[int, Interval]:
    """What the update of each round did to the return, on seeds that neither an autopsy nor a judgement plays."""
    rounds = [k for k in run.stored_rounds if k + 1 in run.checkpoint_rounds]
    if not rounds:
        return {}
    snapshots = {k: run.snapshot(k) for k in rounds}
    with _playing(snapshots[rounds[0]], cell) as play:
        returns = [play(kind_of(each).agent(each), 0) for each in snapshots.values()]
        returns.append(play(_after(run, snapshots[rounds[-1]]), 0))
    return {k: Interval.of_mean(after - before) for k, before, after in zip(rounds, returns, returns[1:], strict=False)}


@contextmanager
def _playing(snapshot: Snapshot, cell: FallsCell) -> Iterator[Play]:
    """Plays policies in the place of a round's, on seeds that come after those of autopsies."""
    kind = kind_of(snapshot)
    evaluation = kind.evaluation(snapshot, {})
    first = -(-EPISODES // cell.episodes)
    try:
        yield lambda agent, block: evaluation.returns(kind.player(snapshot, agent), first + block, cell.episodes)
    finally:
        evaluation.close()


def _after(run: Run, snapshot: Snapshot) -> Any:
    """The agent at theta(k+1)."""
    return kind_of(snapshot).agent(snapshot.changed(checkpoint=run.checkpoint(snapshot.round + 1)))

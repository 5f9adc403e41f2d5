"""Plant every fault in the same round of a clean training, and ask what is wrong with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from engine.analysis.checks.round_checks import check_round
from engine.config import TrainConfig
from engine.core.checkpoint import one_thread
from engine.core.replays.replay import replay
from engine.envs import find, with_settings
from engine.errors import BadInputError
from engine.executors import Pool, Progress
from engine.experiments.faultlab.cell import FORMS, Answer, Cell, Form, answer, named_by
from engine.experiments.faultlab.kept_cell import finish
from engine.experiments.faultlab.plants import PLANTS, Plant
from engine.intervention.autopsy.examine import autopsy
from engine.kinds.control.learner import ControlLearner
from engine.store.commit import RunWriter
from engine.store.read import Run, open_run

ENVIRONMENTS = ("FrozenLake-v1", "CartPole-v1", "Acrobot-v1", "LunarLander-v3")
PRESET = "default"


def examine(
    cells: Sequence[Cell], out: Path, *, pool: Pool, report: Progress = lambda doing, done, total: None
) -> list[Cell]:
    """Answer every cell that is not answered in the folder yet; each is written once it is finished.

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


def answered(cell: Cell) -> tuple[Answer, ...]:
    """Train up to the round, and from there once with nothing wrong and once with each fault in each form."""
    one_thread()
    with TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        with RunWriter.create(before, (learner := ControlLearner.begin(_config(cell))).manifest()) as writer:
            for _ in range(cell.round):
                snapshot = learner.collect()
                writer.commit_round(snapshot, {**snapshot.metrics, **learner.update(snapshot)})
        learner.close()
        return tuple(_answers(cell, before))


def plant_in(path: Path, plant: Plant, strength: float, rng: np.random.Generator) -> Run:
    """Record one more round of a run, with a fault in it, and theta after it.

    Args:
        path: of the run, whose last round is stored and which has not ended.
        plant: what is wrong.
        strength: how much.
        rng: draws what is random about the fault.
    """
    run = open_run(path)
    replayed = replay(run.snapshot(run.rounds[-1].round))
    learner = ControlLearner.after(replayed.snapshot, replayed.agent)
    try:
        with RunWriter.append(path) as writer:
            snapshot, metrics = plant.train(learner, strength, rng)
            writer.commit_round(snapshot, {**snapshot.metrics, **metrics})
            writer.commit_final(learner.round, learner.state())
    finally:
        learner.close()
    return open_run(path)


def _answers(cell: Cell, before: Path) -> Iterator[Answer]:
    for plant, form, strength in forms():
        path = before.with_name(f"{plant.name} {form}")
        shutil.copytree(before, path)
        run = plant_in(path, plant, strength, np.random.default_rng([cell.seed, *plant.name.encode()]))
        for k in [cell.round] if plant.verdict else run.stored_rounds:
            yield _ask(run, k, plant, form, cell.arms)
        shutil.rmtree(path)


def forms() -> Iterator[tuple[Plant, Form, float]]:
    """Every plant in each of its forms, with its strength."""
    for plant in PLANTS.values():
        for form, strength in zip(FORMS, dict.fromkeys((plant.gross, plant.mild)), strict=False):
            yield plant, form, strength


def _ask(run: Run, k: int, plant: Plant, form: Form, arms: bool) -> Answer:
    if arms:
        found = autopsy(run, k, executor="inline")
        return answer(plant.name, form, k, found.verdict, found.checks)
    checks = check_round(run, k)
    return answer(plant.name, form, k, named_by(checks), checks)


def _config(cell: Cell) -> TrainConfig:
    """What a cell trains with.

    Raises:
        BadInputError: its environment or a setting is unknown, or no round comes before the planted one.
    """
    if cell.round < 1:
        raise BadInputError(f"the round is {cell.round}; it must be at least 1, since a clean one comes before it")
    find(cell.env_id)
    return with_settings(cell.env_id, PRESET, {**cell.settings, "seed": cell.seed, "rounds": cell.round + 1})

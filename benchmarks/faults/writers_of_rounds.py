"""What writes rounds: of each kind, recorded, trained, dropped; and copies of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import engine
from benchmarks.faults import dropping
from benchmarks.faults.made_up_rounds import (
    METRICS,
    assert_same_checkpoint,
    assert_same_snapshot,
    make_checkpoint,
    make_manifest,
    make_snapshot,
    write_run,
)
from benchmarks.faults.made_up_sequences import (
    MODEL,
    assert_same_language_snapshot,
    make_language_manifest,
    make_language_snapshot,
)
from benchmarks.faults.writer import Say, Writer, Wrong
from engine.errors import NotARunError
from engine.recording import Loss, Recorder
from engine.store import Run, RunManifest, RunWriter, export_run, open_run, verify_run

ROUNDS = 2
TRAINED: Mapping[str, Any] = {
    "rounds": ROUNDS,
    "n_steps": 16,
    "n_envs": 1,
    "batch_size": 8,
    "n_epochs": 1,
    "hidden": (4,),
}
"""Settings of a training that takes a moment."""


def rounds_of(
    kind: str,
    manifest: Callable[[], RunManifest],
    make: Callable[[int], Any],
    same: Callable[[Any, Any], object],
    model: Mapping[str, bytes] | None = None,
) -> Writer:
    """Rounds of a kind, made up, committed one after another."""

    def act(folder: Path, say: Say) -> None:
        path = folder / "run"
        started = (path / "run.json").exists()
        with RunWriter.append(path) if started else RunWriter.create(path, manifest(), model=model) as writer:
            for k in range(writer.next_round or 0, ROUNDS):
                writer.commit_round(make(k), METRICS)
                say(f"{k}")
            if writer.next_round == ROUNDS:
                writer.commit_final(ROUNDS, make_checkpoint(ROUNDS))
                say(f"{ROUNDS}")

    def check(folder: Path, said: Set[str]) -> Iterator[Wrong]:
        run = yield from rounds_there(folder / "run", {int(k) for k in said})
        if run:
            for k in run.stored_rounds:
                same(run.snapshot(k), make(k))

    return Writer(f"rounds, {kind}", nothing, act, check)


def rounds_there(path: Path, said: Set[int]) -> Generator[Wrong, None, Run | None]:
    """The run at a path, sound and with the rounds that were said; None where there is none.

    Yields:
        What is wrong with it.
    """
    try:
        run = open_run(path)
    except NotARunError:
        if said:
            yield Wrong("lost", f"there is no run, and {sorted(said)} were acknowledged")
        return None
    there = [info.round for info in run.rounds] + ([run.final.round] if run.final else [])
    if there != [*range(len(there))]:
        yield Wrong("torn", f"there are the rounds {there}")
    if not said <= {*there}:
        yield Wrong("lost", f"rounds {sorted(said - {*there})} of {sorted(said)}")
    for damage in verify_run(path):
        yield Wrong("torn", damage.problem)
    return run


def nothing(_: Path) -> None:
    """There is nothing before."""


# Rounds that are dropped, by the one who writes them and by a recorder.


def _drop(folder: Path, say: Say) -> None:
    dropping.write(folder / "run", say=lambda k: say(f"{k}"))


def _check_dropped(folder: Path, said: Set[str]) -> Iterator[Wrong]:
    run = yield from rounds_there(folder / "run", {int(k) for k in said})
    if run:
        dropping.check(run.path)


class Net(nn.Module):
    """The agent of the recorded loop."""

    def __init__(self) -> None:
        super().__init__()
        self.actor, self.critic = nn.Linear(3, 4), nn.Linear(3, 1)


def evaluate(agent: Any, observation: Any, action: Any) -> tuple[Any, Any, Any]:
    """What a recorder asks of it."""
    said = torch.distributions.Categorical(logits=agent.actor(observation))
    return said.log_prob(action), said.entropy(), agent.critic(observation)[:, 0]


RECORDED, LAST = 5, 2
"""Rounds of a recorded run, and how many of them keep their records."""


def columns(k: int) -> dict[str, Any]:
    """What a recorder is given of round k: 4 steps of 2 environments."""
    rng = np.random.default_rng([11, k])
    numbers = {
        name: rng.normal(size=8).astype(np.float32) for name in ("log_prob", "value", "advantage", "returns", "reward")
    }
    return {
        "observation": rng.normal(size=(8, 3)).astype(np.float32),
        "action": rng.integers(0, 4, 8),
        "starts": np.zeros(8),
        "n_envs": 2,
        **numbers,
    }


def record_to(path: Path, say: Callable[[int], object] = lambda _: None) -> None:
    """Record a loop; say each round once it is committed."""
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    declared: dict[str, Any] = {"evaluate": evaluate, "loss": Loss(), "n_actions": 4, "self_test": False, "quiet": True}
    with Recorder(path, net, optimizer, keep=engine.Keep(every=0, last=LAST, around=0), **declared) as recorder:
        for k in range(RECORDED):
            given = columns(k)
            recorder.round(**given)
            if k:
                say(k - 1)
            for records in (np.arange(4), np.arange(4, 8)):
                recorder.minibatch(records)
                optimizer.zero_grad()
                observation, action = (torch.as_tensor(given[name][records]) for name in ("observation", "action"))
                (-evaluate(net, observation, action)[0].mean()).backward()
                optimizer.step()
    for k in (RECORDED - 1, RECORDED):
        say(k)


def _record(folder: Path, say: Say) -> None:
    """Record a run; one that was cut short stays as it is, and another one is begun beside it."""
    numbers = range(10)
    if not any(_is_whole(folder / f"run-{n}") for n in numbers):
        free = next(n for n in numbers if not (folder / f"run-{n}" / "run.json").exists())
        record_to(folder / f"run-{free}", lambda k: say(f"{free} {k}"))


def _is_whole(path: Path) -> bool:
    try:
        return open_run(path).final is not None
    except NotARunError:
        return False


def _check_recorded(folder: Path, said: Set[str]) -> Iterator[Wrong]:
    for path in sorted(folder.glob("run-*")):
        of_this = {int(k) for n, _, k in (word.partition(" ") for word in said) if path.name == f"run-{n}"}
        run = yield from rounds_there(path, of_this)
        if run is None:
            continue
        newest = [info.round for info in run.rounds][-LAST:]
        if not {*newest} <= {*run.stored_rounds}:
            yield Wrong("lost", f"of the rounds {newest} the records of {run.stored_rounds} are there")
        for k in run.stored_rounds:
            found, given = run.snapshot(k).buffer, columns(k)
            assert all((getattr(found, name) == given[name]).all() for name in ("reward", "action", "observation"))


# A training that is resumed.


def config() -> Any:
    """Of the training."""
    return engine.preset("FrozenLake-v1", "default", **TRAINED)


def _train_whole(folder: Path) -> None:
    engine.train(config(), folder / "whole" / "run")


def _train(folder: Path, say: Say) -> None:
    path = folder / "run"
    for snapshot in engine.rounds(config(), path, resume=(path / "run.json").exists()):
        if snapshot.round:
            say(f"{snapshot.round - 1}")  # a round is committed when the next one is asked for
    for k in (ROUNDS - 1, ROUNDS):
        say(f"{k}")


def _check_trained(folder: Path, said: Set[str]) -> Iterator[Wrong]:
    run = yield from rounds_there(folder / "run", {int(k) for k in said})
    if run:
        whole = open_run(folder / "whole" / "run")
        for k in run.checkpoint_rounds:
            assert_same_checkpoint(run.checkpoint(k), whole.checkpoint(k))


# Copies.


def _export(folder: Path, say: Say) -> None:
    copy = folder / "copy"
    if not copy.exists():
        export_run(folder / "run", copy, [1])
    say("done")


def _check_exported(folder: Path, said: Set[str]) -> Iterator[Wrong]:
    copy = folder / "copy"
    if not copy.exists():
        if said:
            yield Wrong("lost", "the copy")
        return
    run = yield from rounds_there(copy, {*range(ROUNDS + 1)})
    if run:
        for k in run.stored_rounds:
            assert_same_snapshot(run.snapshot(k), make_snapshot(k))


WRITERS_OF_ROUNDS = [
    rounds_of("control", make_manifest, make_snapshot, assert_same_snapshot),
    rounds_of("language", make_language_manifest, make_language_snapshot, assert_same_language_snapshot, MODEL),
    Writer("rounds that are dropped", nothing, _drop, _check_dropped),
    Writer("recorder that drops rounds", nothing, _record, _check_recorded),
    Writer("training", _train_whole, _train, _check_trained),
    Writer("export", lambda folder: write_run(folder / "run", ROUNDS), _export, _check_exported),
]

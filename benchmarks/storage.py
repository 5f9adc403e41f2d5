"""A round of LunarLander on disk: commit, verified read, bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import engine
from benchmarks.timing import Figure, alternate, milliseconds
from engine.kinds.control.learner import ControlLearner
from engine.store.commit import RunWriter
from engine.store.read import open_run


def figures(quick: bool = False) -> Iterator[Figure]:
    """2048 records of 8 floats with Adam's state, in the folder for temporary files."""
    from dataclasses import replace

    repeats = 10 if quick else 40
    learner = ControlLearner.begin(engine.preset("LunarLander-v3", "default"))
    learner.update(learner.collect())
    snapshot = learner.collect()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        with RunWriter.create(path, learner.manifest()) as writer:
            rounds = iter(range(10_000))

            def commit() -> None:
                k = next(rounds)
                writer.commit_round(replace(snapshot, round=k), snapshot.metrics)

            times = alternate({"commit": commit}, repeats)
        run = open_run(path)
        ways = {"verified read": lambda: run.snapshot(3), "open the run": lambda: open_run(path)}
        times |= alternate(ways, repeats)
        size = run.rounds[3].bytes / 1e3
        kinds = {kind: next((path / "data").glob(f"000003-{kind}-*")).stat().st_size / 1e3 for kind in _KINDS}
    yield milliseconds("commit of a round, durable", times["commit"], target="<= 40 ms")
    yield milliseconds("verified read of a round", times["verified read"], target="<= 5 ms")
    yield milliseconds(f"opening a run of {repeats + 1} rounds", times["open the run"])
    yield Figure("bytes of a round", size, size, "kB", target="<= 400 kB")
    for kind, kilobytes in kinds.items():
        yield Figure(f"of these {kind}", kilobytes, kilobytes, "kB")


_KINDS = ("records", "checkpoint", "minibatches")

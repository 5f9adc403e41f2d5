"""Made-up runs that drop rounds as they go on, and what must be there of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.faults.made_up_rounds import (
    METRICS,
    assert_same_checkpoint,
    assert_same_snapshot,
    make_checkpoint,
    make_manifest,
    make_snapshot,
)
from engine.store import Files, RunManifest, RunWriter, open_run, verify_run
from engine.store.manifest import KIND_VERSION

DROPS: Mapping[int, Sequence[int]] = {2: (1,), 3: (0, 2)}
"""Round -> the rounds that its commit drops. Theta of round 2 is needed while round 1 is there, and so on."""
ROUNDS = 4


def manifest() -> RunManifest:
    return replace(make_manifest(), schema_version=KIND_VERSION)


def write(
    path: Path,
    files: Files | None = None,
    say: Callable[[int], object] = lambda _: None,
    drops: Mapping[int, Sequence[int]] = DROPS,
) -> Path:
    """Begin such a run or go on with it, to its end."""
    started = (path / "run.json").exists()
    with RunWriter.append(path, files) if started else RunWriter.create(path, manifest(), files) as writer:
        for k in range(writer.next_round or 0, ROUNDS):
            writer.commit_round(make_snapshot(k), METRICS, drops.get(k, ()))
            say(k)
        if writer.next_round == ROUNDS and open_run(path).final is None:
            writer.commit_final(ROUNDS, make_checkpoint(ROUNDS))
            say(ROUNDS)
    return path


def expected(rounds: Sequence[int], drops: Mapping[int, Sequence[int]]) -> tuple[list[int], list[int]]:
    """Those with records, and those with a checkpoint but for the final one, in the plainest way."""
    gone = {k for by in rounds for k in drops.get(by, ())}
    stored = [k for k in rounds if k not in gone]
    return stored, [k for k in rounds if k not in gone or k - 1 in stored]


def check(path: Path, drops: Mapping[int, Sequence[int]] = DROPS) -> list[int]:
    """All that must be there is there and as it was written; the numbers of the commits."""
    run = open_run(path)
    rounds, final = [info.round for info in run.rounds], [run.final.round] if run.final else []
    assert [*rounds, *final] == list(range(len(rounds) + len(final)))
    stored, checkpoints = expected(rounds, drops)
    assert (run.stored_rounds, run.checkpoint_rounds) == (stored, [*checkpoints, *final])
    for k in run.stored_rounds:
        assert_same_snapshot(run.snapshot(k), make_snapshot(k))
    for k in run.checkpoint_rounds:
        assert_same_checkpoint(run.checkpoint(k), make_checkpoint(k))
    assert all(info.metrics["loss"] == 0.5 for info in run.rounds)
    assert verify_run(path) == []
    return [*rounds, *final]


def on_disk(path: Path) -> set[str]:
    """What lies in the run's folder of data: '000002-records' and so on."""
    return {name.name.rsplit("-", 1)[0] for name in (path / "data").iterdir()}

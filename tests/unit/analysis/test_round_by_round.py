"""The order in which rounds are visited, and what is kept of each."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import engine
from benchmarks.faults.made_up_rounds import make_manifest
from engine.analysis import formation as formation_file
from engine.analysis import round_by_round
from engine.analysis.behaviour import influence_by_action
from engine.analysis.formation import formation
from engine.analysis.round_by_round import RoundByRound, coarse_to_fine
from engine.store import RunWriter
from engine.store.read import Run


@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 150])
def test_coarse_to_fine_visits_every_round_once(n: int) -> None:
    order = coarse_to_fine(list(range(100, 100 + n)))
    assert sorted(order) == list(range(100, 100 + n))
    if n == 150:
        assert order[:3] == [100, 228, 164]


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    """A copy whose cache a test may fill."""
    shutil.copytree(cartpole.path, tmp_path / "run")
    return engine.open_run(tmp_path / "run")


def test_rounds_are_kept_also_when_it_is_left_halfway(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    target = engine.action_target(run.snapshot(1), record=3)
    found = formation(run, target)
    steps = iter(found)
    next(steps)
    steps.close()
    again = formation(run, target)
    assert len(again.found) == 1
    assert len(again.missing) == 2
    assert list(again)
    monkeypatch.setattr(formation_file, "form_round", lambda *_: pytest.fail("computed again"))
    whole = formation(run, target)
    assert list(whole) == []
    assert [number for number, _ in whole.in_order] == [0, 1, 2]
    assert whole.found == again.found
    assert formation(run, engine.action_target(run.snapshot(1), record=4)).found == {}


def test_as_many_rounds_as_there_is_time_for_are_looked_at_and_kept(run: Run) -> None:
    target = engine.action_target(run.snapshot(1), record=3)
    found = formation(run, target)
    found.advance(0)
    assert found.progress == (0, 3)
    found.advance(1e-6)
    assert found.progress[0] <= 1
    found.advance()
    assert found.progress == (3, 3)
    assert formation(run, target).missing == []


def test_some_rounds_alone_can_be_asked_for_in_their_order(run: Run) -> None:
    found = influence_by_action(run)
    found.advance(only=[2, 7, 2])
    assert list(found.found) == [2]
    found.advance(only=[2])
    found.advance(only=[])
    assert found.progress == (1, 3)
    found.advance(only=[1, 0])
    assert list(found.found) == [2, 1, 0]
    assert influence_by_action(run).missing == []


def test_what_is_found_a_little_at_a_time_is_not_written_again_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page looks for a second at a time, thousands of times."""
    rounds, rows = 400, []
    with RunWriter.create(tmp_path / "run", make_manifest()) as writer:
        for k in range(rounds):
            writer.commit_metrics(k, {})
    run = engine.open_run(tmp_path / "run")

    def stream() -> RoundByRound[int]:
        return RoundByRound(run, {"what": "a square"}, range(rounds), lambda k: k * k, int, int)

    found, save = stream(), round_by_round.save_table
    monkeypatch.setattr(round_by_round, "save_table", lambda *given: rows.append(len(given[2])) or save(*given))
    for k in range(rounds):
        found.advance(only=[k])
        if k % 50 == 17:
            assert len(stream().found) >= 7 / 8 * len(found.found), "little is lost where the server ends"
    assert sum(rows) < 10 * rounds
    assert stream().found == {k: k * k for k in range(rounds)}


def test_influence_by_action_is_a_share_and_looks_at_new_rounds_only(tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", "default", rounds=3, n_steps=64, batch_size=32, n_epochs=2)
    training = engine.rounds(config, tmp_path / "growing")
    for _ in range(3):  # two rounds are committed
        next(training)
    run = engine.open_run(tmp_path / "growing")
    first = influence_by_action(run)
    assert first.missing == [0, 1]
    for _ in first:
        pass
    for number, shares in first.found.items():
        snapshot = run.snapshot(number)
        scores = engine.influence(snapshot).influence
        sums = [scores[snapshot.buffer.action == action].sum() for action in range(2)]
        assert shares == pytest.approx(np.array(sums) / np.abs(scores).sum(), rel=1e-4)
    list(training)
    run.refresh()
    second = influence_by_action(run)
    assert second.missing == [2]
    assert second.found == first.found

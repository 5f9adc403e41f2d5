"""Records are read once for all that looks at them, and an update's replay tells what records do not."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from planted import ROUND, planted_run

import engine
from engine.analysis import incidents_of_run
from engine.analysis.incidents_in_records import InRecords
from engine.errors import CancelledError
from engine.store.read import Run

BEFORE = ROUND - 1
"""The critic was set anew between this update and the round that the plant is of."""
SMALL = {"rounds": 6, "n_envs": 2, "n_steps": 128, "n_epochs": 1, "batch_size": 128, "seed": 3}


@pytest.fixture(scope="module")
def new_critic(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = engine.preset("CartPole-v1", "default", **SMALL)
    return planted_run(tmp_path_factory.mktemp("planted") / "run", "critic", 1.0, config)


def test_a_critic_that_was_set_anew_shows_only_in_the_replay_of_its_update(new_critic: Run) -> None:
    assert list(engine.incidents(new_critic, records=True)) == []
    (only,) = engine.incidents(new_critic, replays=True)
    assert (only.kind, only.onset, only.last, only.update) == ("failed check", BEFORE, BEFORE, BEFORE)
    assert only.metrics == ("replay",)
    assert "only parameters of the critic are elsewhere" in only.reason


def test_each_round_is_read_once(new_critic: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[int] = Counter()
    snapshot = Run.snapshot

    def counted(run: Run, k: int) -> object:
        read[k] += 1
        return snapshot(run, k)

    monkeypatch.setattr(Run, "snapshot", counted)
    found = InRecords(new_critic, cache=False)
    found.advance(only=[0, 1, 2])
    assert read == {0: 1, 1: 1, 2: 1}
    assert found.progress == (3, 6)
    assert not {0, 1, 2} & {*found.missing}


def test_what_was_found_before_a_cancel_is_kept(new_critic: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(new_critic.path / "derived")
    monkeypatch.setattr(incidents_of_run, "REPORTED_SECONDS", 0.0)

    def cancel(doing: str, done: int, total: int) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        engine.incidents(new_critic, records=True, report=cancel)
    assert InRecords(new_critic).progress == (1, 6)

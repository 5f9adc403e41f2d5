"""Replays of rounds against the checkpoints after them, and what is kept of that."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.core.replays import replayed_run
from engine.core.replays.replayed_run import ELSEWHERE, HERE, kept_replay, replay_round, replay_run, verified_round
from engine.errors import DamagedRunError
from engine.store.read import Run
from engine.store.snapshot import Snapshot


@pytest.fixture
def run(snapshot: Snapshot) -> Run:
    """Of 3 rounds; nothing is kept of it yet."""
    return engine.open_run(snapshot.path)


def differing(monkeypatch: pytest.MonkeyPatch, run: Run, k: int, by: float) -> None:
    """As if the checkpoint k had been recorded with another number in it."""
    checkpoint = run.checkpoint(k)
    name = next(name for name in checkpoint if name.startswith("parameter/"))
    checkpoint[name].flat[0] += by
    real = run.checkpoint
    monkeypatch.setattr(run, "checkpoint", lambda number: checkpoint if number == k else real(number))


def test_every_round_is_verified_with_its_log_probabilities(run: Run) -> None:
    found = list(replay_run(run))
    assert [(each.round, each.equal, each.largest) for each in found] == [(k, True, 0.0) for k in run.stored_rounds]
    assert all(each.moved > 0 and each.log_prob < 1e-5 for each in found)
    assert found[1].sentence.startswith("round 1: replay verified, equal bit for bit; log-probabilities differ by ")


def test_what_leads_elsewhere_is_shown_beside_the_size_of_the_update(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    differing(monkeypatch, run, 2, 0.125)
    found = replay_round(run, 1)
    assert (found.equal, found.largest) == (False, pytest.approx(0.125))
    assert found.words == (f"replay differs: largest difference 0.12; the update moved {found.moved:.2g} ({HERE})")
    monkeypatch.setattr(replayed_run, "recorded_here", lambda snapshot: False)
    assert replay_round(run, 1).words == found.words.removeprefix("replay differs: ").replace(HERE, ELSEWHERE)
    differing(monkeypatch, run, 2, np.nan)
    found = replay_round(run, 1)
    assert (found.equal, found.largest) == (False, np.inf)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["largest"] is None


def test_a_checkpoint_of_another_policy_is_damage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = {"parameter/other": np.zeros(3, np.float32)}
    monkeypatch.setattr(run, "checkpoint", lambda number: checkpoint)
    with pytest.raises(DamagedRunError, match="the checkpoint after the update has other parameters"):
        replay_round(run, 1)


def test_it_is_replayed_once_and_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept_replay(run, 1) is None
    found = verified_round(run, 1)
    monkeypatch.setattr(replayed_run, "replay_round", None)
    again = engine.open_run(run.path)
    assert verified_round(again, 1) == kept_replay(again, 1) == found
    assert kept_replay(again, 0) is None
    monkeypatch.setattr(replayed_run, "REPLAYED_VERSION", 0)
    assert kept_replay(again, 1) is None


def test_without_the_next_checkpoint_it_says_so_and_nothing_is_kept(run: Run, tmp_path: Path) -> None:
    engine.store.export_run(run.path, tmp_path / "thin", [0])
    thin = engine.open_run(tmp_path / "thin")
    found = verified_round(thin, 0)
    assert found.words == "not replayed: the parameters after it were not recorded"
    assert found.log_prob < 1e-5
    assert not (thin.path / "derived").exists()

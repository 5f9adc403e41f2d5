"""Whether the policy that a round's files make is the recorded one, for every kind of run that is at hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import engine
from engine.core.replays.rebuilt_policy import rebuilt_policy
from engine.store.snapshot import Snapshot


def test_the_recorded_policy_is_known_and_another_one_is_named(snapshot: Snapshot) -> None:
    found = rebuilt_policy(snapshot)
    assert found.near
    assert found.largest < 1e-5
    name = next(name for name in snapshot.checkpoint if name.startswith("parameter/") and "actor" in name)
    other = snapshot.changed(checkpoint={**snapshot.checkpoint, name: snapshot.checkpoint[name] + np.float32(0.3)})
    found = rebuilt_policy(other)
    assert not found.near
    assert found.sentence == (
        "the policy that the files make is not the one that was recorded: a log-probability differs by "
        f"{found.largest:.2g}"
    )


def test_the_difference_is_that_of_the_recorded_column(snapshot: Snapshot) -> None:
    log_prob = snapshot.buffer.log_prob.copy()
    log_prob[5] -= 0.5
    found = rebuilt_policy(snapshot.changed(buffer=replace(snapshot.buffer, log_prob=log_prob)))
    assert (found.near, found.largest) == (False, pytest.approx(0.5, abs=1e-4))
    log_prob[5] = np.nan
    found = rebuilt_policy(snapshot.changed(buffer=replace(snapshot.buffer, log_prob=log_prob)))
    assert (found.near, found.largest) == (False, np.inf)


def test_why_there_is_no_policy_is_said() -> None:
    run = engine.open_run("sample_runs/CliffWalking-v1")
    snapshot = run.snapshot(run.stored_rounds[0])
    unknown = snapshot.changed(settings={**snapshot.settings, "policy": None})
    found = rebuilt_policy(unknown)
    assert (found.largest, found.near) == (None, False)
    assert found.sentence.startswith("the policy was not made again: the policy of this run can't be made again")

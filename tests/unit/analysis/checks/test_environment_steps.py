"""The recorded environment, stepped through rounds that say something else than it does."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from engine.analysis.checks.environment_steps import environment_steps
from engine.store.read import Run
from engine.store.snapshot import Snapshot

AT = 6


def changed(snapshot: Snapshot) -> Snapshot:
    """One reward is another one."""
    reward = snapshot.buffer.reward.copy()
    reward[AT] += 1
    return snapshot.changed(buffer=replace(snapshot.buffer, reward=reward))


def test_a_round_as_it_was_recorded(cartpole: Run) -> None:
    assert environment_steps(cartpole, cartpole.snapshot(1), cartpole.snapshot).ok is True


def test_another_reward_is_named_with_the_first_record_after_it(cartpole: Run) -> None:
    found = environment_steps(cartpole, changed(cartpole.snapshot(1)), cartpole.snapshot)
    assert (found.ok, found.fault) == (False, "environment")
    assert f"from record {AT + cartpole.config.n_envs} on" in found.what


def test_what_is_not_of_the_round_alone_can_not_be_told(cartpole: Run) -> None:
    first, wrong = cartpole.snapshot(0), changed(cartpole.snapshot(1))
    assert environment_steps(cartpole, changed(first), cartpole.snapshot).ok is None
    elsewhere: Any = wrong.changed(fingerprint={**wrong.fingerprint, "machine": "another"})
    assert "another machine" in environment_steps(cartpole, elsewhere, cartpole.snapshot).what
    as_before: Any = SimpleNamespace(manifest=cartpole.manifest, has_records=lambda k: k in (0, 1))
    found = environment_steps(as_before, wrong, lambda k: changed(first))
    assert (found.ok, found.fault) == (None, None)
    assert "so it does in the round before" in found.what

"""`python -m engine behaviour`: what it prints, its JSON, and bad input in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import Command

import engine


def test_behaviour(command: Command, run: Path) -> None:
    outcome = command("behaviour", run, "--record", "1:7", "--json")
    assert outcome.code == 0
    said = outcome.json
    snapshot = engine.open_run(run).snapshot(1)
    assert said["observation"] == snapshot.buffer.observation[7].tolist()
    assert said["checkpoints"][: len(said["rounds"])] == said["rounds"]
    at = said["checkpoints"].index(1)
    assert said["probability"][at] == pytest.approx(np.exp(snapshot.buffer.log_prob[7]), rel=1e-4)
    assert len(said["roughness"]) == len(said["magnitude"]) == len(said["rounds"])
    assert set(said["make_up"]) == {"same action", "similar state", "positive advantage"}
    assert {"initial association", "semantic clustering", "saturation"} < set(said["phases"])
    typed = command("behaviour", run, "--obs=0.1,0,-0.05,0.2", "--action", "push left", "--json").json
    assert typed["action"] == 0
    assert typed["record"] is None


def test_behaviour_for_people(command: Command, run: Path) -> None:
    outcome = command("behaviour", run, "--record", "1:7", "--action", "push right")
    assert outcome.code == 0
    assert "similar state" in outcome.out
    assert "semantic clustering: " in outcome.out


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ((), "either --record, such as 12:345, or --obs"),
        (("--record", "1:7", "--obs", "1,2,3,4"), "either --record, such as 12:345, or --obs"),
        (("--record", "seven"), "--record 'seven' must be a round and a record number, such as 12:345"),
        (("--record", "1:9999"), "record 9999 is out of range"),
        (("--record", "99:0"), "round 99 is not in this run"),
        (("--obs", "1,2,3,4"), "an observation needs an action beside it"),
        (("--obs", "1,2", "--action", "0"), "must be 4 finite numbers"),
        (("--record", "1:7", "--action", "fly"), "--action 'fly' is none of push left, push right"),
        (("--record", "1:7", "--estimator", "guess"), "unknown estimator 'guess'"),
    ],
)
def test_bad_behaviours(command: Command, run: Path, options: tuple[str, ...], line: str) -> None:
    outcome = command("behaviour", run, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert line in outcome.err

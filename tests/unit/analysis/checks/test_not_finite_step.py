"""An update whose parameters stop to be finite: the step that did it, with its records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import engine
from engine.analysis.checks.checked import fault_named
from engine.analysis.checks.not_finite_step import not_finite_step
from engine.analysis.checks.round_checks import check_round
from engine.store.commit import RunWriter
from engine.store.read import Run


def test_the_first_step_is_named_with_its_records(cartpole: Run, tmp_path: Path) -> None:
    snapshot = cartpole.snapshot(1)
    assert not_finite_step(snapshot) is None
    chosen, log_prob = int(np.argmin(snapshot.buffer.advantage)), snapshot.buffer.log_prob.copy()
    log_prob[chosen] = -1e30  # a finite number, of which no ratio is one
    (place,) = np.flatnonzero(snapshot.minibatches[0] == chosen)
    number = int(place) // cartpole.config.batch_size + 1
    too_large = snapshot.changed(buffer=replace(snapshot.buffer, log_prob=log_prob))
    with RunWriter.create(tmp_path / "run", cartpole.manifest) as writer:
        writer.commit_round(cartpole.snapshot(0), {})
        writer.commit_round(too_large, {})
        writer.commit_final(2, engine.replay(too_large).checkpoint)
    found = {each.name: each for each in check_round(engine.open_run(tmp_path / "run"), 1)}
    cuts = cartpole.config.cuts(len(log_prob))[number - 1]
    assert (found["numbers"].ok, found["numbers"].fault) == (False, "numbers")
    assert found["numbers"].records == tuple(sorted(snapshot.minibatches[0][slice(*cuts)].tolist()))
    assert f"the first is optimizer step {number} (minibatch {number} of epoch 1)" in found["numbers"].what
    assert found["replay"].ok is None, "a NaN is equal to none"
    assert fault_named(list(found.values())) == "numbers"

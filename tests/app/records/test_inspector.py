"""What the inspector says of a record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from worlds import record

import engine
from app.records.inspector import repair_of


def test_a_branch_says_what_each_of_its_records_took(tmp_path: Path) -> None:
    """Those that its parent's filter repaired another thing than those that somebody chose."""
    settings = {"rounds": 2, "n_steps": 256, "filter": "reestimate", "repair": "monte_carlo"}
    run = record(tmp_path / "run", "CartPole-v1", **settings)
    own = run.snapshot(0).buffer.repaired
    chosen = np.flatnonzero(~own)[:3]
    engine.retrain(run, 0, chosen, tmp_path / "branch", repair=True, orders=2, episodes=2)
    branch = engine.open_run(tmp_path / "branch")
    snapshot = branch.snapshot(0)
    assert own.any()
    assert snapshot.buffer.repaired.tolist() == (own | np.isin(np.arange(len(own)), chosen)).tolist()
    assert {repair_of(branch, snapshot, int(one)) for one in chosen} == {"td_error"}
    assert {repair_of(branch, snapshot, int(one)) for one in np.flatnonzero(own)} == {"monte_carlo"}

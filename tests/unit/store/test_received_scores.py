"""What came with a language model's run in its `derived/` and is no table of scores is computed anew, never an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from engine.kinds.language.influence import _Place, read_sequence_influence
from made_up_sequences import write_language_run

from engine.store import open_run
from engine.store.derived import save_table


@pytest.mark.parametrize(
    ("name", "value"), [("other", 1.0), ("influence", "x"), ("influence", [1.0]), ("influence", None), ("influence", 1)]
)
def test_another_table_is_as_good_as_none(tmp_path: Path, name: str, value: object) -> None:
    snapshot = open_run(write_language_run(tmp_path / "run")).snapshot(0)
    place, n = _Place.of(snapshot, "sequence", "first_order", True), len(snapshot.buffer.token)
    place.keep(np.ones(n, np.float32))
    kept = read_sequence_influence(snapshot, "sequence")
    assert kept is not None
    assert kept.token_influence is not None
    assert kept.token_influence.tolist() == [1.0] * n
    assert save_table(tmp_path / "run", place.key, pa.table({name: [value] * n}))
    assert read_sequence_influence(snapshot, "sequence") is None

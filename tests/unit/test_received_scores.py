"""What came with a language model's run in its `derived/` and is no table of scores is computed anew, never an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.faults.made_up_sequences import write_language_run
from engine.core.gradients.attribution import TERMS, Attribution
from engine.core.influence import CachedScores, read_influence
from engine.store import open_run
from engine.store.derived import save_table

N = 8
"""Records of the made-up round."""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("influence", "x"),
        ("influence", [1.0]),
        ("influence", None),
        ("influence", 1),
        ("actor", None),
        ("token_influence", 1.0),
        ("token_influence", [1.0]),
        ("token_influence", None),
    ],
)
def test_another_table_is_as_good_as_none(tmp_path: Path, name: str, value: object) -> None:
    snapshot = open_run(write_language_run(tmp_path / "run")).snapshot(0)
    question, n = CachedScores.of(snapshot, "sequence", "first_order", 1, by_layer=False), len(snapshot.buffer)
    nothing, tokens = np.zeros(n, np.float32), np.ones(len(snapshot.buffer.token), np.float32)
    question.keep(Attribution(nothing, dict.fromkeys(TERMS, nothing), {}, tokens))
    kept = read_influence(snapshot, "sequence")
    assert kept is not None
    assert kept.token_influence is not None
    assert kept.token_influence.tolist() == tokens.tolist()
    good: dict[str, Any] = dict.fromkeys(("influence", *TERMS), pa.array(nothing))
    assert save_table(tmp_path / "run", question.key, pa.table({**good, name: [value] * n}))
    assert read_influence(snapshot, "sequence") is None

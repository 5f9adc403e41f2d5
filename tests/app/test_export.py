"""Downloads: what is in them, and that nothing is made before it is asked for."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from app import export


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("FrozenLake-v1/interventions/614f/branch-across.csv", "FrozenLake-v1-interventions-614f-branch-across.csv"),
        ("../../etc/passwd", "etc-passwd"),
        ("a b\n<c>.png", "a-b-c-.png"),
        ("...", "download"),
        ("日本.csv", "日本.csv"),
    ],
)
def test_file_names_are_safe_everywhere(name: str, safe: str) -> None:
    assert export.safe_name(name) == safe


def test_csv_and_parquet_hold_every_digit() -> None:
    frame = pd.DataFrame({"record": [0, 1], "influence": np.array([1 / 3, -1e-9], np.float32), "kept": [True, False]})
    back = pd.read_parquet(io.BytesIO(export.as_parquet(frame)))
    pd.testing.assert_frame_equal(back, frame)
    text = pd.read_csv(io.BytesIO(export.as_csv(frame)))
    assert text["influence"].astype(np.float32).tolist() == frame["influence"].tolist()

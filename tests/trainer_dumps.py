"""Files as other trainers write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

PROMPTS = ["2 + 2 =", "2 + 2 =", "the capital of France is", "the capital of France is"]


def trl(folder: Path, step: int = 5, **columns: Any) -> Path:
    """A file as TRL's GRPO trainer writes it."""
    values = {
        "step": [str(step)] * 4,
        "prompt": PROMPTS,
        "completion": [" 4", " 5", " Paris", "\nLyon"],
        "accuracy": [1.0, 0.0, 1.0, 0.0],
        "advantage": [0.7, -0.7, 0.7, -0.7],
    } | columns
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"completions_{step:05d}.parquet"
    pd.DataFrame({name: one for name, one in values.items() if one is not None}).to_parquet(path)
    return path


def verl(folder: Path, step: int = 5, rows: list[Any] | None = None) -> Path:
    """A file as verl writes it."""
    given = [
        {"input": text, "output": "42", "gts": None, "score": i / 2, "step": step, "acc": i % 2 == 0, "pred": "42"}
        for i, text in enumerate(PROMPTS)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{step}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (given if rows is None else rows)))
    return path

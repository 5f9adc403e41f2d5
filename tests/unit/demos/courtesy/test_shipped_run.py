"""The language model's run that ships: it can be read without the extra, and its planted faults can be found with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import engine
from engine.core.filtering import actor_influence
from engine.demos.courtesy.experiment.detection import auc
from engine.store.read import open_run

ROOT = Path(engine.__file__).parents[1]
SAMPLE = ROOT / "sample_runs" / "courtesy"


def test_it_is_whole_small_and_has_faults_to_find() -> None:
    run = open_run(SAMPLE)
    assert run.kind == "language"
    assert len(run.rounds) == 20
    assert run.stored_rounds == [0, 4, 10]
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if "derived" not in path.parts) < 6 * 2**20
    for round in run.stored_rounds:
        buffer = run.snapshot(round).buffer
        assert (buffer.reward_parts["flipped"] > 0).sum() == 13
        assert set(buffer.reward_parts) == {"model", "judge", "flipped"}


def test_it_is_read_without_the_extra() -> None:
    code = (
        "import sys; sys.modules['transformers'] = sys.modules['tokenizers'] = None; "
        "from engine.store.read import open_run; "
        f"buffer = open_run({str(SAMPLE)!r}).snapshot(0).buffer; print(buffer.prompt[0] + buffer.response[0])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60, capture_output=True, text=True
    )
    assert said.stdout.startswith("the ")


def test_influence_finds_its_flipped_rewards() -> None:
    snapshot = open_run(SAMPLE).snapshot(0)
    flipped = snapshot.buffer.reward_parts["flipped"] > 0
    influence = actor_influence(snapshot)
    assert auc(-influence, flipped) > 0.7
    assert auc(-influence, flipped) > auc(-snapshot.buffer.reward, flipped)

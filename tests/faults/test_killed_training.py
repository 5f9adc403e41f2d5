"""A real training run, killed with SIGKILL again and again, ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from deadlines import wait_until
from languages import record_language, settings
from worlds import same_tensors

import engine
from engine.store.read import Run

SETTINGS = ("n_steps=300", "n_envs=2", "target_kl=0.02", "n_epochs=3")  # episodes of 500 steps span several rounds
COMMAND = [
    "train",
    "Acrobot-v1",
    "--preset",
    "default",
    "--rounds",
    "8",
    "--seed",
    "3",
    *(x for s in SETTINGS for x in ("--set", s)),
]


def train(out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "engine", *COMMAND, "--out", str(out), *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def commits(out: Path) -> int:
    return len(list((out / "commits").glob("*.json"))) if (out / "commits").is_dir() else 0


def committed_or_over(out: Path, rounds: int, process: subprocess.Popen[bytes]) -> bool:
    return commits(out) >= rounds or process.poll() is not None


def same(ours: Run, theirs: Run) -> None:
    assert ours.checkpoint_rounds == theirs.checkpoint_rounds
    for k in ours.stored_rounds:
        left, right = ours.snapshot(k), theirs.snapshot(k)
        assert np.array_equal(left.minibatches, right.minibatches)
        for name, column in vars(left.buffer).items():
            assert np.array_equal(column, getattr(right.buffer, name)), (k, name)
    for k in ours.checkpoint_rounds:
        left_tensors, right_tensors = ours.checkpoint(k), theirs.checkpoint(k)
        assert left_tensors.keys() == right_tensors.keys()
        for name, tensor in left_tensors.items():
            assert np.array_equal(tensor, right_tensors[name]), (k, name)


def test_a_killed_language_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    chosen = settings(tmp_path, rounds=8)
    process = get_context("fork").Process(target=record_language, args=(tmp_path, "killed"), kwargs={"rounds": 8})
    process.start()
    wait_until(lambda: commits(tmp_path / "killed") >= 2, every=0.005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, "it was over before it could be killed"
    assert engine.verify_run(tmp_path / "killed") == []
    for name, resume in (("killed", True), ("whole", False)):
        for _ in engine.rounds(chosen, tmp_path / name, resume=resume):
            pass
    killed, whole = (engine.open_run(tmp_path / name) for name in ("killed", "whole"))
    assert engine.verify_run(killed.path) == []
    assert killed.checkpoint_rounds == whole.checkpoint_rounds
    for k in whole.checkpoint_rounds:
        same_tensors(killed.checkpoint(k), whole.checkpoint(k))


def test_a_killed_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train(whole).wait(120) == 0
    rng = random.Random(0)
    for attempt in range(2):
        before = commits(killed)
        process = train(killed, *(["--resume"] if before else []))
        wait_until(partial(committed_or_over, killed, before + 1, process), every=0.005)
        time.sleep(rng.uniform(0, 0.08))
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, f"attempt {attempt}: it was over before it could be killed"
        assert engine.verify_run(killed) == []
    assert train(killed, "--resume").wait(120) == 0
    assert engine.verify_run(killed) == []
    same(engine.open_run(killed), engine.open_run(whole))

"""Environments of their own for trainers whose pins collide with those of the tests: what is here already, and the trainer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "docs" / "examples"
CACHE = ROOT / "build" / "environments"


@dataclass(frozen=True)
class Environment:
    """A Python that has a trainer, this project and the examples."""

    folder: Path

    def run(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """What a command says; it must end well."""
        found = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(EXAMPLES))), "OMP_NUM_THREADS": "1"}
        command = [self.folder / "bin" / "python", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=found, cwd=cwd, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        return done


def environment_with(requirement: str) -> Environment:
    """It is made once and kept in `build/`; the test is skipped where it can't be made."""
    name = requirement.partition("=")[0]
    folder, stamp = CACHE / name, f"{requirement}\n{sys.prefix}\n{sys.version}\n"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{name}.lock"):
        if not (folder / "made").exists() or (folder / "made").read_text() != stamp:
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, requirement)
            (folder / "made").write_text(stamp)
    return Environment(folder)


def _make(folder: Path, requirement: str) -> None:
    """Its own packages come first, then those that the tests run with; only what is missing or collides is installed."""
    _step(requirement, "-m", "venv", "--without-pip", str(folder))
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (own / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ("install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20", requirement)
    _step(requirement, "-m", "pip", "--python", str(folder / "bin" / "python"), *install)


def _step(requirement: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        pytest.skip(f"no environment with {requirement} can be made here: {said[-1]}")

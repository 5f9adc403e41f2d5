"""A test that waits for what never happens ends, and so does one that hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from deadlines import wait_until

HANGS = """
import subprocess, sys

def test_hangs():
    subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"])

def test_of_the_rest():
    pass
"""


def test_waiting_has_an_end() -> None:
    seen: list[int] = []
    wait_until(lambda: seen.append(0) or len(seen) == 3, every=0)
    assert len(seen) == 3
    with pytest.raises(pytest.fail.Exception, match="did not happen within 0 seconds"):
        wait_until(lambda: False, within=0, every=0)


@pytest.mark.long
def test_a_test_that_hangs_in_a_process_fails_alone(tmp_path: Path) -> None:
    """By the method that the project's settings name."""
    settings = Path(__file__).resolve().parents[2] / "pyproject.toml"
    (tmp_path / "test_hanging.py").write_text(HANGS)
    options = [
        "-c",
        str(settings),
        "--rootdir",
        str(tmp_path),
        "-o",
        "addopts=",
        "-o",
        "timeout=1",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 failed, 1 passed" in done.stdout
    assert "Timeout" in done.stdout

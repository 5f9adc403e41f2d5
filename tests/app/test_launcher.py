"""`python -m app`: the address, or one line that says why not."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def launched(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def test_a_port_in_use_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = launched("--port", str(port))
    assert outcome.returncode != 0
    assert outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    assert line.startswith(f"error: port {port} can't be used")
    assert f"make app PORT={port + 1}" in line


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_a_port_that_is_none_is_one_line(port: str) -> None:
    outcome = launched("--port", port)
    assert outcome.returncode != 0
    assert len(outcome.stderr.splitlines()) == 1


def test_a_base_model_that_is_no_folder_is_one_line() -> None:
    outcome = launched("--base", "nowhere")
    assert outcome.returncode != 0
    assert outcome.stderr == "error: --base nowhere is no folder; name one that save_pretrained wrote\n"

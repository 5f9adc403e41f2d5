"""No command asks a hub for anything, unless the person at the keyboard lets it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from languages import PROMPTS, record_language
from received import received

pytestmark = pytest.mark.long


class Hub:
    """Listens where the hub would be, says that nothing is there, and counts who came."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:  # closed
                return
            with connection:
                connection.settimeout(5)
                try:
                    self.asked.append(connection.recv(65536).split(b"\r\n")[0])
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                except OSError:
                    self.asked.append(b"")


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.server.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that names models on the hub, and one that trained adapters of one."""
    folder = tmp_path_factory.mktemp("named")

    def named(manifest: dict[str, dict[str, str]]) -> None:
        manifest["language"].update(policy="attacker/tracking-model", reward="attacker/tracking-reward")

    for name, rank in (("full", 0), ("adapters", 2)):
        run = record_language(folder, f"own-{name}", rounds=1, lora_rank=rank)
        received(run.path, folder / name, named)
    (folder / "ids").write_text("3 4")
    (folder / "long.txt").write_text("\n".join(PROMPTS))
    return folder


COMMANDS: dict[str, tuple[str, ...]] = {
    "show": ("show", "full"),
    "verify": ("verify", "adapters"),
    "influence": ("influence", "full", "--round", "0", "--refresh"),
    "influence of adapters": ("influence", "adapters", "--round", "0"),
    "validate": ("validate", "adapters", "--round", "0", "--subsets", "3", "--orders", "1"),
    "retrain": ("retrain", "full", "--round", "0", "--drop-file", "ids", "--orders", "2", "--evaluate", "4"),
    "retrain of adapters": ("retrain", "adapters", "--round", "0", "--drop-bottom", "1"),
    "train": (
        "rlhf",
        "--policy",
        "no/such",
        "--reward",
        "no/such",
        "--prompts",
        "long.txt",
        "--validation-prompts",
        "2",
    ),
}
DOWNLOADS = {"influence of adapters", "validate", "retrain", "retrain of adapters", "train"}


def said(hub: Hub, runs: Path, *arguments: str) -> str:
    """What a command says in a process of its own that would find the hub."""
    asked = {
        "HF_ENDPOINT": hub.address,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(runs / "home"),
        "PYTHONPATH": str(Path.cwd()),
    }
    command = [sys.executable, "-m", "engine", *arguments]
    outcome = subprocess.run(
        command,
        cwd=runs,
        env=os.environ | asked,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert "Traceback" not in outcome.stderr
    return outcome.stderr.strip()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ("influence", "train") else pytest.mark.slow) for name in COMMANDS],
)
def test_nothing_is_looked_up_without_an_option(hub: Hub, runs: Path, name: str) -> None:
    line = said(hub, runs, *COMMANDS[name])
    assert hub.asked == []
    if name in DOWNLOADS:
        assert line.startswith("error: ")
        assert "--download" in line
        assert len(line.splitlines()) == 1


@pytest.mark.parametrize("name", ["influence of adapters", pytest.param("train", marks=pytest.mark.slow)])
def test_with_the_option_the_hub_is_asked(hub: Hub, runs: Path, name: str) -> None:
    line = said(hub, runs, *COMMANDS[name], "--download")
    assert any(b"attacker/tracking-model" in asked or b"no/such" in asked for asked in hub.asked)
    assert "can't be downloaded as a causal language model" in line
    assert len(line.splitlines()) == 1

"""A dashboard started as a person starts it: where it really listens, and what it tells the browser."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from deadlines import wait_until
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

LISTENING = "0A"
"""The state of a socket in /proc/net/tcp."""


class Served(NamedTuple):
    """A running dashboard."""

    port: int
    addresses: set[str]
    """Where its port is listened on, as the kernel says."""
    log: Path


@contextmanager
def served(command: list[str], folder: Path, log: Path, environment: Mapping[str, str]) -> Iterator[Served]:
    """Start a command with `--port N` or `--server.port=N` filled in for PORT, wait until it answers, and end it."""
    port = free_port()
    words = [word.replace("PORT", str(port)) for word in command]
    with log.open("wb") as out:
        process = subprocess.Popen(words, cwd=folder, env=dict(environment), stdout=out, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: process.poll() is not None or _answers(port), within=60)
            assert process.poll() is None, log.read_text()
            yield Served(port, listening(port), log)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def listening(port: int) -> set[str]:
    """The addresses on which this machine's kernel takes connections to a port."""
    found = set()
    for family, table in ((socket.AF_INET, Path("/proc/net/tcp")), (socket.AF_INET6, Path("/proc/net/tcp6"))):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            place, state = line.split()[1], line.split()[3]
            packed, number = place.split(":")
            if state == LISTENING and int(number, 16) == port:
                words = [bytes.fromhex(word)[::-1] for word in re.findall(".{8}", packed)]
                found.add(socket.inet_ntop(family, b"".join(words)))
    return found


def first_page(port: int) -> tuple[bool, str]:
    """Open the page as a browser does: whether it is told to send statistics, and all that is drawn, as text."""
    said = said_to_a_browser(port)
    statistics = any(
        one.new_session.config.gather_usage_stats for one in said if one.WhichOneof("type") == "new_session"
    )
    return statistics, "\n".join(str(one.delta) for one in said if one.WhichOneof("type") == "delta")


def said_to_a_browser(port: int, page: str = "", query: str = "", known: Iterable[str] = ()) -> list[ForwardMsg]:
    """Open a page as a browser does that has heard some messages before: all that it is told until the page is drawn."""
    said: list[ForwardMsg] = []
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    with connect(address, subprotocols=["streamlit"], origin=f"http://127.0.0.1:{port}", max_size=None) as browser:  # type: ignore[list-item,arg-type]
        asked = BackMsg()
        asked.rerun_script.query_string = query
        asked.rerun_script.page_name = page
        asked.rerun_script.cached_message_hashes.extend(known)
        browser.send(asked.SerializeToString())
        while not said or said[-1].WhichOneof("type") != "script_finished":
            said.append(ForwardMsg.FromString(browser.recv(timeout=60)))
    return said


def environment(**changes: str) -> dict[str, str]:
    """This process's, without what would choose for the dashboard."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STREAMLIT_", "PYTHONPATH"))}
    return kept | changes


def settings_of(folder: Path, **values: Any) -> None:
    """A configuration file that a person, or a received folder, has there."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    (folder / ".streamlit").mkdir(parents=True)
    (folder / ".streamlit" / "config.toml").write_text("\n".join(lines) + "\n")

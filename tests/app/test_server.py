"""When the server that `python -m app` starts begins to import what pages need."""

from __future__ import annotations

import pytest
from streamlit import runtime
from streamlit.runtime import RuntimeState

from app import server


class Starting:
    """Is up at the third look."""

    def __init__(self) -> None:
        self.looks = 0

    @property
    def state(self) -> RuntimeState:
        self.looks += 1
        return RuntimeState.INITIAL if self.looks < 3 else RuntimeState.NO_SESSIONS_CONNECTED


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of every sleep, which take no time here."""
    slept: list[float] = []
    monkeypatch.setattr(server.time, "sleep", slept.append)
    return slept


def test_it_begins_some_time_after_pages_are_served(monkeypatch: pytest.MonkeyPatch, slept: list[float]) -> None:
    starting = Starting()
    monkeypatch.setattr(runtime, "exists", lambda: True)
    monkeypatch.setattr(runtime, "get_instance", lambda: starting)
    server.until_it_is_up()
    assert slept == [server.LOOK_SECONDS] * 2 + [server.PAUSE_SECONDS]


def test_a_server_that_never_comes_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "exists", lambda: False)
    monkeypatch.setattr(server, "WAIT_SECONDS", 0.05)
    server.until_it_is_up()

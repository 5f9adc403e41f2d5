"""What the dashboard is started with reaches its pages, and the jobs that they start."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from app.__main__ import dashboard
from app.asked import asked
from app.shell.loaders import allow_what_is_said
from engine.executors import Pool
from engine.jobs.launch import hand_tasks_to, jobs_pool


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = jobs_pool()
    yield
    hand_tasks_to(before)


def test_jobs_have_their_tasks_done_where_the_command_says(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, command: started.append(command))
    dashboard(port=0, executor="inline", workers=3)
    (command,) = started
    monkeypatch.setattr(sys, "argv", ["streamlit", *command[command.index("--") + 1 :]])
    assert (asked().executor, asked().workers) == ("inline", 3)
    allow_what_is_said()
    assert jobs_pool() == Pool("inline", 3)


def test_without_a_word_they_have_a_process_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["streamlit"])
    allow_what_is_said()
    assert jobs_pool() == Pool("processes", None)

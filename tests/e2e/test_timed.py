"""A part of a page that is drawn by itself while a timer's turn comes, in a real browser."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from browsing import idle
from playwright.sync_api import Page, expect
from serving import served

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
APP = """
import time
import plotly.graph_objects as go
import streamlit as st
from app.shell import page, state, timed

@page.fragment
def part():
    st.button("another", key="another", on_click=lambda: state.put({"height": state.get("height", 0) + 1}))
    time.sleep(1.5)  # a timer's turn comes meanwhile
    height = state.get("height", 0)
    st.plotly_chart(go.Figure(go.Bar(y=[height], text=[f"bar {height}"])), key="chart", on_select="rerun")

@timed.every(0.4)
def clock():
    st.caption("tick")

with state.run_of("test"):
    st.session_state.whole = st.session_state.get("whole", 0) + 1
    st.caption(f"The page was drawn {st.session_state.whole} times.")
    part()
    clock()
"""


def test_nothing_of_what_a_part_drew_before_stays_beside_what_it_draws_now(page: Page, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(APP)
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless=true", "--server.port=PORT"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with served(command, tmp_path, tmp_path / "log", environment) as dashboard:
        page.goto(f"http://127.0.0.1:{dashboard.port}")
        chart = page.locator(".st-key-chart")
        for height in range(1, 4):
            expect(chart).to_have_count(1)
            idle(page)
            page.locator(".st-key-another button").click()
            expect(chart.get_by_text(f"bar {height}").first).to_be_visible()
            expect(chart).to_have_count(1)
        page.wait_for_timeout(3000)
        drawn = page.get_by_text("The page was drawn").inner_text()
        page.wait_for_timeout(3000)
        assert page.get_by_text("The page was drawn").inner_text() == drawn, "once, and not again and again"

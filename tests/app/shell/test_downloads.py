"""Downloads: what is in them, and that nothing is made before it is asked for."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pages import FIRST, errors
from reading import as_read
from streamlit.testing.v1 import AppTest

import engine
from app.diagnosis import report_downloads
from app.shell import downloads
from engine.intervention.notes import read_note, write_note
from engine.intervention.plan import Intervention
from engine.jobs.interventions import create_job, list_jobs
from engine.jobs.work import work
from engine.kinds.control.fields import record_fields
from engine.store.read import Run

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("FrozenLake-v1/interventions/614f/branch-across.csv", "FrozenLake-v1-interventions-614f-branch-across.csv"),
        ("../../etc/passwd", "etc-passwd"),
        ("a b\n<c>.png", "a-b-c-.png"),
        ("...", "download"),
        ("日本.csv", "日本.csv"),
    ],
)
def test_file_names_are_safe_everywhere(name: str, safe: str) -> None:
    assert downloads.safe_name(name) == safe


def test_csv_and_parquet_hold_every_digit() -> None:
    frame = pd.DataFrame({"record": [0, 1], "influence": np.array([1 / 3, -1e-9], np.float32), "kept": [True, False]})
    back = pd.read_parquet(io.BytesIO(downloads.as_parquet(frame)))
    pd.testing.assert_frame_equal(back, frame)
    text = pd.read_csv(io.BytesIO(downloads.as_csv(frame)))
    assert text["influence"].astype(np.float32).tolist() == frame["influence"].tolist()


@pytest.fixture
def run(tmp_path: Path, cartpole: Run) -> Run:
    shutil.copytree(cartpole.path, tmp_path / "runs" / "cartpole")
    run = engine.open_run(tmp_path / "runs" / "cartpole")
    work(create_job(run, run.snapshot(1), Intervention(round=1, removed=(3, 5), orders=2, episodes=4), {})[0].folder)
    return run


def opened(monkeypatch: pytest.MonkeyPatch, run: Run, page: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", str(run.path.parent)])
    app = AppTest.from_file(str(ROOT / "app" / "streamlit_app.py"), default_timeout=60)
    app.query_params["run"] = "cartpole"
    app.switch_page(f"views/{page}.py")
    return app.run()


def test_every_page_offers_its_tables_and_makes_none_of_them_by_itself(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    offered: dict[str, Any] = {}
    real = downloads.download

    def download(key: str, label: str, file: str, make: Any, mime: str) -> None:
        offered[file] = make
        real(key, label, file, make, mime)

    def refuse(*_: Any) -> bytes:
        raise AssertionError("made before it was asked for")

    monkeypatch.setattr(downloads, "download", download)
    made = downloads.as_csv
    monkeypatch.setattr(downloads, "as_csv", refuse)
    monkeypatch.setattr(downloads, "as_parquet", refuse)
    monkeypatch.setattr(report_downloads, "render", refuse)
    for page, rows in (("timeline", 3), ("diagnose", 140), ("behaviour", 4), ("compare", 2)):
        offered.clear()
        assert errors(opened(monkeypatch, run, page)) == []
        [file] = [name for name in offered if name.endswith(".csv")]
        monkeypatch.setattr(downloads, "as_csv", made)
        with pytest.raises(AssertionError):
            offered[file]()  # bound to the writer that refuses
        table = offered[file].args[1]()
        assert len(pd.read_csv(io.BytesIO(downloads.as_csv(table)))) == rows, page
        monkeypatch.setattr(downloads, "as_csv", refuse)
        if page == "diagnose":
            assert [name for name in offered if name.endswith(".html")]
            round = int(opened(monkeypatch, run, page).session_state["round"])
            influence = engine.influence(run.snapshot(round), "return", FIRST)
            assert table["influence"].tolist() == influence.influence.tolist()
            assert set(record_fields(run.snapshot(1))) == set(table.columns)


def test_a_note_is_kept_shown_and_never_read_as_markup(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    [job] = list_jobs(run)
    app = opened(monkeypatch, run, "interventions")
    text = "**why** <b>not</b>\n![x](http://host/a.png)"
    app.text_area(key=f"note_{job.id}").set_value(text).run()
    assert read_note(job.folder) == text
    for page in ("interventions", "compare"):
        shown = opened(monkeypatch, run, page)
        assert errors(shown) == []
        [drawn] = [element.value for element in shown.markdown if as_read(element.value) == text]
        assert drawn != text, "its Markdown is escaped"
    write_note(job.folder, "from another tab")
    app.run()
    assert app.text_area(key=f"note_{job.id}").value == "from another tab"


def test_the_format_of_pictures_is_in_the_url_and_in_the_charts(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    app = opened(monkeypatch, run, "timeline")
    app.segmented_control(key="picture_format").set_value("svg").run()
    assert errors(app) == []
    assert app.query_params["picture_format"] == "svg"
    configs = [json.loads(chart.proto.config) for chart in app.get("plotly_chart")]
    named = [config["toImageButtonOptions"] for config in configs]
    assert {options["format"] for options in named} == {"svg"}
    assert "cartpole-curves" in [options["filename"] for options in named]
    assert all(config["showSendToCloud"] is False for config in configs)

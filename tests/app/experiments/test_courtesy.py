"""The Experiments page on the demonstration of language models."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from courtesy_curves import CURVES, made_up, rows
from reading import as_read
from streamlit.testing.v1 import AppTest

from engine.demos.courtesy.experiment.results import CourtesyResults

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A campaign of the demonstration alone."""
    made_up().write_definition(tmp_path / "mine" / "courtesy")
    for key, curves in CURVES.items():
        for seed, curve in enumerate(curves):
            CourtesyResults.write_task(tmp_path / "mine" / "courtesy", rows(*key, seed, curve))
    return tmp_path


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", str(folder)])
    app = AppTest.from_file(str(ROOT / "app" / "streamlit_app.py"), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page("views/experiments.py")
    app.run()
    assert not app.exception, app.exception[0].value
    assert not app.error, app.error[0].value
    return app


def curves(app: AppTest, key: str) -> list[dict[str, object]]:
    """The named lines of a chart."""
    charts = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart") if chart.proto.id.endswith(f"-{key}")]
    return [line for chart in charts for line in chart["data"] if "name" in line]


def test_the_page_shows_findings_caveats_and_both_conditions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(folder, monkeypatch)
    assert app.selectbox(key="experiment").value == "courtesy"
    said = " ".join(as_read(element.value) for element in (*app.markdown, *app.warning, *app.caption, *app.info))
    assert "IIF saw clean validation rewards" in said
    assert "synthetic" in said
    assert "0.50 (0.50 to 0.50) of PPO's rounds" in said
    assert "This campaign is not finished" in said
    assert [line["name"] for line in curves(app, "courtesy_clean")] == ["ppo", "iif"]
    assert [line["name"] for line in curves(app, "courtesy_flipped")] == ["ppo", "iif", "random"]
    assert [line["name"] for line in curves(app, "courtesy_detection")] == ["influence", "reward"]
    [table] = [table.value for table in app.dataframe]
    assert table["rounds"].tolist() == ["2", "2", "4", "2", "4.5"]
    assert table["rounds: of PPO's"].tolist()[:2] == ["", "1.00 (1.00 to 1.00)"]


def test_measure_and_cost_come_from_the_address(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(folder, monkeypatch, experiment="courtesy", measure="fluency", cost="sequences")
    assert any("Share of the judged responses that the grammar can make" in caption.value for caption in app.caption)
    [ppo] = [line for line in curves(app, "courtesy_clean") if line["name"] == "ppo"]
    assert "0 (" not in str(ppo["x"])
    spec = next(json.loads(c.proto.spec) for c in app.get("plotly_chart") if c.proto.id.endswith("-courtesy_clean"))
    assert spec["layout"]["xaxis"]["title"]["text"] == "generated sequences"
    assert spec["layout"]["yaxis"]["title"]["text"] == "fluency"

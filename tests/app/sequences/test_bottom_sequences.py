"""What the bottom sequences have in common, on the page: the engine's comparison, and from a bar to the sequences behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from languages import record_language
from pages import Open, errors, pick, words
from streamlit.testing.v1 import AppTest

import engine
from app.diagnosis import in_common
from engine.intervention.record_sets import read_sets


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("findings")
    record_language(folder / "models", rounds=1, n_steps=24).path.rename(folder / "talk")
    return folder


def bars(app: AppTest, key: str) -> str:
    return next(str(chart.proto.spec) for chart in app.get("plotly_chart") if chart.proto.id.endswith(f"-{key}"))


def test_the_page_says_what_the_engine_says(open_page: Open, runs: Path) -> None:
    app = open_page("sequences", run="talk", round="0", fraction="0.25", estimator="first_order")
    assert errors(app) == []
    assert "What do the bottom sequences have in common?" in [heading.value for heading in app.subheader]
    found = engine.diagnose(runs / "talk", round=0, fraction=0.25, rollouts=0)
    assert f"the {len(found.bottom)} bottom records" in words(app).lower()
    spec = bars(app, "in_common")
    for trait in in_common.shown(found):
        assert trait.sentence.partition(": ")[0] in spec
    assert "length of the response" in bars(app, "correlations")
    assert "Its interval counts prompts, not records" in words(app)


def test_a_bar_selects_the_sequences_that_bear_it_out(open_page: Open, runs: Path) -> None:
    app = open_page("sequences", run="talk", round="0", fraction="0.25", estimator="first_order")
    found = engine.diagnose(runs / "talk", round=0, fraction=0.25, rollouts=0)
    behind = found.bearing(in_common.shown(found)[0])
    assert len(behind) > 0
    app = pick(app, "in_common", 0)
    assert errors(app) == []
    assert read_sets(engine.open_run(runs / "talk"), 0).selection == sorted(behind.tolist())
    assert app.session_state["record"] == behind[0], "the worst one is shown"


def test_another_share_is_compared(open_page: Open, runs: Path) -> None:
    app = open_page("sequences", run="talk", round="0", estimator="first_order")
    app.selectbox(key="fraction").set_value(0.5).run()
    influence = engine.influence(engine.open_run(runs / "talk").snapshot(0)).influence
    bottom = min(12, int(np.count_nonzero(influence < 0)))
    assert f"the {bottom} bottom records" in words(app).lower()
    assert app.query_params["fraction"] == "0.5"

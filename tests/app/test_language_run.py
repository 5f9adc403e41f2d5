"""What the pages about control tasks make of a language model's run."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_sequences import write_language_run
from test_pages import Open, errors, open_page, words  # noqa: F401


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language")
    write_language_run(folder / "polite")
    return folder


def test_it_is_listed_with_the_other_runs_and_has_a_timeline(open_page: Open) -> None:  # noqa: F811
    app = open_page("runs")
    assert errors(app) == []
    [table] = [frame.value for frame in app.dataframe]
    assert (table["run"][0], table["environment"][0], table["rounds"][0]) == ("polite", "language", 2)
    app = open_page("timeline", run="polite", round="1")
    assert errors(app) == []
    assert app.selectbox(key="run").value == "polite"


@pytest.mark.parametrize("page", ["diagnose", "behaviour"])
def test_pages_about_control_tasks_lead_to_its_sequences(open_page: Open, page: str) -> None:  # noqa: F811
    app = open_page(page, run="polite", round="1")
    assert errors(app) == []
    assert "its records are sequences" in words(app)
    [link] = [link.proto for link in app.get("page_link") if link.proto.page == "sequences"]
    assert "run=polite" in link.query_string


def test_the_timeline_leads_to_the_sequences_of_its_round(open_page: Open) -> None:  # noqa: F811
    app = open_page("timeline", run="polite", round="1")
    [link] = [link.proto for link in app.get("page_link") if link.proto.page == "sequences"]
    assert link.query_string == "run=polite&round=1"

"""The page Runs: which runs it lists."""

from __future__ import annotations

from pages import Open, words


def test_runs_lists_the_run_and_hides_its_branches(open_page: Open) -> None:
    table = open_page("runs").dataframe[0].value
    assert table["run"].tolist() == ["cartpole"]
    assert table["rounds"].tolist() == [3]
    app = open_page("runs")
    app.toggle(key="branches").set_value(True).run()
    assert len(app.dataframe[0].value) == 3, "the branch and its control"


def test_runs_says_when_nothing_fits(open_page: Open) -> None:
    app = open_page("runs")
    app.text_input(key="search").set_value("nothing like it").run()
    assert "No run fits" in words(app)

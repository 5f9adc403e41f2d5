"""What the navigation offers, and what steps back."""

from __future__ import annotations

from pathlib import Path

import pytest
from language_runs import write_run
from pages import Open, errors

from app.shell import navigation
from app.shell.navigation import TITLES, stepped_back
from engine.store.read import Run

VIEWS = Path(navigation.__file__).parents[1] / "views"


def test_every_page_is_offered() -> None:
    assert set(TITLES) == {path.stem for path in VIEWS.glob("*.py") if path.stem != "__init__"}
    assert len(set(TITLES.values())) == len(TITLES)


def test_pages_that_have_nothing_to_say_of_the_run_step_back(runs: Path, cartpole: Run, tmp_path: Path) -> None:
    assert stepped_back(runs / "cartpole", 3) == {"sequences"}
    assert stepped_back(cartpole.path, 3) == {"sequences", "compare"}, "no intervention is finished"
    assert stepped_back(cartpole.path, 1) == {"sequences", "compare", "compare_runs"}
    assert stepped_back(write_run(tmp_path / "talk", 4), 2) == {"diagnose", "behaviour", "compare"}
    assert stepped_back(None, 0) == {"compare", "compare_runs"}
    (tmp_path / "talk" / "run.json").write_text("{")
    assert stepped_back(tmp_path / "talk", 2) == {"sequences", "compare"}, "a damaged one hides nothing"


@pytest.mark.parametrize("page", ["sequences", "compare", "compare_runs"])
def test_a_page_that_stepped_back_is_still_there(open_page: Open, cartpole: Run, page: str) -> None:
    app = open_page(page, cartpole.path, run=cartpole.path.name)
    assert errors(app) == []

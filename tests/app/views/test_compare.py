"""The page Outcome: one intervention and its verdict."""

from __future__ import annotations

import json
from pathlib import Path

from pages import Open, errors, words


def test_compare_is_found_by_the_intervention_alone(open_page: Open, runs: Path) -> None:
    id = next((runs / "cartpole" / "interventions").iterdir()).name
    app = open_page("compare", iv=id)
    result = json.loads((runs / "cartpole" / "interventions" / id / "branch" / "result.json").read_text())
    assert errors(app) == []
    shown = words(app) + " ".join(box.value for kind in (app.success, app.warning, app.info) for box in kind)
    assert f"**{result['verdict']}**" in shown
    assert "without 3 of 140 records" in shown

"""What a reader has picked in a chart, as the browser says it."""

from __future__ import annotations

import pytest

from app.shell import picks, state


def test_what_is_picked(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, object] = {}
    monkeypatch.setattr(state.st, "session_state", said)
    assert (picks.records("scatter"), picks.outlines("scatter"), picks.point("scatter")) == ([], [], None)
    said["scatter"] = {
        "selection": {
            "points": [{"customdata": 7}, {"x": 1.0}, {"customdata": 3}],
            "lasso": [{"x": [0, 1, 1], "y": [0, 0, 1]}],
            "box": [{"x": [2, 4], "y": [5, 6]}],
        }
    }
    assert picks.records("scatter") == [7, 3]
    assert picks.point("scatter") == 7
    assert picks.outlines("scatter") == [([0, 1, 1], [0, 0, 1]), ([2, 4, 4, 2], [5, 5, 6, 6])]

"""A run that diverged is shown: what is no number is said to be none, and no page ends in a traceback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from language_runs import write_run
from numpy.typing import NDArray
from pages import Open

import engine
from engine.kinds.language.sequences import TOKEN_COLUMNS
from engine.store.commit import RunWriter
from engine.store.read import Run
from engine.store.snapshot import Snapshot

FLOATS = ("reward", "value", "log_prob", "advantage", "returns", "observation")
VALUES = {"nan": np.nan, "inf": np.inf, "low": -3e38}
EPISODES = {"above": 2**62, "below": -(2**62)}


def filled(values: NDArray[Any], value: float) -> NDArray[Any]:
    return np.full_like(values, value)


def recorded(path: Path, source: Run, change: Any) -> None:
    """The run with other rounds."""
    with RunWriter.create(path, source.manifest) as writer:
        for number in source.stored_rounds:
            writer.commit_round(change(source.snapshot(number)), source.snapshot(number).metrics)
        assert source.final is not None
        writer.commit_final(source.final.round, source.checkpoint(source.final.round))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cartpole: Run) -> Path:
    """Runs all or some of whose numbers are odd ones, and one of a language model."""
    folder = tmp_path_factory.mktemp("odd")
    for name, value in VALUES.items():

        def all_odd(snapshot: Snapshot, value: float = value) -> Snapshot:
            columns = {column: filled(getattr(snapshot.buffer, column), value) for column in FLOATS}
            return replace(snapshot, buffer=replace(snapshot.buffer, **columns))

        recorded(folder / f"all-{name}", cartpole, all_odd)

    def some_odd(snapshot: Snapshot) -> Snapshot:
        columns = {column: getattr(snapshot.buffer, column).copy() for column in ("advantage", "reward", "observation")}
        for values in columns.values():
            values[::3] = np.nan
        return replace(snapshot, buffer=replace(snapshot.buffer, **columns))

    recorded(folder / "some", cartpole, some_odd)

    def parameters(snapshot: Snapshot) -> Snapshot:
        odd = {
            name: filled(tensor, np.nan) if name.startswith("parameter/") else tensor
            for name, tensor in snapshot.checkpoint.items()
        }
        return replace(snapshot, checkpoint=odd)

    recorded(folder / "parameters", cartpole, parameters)
    for name, by in EPISODES.items():

        def episodes(snapshot: Snapshot, by: int = by) -> Snapshot:
            number = by + snapshot.buffer.record.astype(np.int64) * 2**50
            return replace(snapshot, buffer=replace(snapshot.buffer, episode=number))

        recorded(folder / f"episodes-{name}", cartpole, episodes)
    write_run(folder / "plain", 12, group_size=4)
    language = engine.open_run(folder / "plain")
    with RunWriter.create(folder / "language", language.manifest, model=language.model_files()) as writer:
        for number in language.stored_rounds:
            snapshot = language.snapshot(number)
            odd = {name: getattr(snapshot.buffer, name) for name in TOKEN_COLUMNS if name not in ("token", "mask")}
            odd |= {"reward": snapshot.buffer.reward}
            odd = {name: filled(values, np.nan) for name, values in odd.items()}
            writer.commit_round(replace(snapshot, buffer=replace(snapshot.buffer, **odd)), snapshot.metrics)
    return folder


NAMES = [
    *(f"all-{name}" for name in VALUES),
    "some",
    "parameters",
    *(f"episodes-{name}" for name in EPISODES),
]
PAGES = [
    ("timeline", {}),
    ("diagnose", {"round": "1", "record": "3"}),
    ("diagnose", {"round": "1", "record": "3", "target": "action", "x": "reward", "y": "value"}),
    ("behaviour", {"record": "1:3"}),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_odd_numbers_is_shown(open_page: Open, name: str) -> None:
    for page, query in PAGES:
        app = open_page(page, run=name, **query)
        assert not app.exception, f"{page}: {app.exception[0].value}"
        assert app.get("plotly_chart") or app.error, f"{page} shows neither a chart nor a line that says why"
        for error in app.error:
            assert "\n" not in error.value
            assert "damaged" not in error.value


def test_runs_of_odd_numbers_are_shown_side_by_side(open_page: Open) -> None:
    app = open_page("compare_runs", runs="all-nan,all-inf,parameters")
    assert not app.exception, app.exception[0].value


@pytest.mark.parametrize("query", [{}, {"record": "3"}, {"record": "3", "target": "return"}])
def test_sequences_of_odd_numbers_are_shown(open_page: Open, query: dict[str, str]) -> None:
    app = open_page("sequences", run="language", **query)
    assert not app.exception, app.exception[0].value

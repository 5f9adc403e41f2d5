"""A damaged basket, note, plan or result is one line on its page, and takes nothing else with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pages import SEEN, Open, errors, words
from reading import as_read

import engine
from app.shell import loaders
from engine.analysis import run_index
from engine.intervention.notes import write_note
from engine.intervention.record_sets import change_basket, read_sets
from engine.jobs.interventions import list_jobs
from engine.store.read import Run


@pytest.fixture
def folder(runs: Path, tmp_path: Path) -> Path:
    """A folder with a run of its own, which has a finished intervention."""
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs"


def spoil(path: Path) -> bytes:
    """Change a bit of a digit in a file; returns what it holds now."""
    data = bytearray(path.read_bytes())
    place = max(i for i, byte in enumerate(data) if chr(byte).isdigit())
    data[place] ^= 1
    path.write_bytes(data)
    return bytes(data)


def test_a_damaged_basket_is_said_and_can_be_set_aside(open_page: Open, shown: Run) -> None:
    change_basket(shown, 2, add=[3, 5])
    path = shown.path / "basket" / "000002.json"
    damaged = spoil(path)
    app = open_page("diagnose", shown.path.parent, **SEEN)
    assert [line for line in errors(app) if "basket/000002.json is damaged" in line]
    assert not app.exception
    assert len([frame for frame in app.dataframe if frame.key in ("top_records", "bottom_records")]) == 2
    assert "add_to_basket" not in [button.key for button in app.button]
    assert path.read_bytes() == damaged
    app.button(key="set_aside").click().run()
    assert errors(app) == []
    assert [kept.read_bytes() for kept in path.parent.glob("*.damaged-*")] == [damaged]
    assert read_sets(shown, 2).basket == []
    assert "add_to_basket" in [button.key for button in app.button]


def test_a_damaged_note_hides_no_intervention(open_page: Open, folder: Path) -> None:
    (job,) = list_jobs(engine.open_run(folder / "cartpole"))
    write_note(job.folder, "what came of 12?")
    damaged = spoil(job.folder / "note.json")
    app = open_page("interventions", folder, run="cartpole")
    assert ["note.json is damaged" in line for line in errors(app)] == [True]
    assert job.id in words(app)
    assert (job.folder / "note.json").read_bytes() == damaged


def test_a_damaged_result_can_be_had_again(open_page: Open, folder: Path) -> None:
    (job,) = list_jobs(engine.open_run(folder / "cartpole"))
    spoil(job.folder / "branch" / "result.json")
    app = open_page("interventions", folder, run="cartpole")
    assert ["result.json is damaged" in line for line in errors(app)] == [True]
    assert f"again_{job.id}" in [button.key for button in app.button]
    app = open_page("compare", folder, iv=job.id)
    assert not app.exception


def test_what_no_reader_refused_is_one_line_and_hides_no_other_run(
    open_page: Open,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(folder / "cartpole", folder / "odd")
    load, read = loaders.load_run, run_index.open_run

    def fails_on_one(opened: Callable[[Path], Run]) -> Callable[[Path], Run]:
        def fails(path: Path) -> Run:
            if path.name == "odd":
                raise KeyError("colour\n*of the sky*")
            return opened(path)

        return fails

    monkeypatch.setattr(loaders, "load_run", fails_on_one(load))
    monkeypatch.setattr(run_index, "open_run", fails_on_one(read))
    app = open_page("runs", folder)
    (line,) = errors(app)
    assert as_read(line).startswith("odd: this can't be shown (KeyError: ")
    assert next(frame.value for frame in app.dataframe if frame.key == "runs_table")["run"].tolist() == ["cartpole"]
    app = open_page("sequences", folder, run="cartpole")
    assert not app.exception
    app = open_page("timeline", folder, run="odd")
    assert ["can't be shown (KeyError" in as_read(line) for line in errors(app)] == [True]
    assert not app.exception


def test_a_damaged_plan_is_a_line(open_page: Open, folder: Path) -> None:
    (job,) = list_jobs(engine.open_run(folder / "cartpole"))
    spoil(job.folder / "intervention.json")
    app = open_page("interventions", folder, run="cartpole")
    assert [f"{job.id}/intervention.json is damaged" in line for line in errors(app)] == [True]
    assert not app.exception

"""Runs on an object store in the dashboard: `--runs s3://BUCKET/RUNS`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import At
from pages import Open, errors, words

from app.shell import loaders
from engine.store.buckets.bucket import Bucket
from engine.store.commit import RunWriter
from engine.store.read import Run


@pytest.fixture
def stored(bucket: At, cartpole: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of a folder of one run, of which this machine has no copy yet."""
    with RunWriter.create(bucket("all/cartpole"), cartpole.manifest) as writer:
        for k in (0, 1):
            writer.commit_round(cartpole.snapshot(k), cartpole.rounds[k].metrics)
    shutil.rmtree(tmp_path / "copies")
    monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", bucket("all")])
    for asked in (loaders.runs_in_store, loaders.look_into_store):
        asked.clear()
    yield bucket("all")
    for asked in (loaders.runs_in_store, loaders.look_into_store):
        asked.clear()


def test_they_are_listed_read_and_followed(stored: str, bucket: At, cartpole: Run) -> None:
    assert list(loaders.run_paths()) == ["cartpole"]
    run = loaders.load_run(loaders.run_paths()["cartpole"])
    assert len(run.rounds) == 2
    assert loaders.load_run(run.path) is run, "it is opened once"
    assert loaders.load_snapshot(run, 1).hash == run.rounds[1].hash
    with RunWriter.append(bucket("all/cartpole")) as writer:
        writer.commit_round(cartpole.snapshot(2), cartpole.rounds[2].metrics)
    loaders.look_into_store.clear()  # as after some seconds
    assert len(loaders.load_run(run.path).rounds) == 3


def test_pages_show_them(stored: str, open_page: Open) -> None:
    app = open_page("runs", loaders.run_folders()[0])
    assert errors(app) == []
    assert app.dataframe[0].value["run"].tolist() == ["cartpole"]
    app = open_page("diagnose", loaders.run_folders()[0], run="cartpole", round="1")
    assert errors(app) == []
    assert "records lowered the target" in words(app)


def test_an_address_that_is_none_is_one_line(stored: str, open_page: Open) -> None:
    app = open_page("runs", Path("s3://key:secret@bucket/run"))
    assert errors(app) == ["this s3 address names no bucket; it must look like s3://BUCKET/RUN, without any keys"]


def test_a_store_that_cant_be_reached_is_one_line(
    stored: str, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(self: Bucket, *_: object, **__: object) -> None:
        raise OSError("the network is down")

    monkeypatch.setattr(Bucket, "call", refusing)
    loaders.runs_in_store.clear()
    app = open_page("runs", loaders.run_folders()[0])
    assert any("the network is down" in line for line in errors(app))

"""The episode around a record, step by step."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pages import FIRST, Open, errors, figure, numbers, words
from streamlit.testing.v1 import AppTest
from worlds import record

import engine
from app.records import playback
from app.shell import films as kept_films
from engine.analysis import video
from engine.kinds.control.blueprint import policy_of
from engine.kinds.control.fields import policy_in
from engine.store.commit import RunWriter
from engine.store.read import Run

PENDULUM = "Pendulum-v1"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cartpole: Run) -> Path:
    folder = tmp_path_factory.mktemp("played")
    shutil.copytree(cartpole.path, folder / "cartpole")
    record(folder / PENDULUM, PENDULUM, rounds=1, n_steps=120, n_epochs=1, batch_size=32, seed=1)
    return folder


def opened(open_page: Open, *folder: Path, **query: str) -> AppTest:
    return open_page("diagnose", *folder, **{"run": "cartpole", "round": "1", "show": "Frames", **query})


def test_the_scrubber_goes_through_the_records_of_the_episode(open_page: Open, runs: Path) -> None:
    snapshot = engine.open_run(runs / "cartpole").snapshot(1)
    chosen = 41
    episode = np.flatnonzero(snapshot.buffer.episode == snapshot.buffer.episode[chosen]).tolist()
    app = opened(open_page, inspect=str(chosen))
    assert errors(app) == []
    slider = app.select_slider(key="frame")
    assert len(slider.options) == len(episode)
    assert slider.value == chosen, "it begins at the inspected record"
    assert f"Record **{chosen}**" in words(app)
    other = episode[-1]
    slider.set_value(other).run()
    assert errors(app) == []
    influence = engine.influence(snapshot, "return", FIRST).influence[other]
    assert f"Record **{other}**" in words(app)
    assert f"influence **{influence:+.3g}**" in words(app)
    bars = figure(app, "frame_probabilities")["data"][0]
    np.testing.assert_allclose(
        numbers(bars["x"]), policy_in(policy_of(snapshot), snapshot.buffer.observation[[other]]), rtol=1e-6
    )
    assert bars["y"][int(snapshot.buffer.action[other])].endswith("(taken)")
    assert app.number_input(key="inspect").value == chosen, "looking is not choosing"
    app.button(key="inspect_frame").click().run()
    assert app.number_input(key="inspect").value == other


def films(app: AppTest) -> list[Any]:
    """What the browser is told about the films on the page."""
    return [video.proto for video in app.get("video")]


def test_the_episode_plays_as_a_film_for_those_who_ask(open_page: Open, runs: Path) -> None:
    snapshot = engine.open_run(runs / "cartpole").snapshot(1)
    episode = np.flatnonzero(snapshot.buffer.episode == snapshot.buffer.episode[41])
    app = opened(open_page, inspect="41")
    assert films(app) == [], "no film before it is asked for"
    app.toggle(key="play_episode").set_value(True).run()
    assert errors(app) == []
    (shown,) = films(app)
    assert shown.url.endswith(".webm")
    assert (shown.autoplay, shown.muted, shown.loop) == (True, True, True)
    assert shown.alt == f"Film of episode {snapshot.buffer.episode[41]}"
    made, trouble = kept_films.film.__wrapped__(snapshot, tuple(episode.tolist()))
    assert trouble == ""
    with av.open(io.BytesIO(made)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == len(episode)
    assert float(frames[-1].time) == pytest.approx((len(episode) - 1) * kept_films.STEP_SECONDS, abs=0.002)
    assert "play" not in app.session_state, "Compare runs has a toggle of that key, and would play at once"
    app.toggle(key="play_episode").set_value(False).run()
    assert films(app) == []


def test_without_an_encoder_there_is_one_line_and_the_scrubber(
    open_page: Open,
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept_films.film.clear()
    monkeypatch.setattr(video, "_CODEC", "no-such-codec")
    app = opened(open_page, inspect="41")
    app.toggle(key="play_episode").set_value(True).run()
    assert errors(app) == []
    assert films(app) == []
    assert "no film can be made on this machine" in words(app)
    assert app.select_slider(key="frame").value == 41
    kept_films.film.clear()


def test_an_episode_of_one_record_has_no_film(open_page: Open, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback, "MOST_FRAMES", 1)
    app = opened(open_page, inspect="41")
    assert errors(app) == []
    assert "Record **" in words(app)
    assert not [widget for widget in (*app.toggle, *app.select_slider) if widget.key in ("play_episode", "frame")]


def test_a_long_episode_is_thinned_to_a_stated_number_of_frames(
    open_page: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(playback, "MOST_FRAMES", 10)
    app = opened(open_page, run=PENDULUM, round="0", inspect="50")
    assert errors(app) == []
    assert "Episode 0: 120 records in this round, thinned to 11 frames." in words(app)
    assert app.select_slider(key="frame").value == 50, "the inspected record is among them"
    table = next(frame.value for frame in app.dataframe if "std" in frame.value)
    assert table.columns.tolist() == ["mean", "std", "mean after", "std after", "taken"]


def test_what_can_not_be_drawn_says_so_in_its_place(open_page: Open, runs: Path, tmp_path: Path) -> None:
    run = engine.open_run(runs / "cartpole")
    snapshot = run.snapshot(1)
    episode = np.flatnonzero(snapshot.buffer.episode == snapshot.buffer.episode[41])
    action = snapshot.buffer.action.copy()
    action[episode[2]] = 1 - action[episode[2]]
    with RunWriter.create(tmp_path / "altered", run.manifest) as writer:
        for k in (0, 1):
            each = run.snapshot(k)
            buffer = replace(each.buffer, action=action) if k == 1 else each.buffer
            writer.commit_round(replace(each, buffer=buffer), dict(each.metrics))
    app = opened(open_page, tmp_path, run="altered", inspect="41")
    assert errors(app) == []
    assert f"What comes after record {episode[2]} can't be drawn" in words(app)
    assert len(app.select_slider(key="frame").options) == 3
    assert {"top_records", "bottom_records"} <= {frame.key for frame in app.dataframe}


def test_pictures_are_small_and_in_order(cartpole: Run) -> None:
    snapshot = cartpole.snapshot(1)
    pictures, trouble = kept_films.frames.__wrapped__(snapshot, (0, 4))
    assert trouble == ""
    assert len(pictures) == 2
    assert pictures[0] != pictures[1]
    assert all(picture.startswith(b"\x89PNG") and len(picture) < 40_000 for picture in pictures)

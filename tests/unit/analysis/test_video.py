"""Pictures as a film."""

from __future__ import annotations

import io
import sys

import av
import numpy as np
import pytest
from PIL import Image

from engine.analysis import video
from engine.analysis.rendering import to_png
from engine.errors import BadInputError

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (240, 240, 240)]


def png(colour: tuple[int, int, int], height: int = 48, width: int = 64) -> bytes:
    return to_png(np.full((height, width, 3), colour, np.uint8), width)


def test_each_picture_is_shown_for_its_time_and_in_its_colour() -> None:
    film = video.encode([png(colour) for colour in COLOURS], 0.4)
    with av.open(io.BytesIO(film)) as container:
        assert container.format.name == "matroska,webm"
        assert [stream.codec_context.name for stream in container.streams.video] in (["vp9"], ["libvpx-vp9"])
        frames = list(container.decode(video=0))
    assert [float(frame.time) for frame in frames] == pytest.approx([0.0, 0.4, 0.8, 1.2], abs=0.002)
    for frame, colour in zip(frames, COLOURS, strict=True):
        middle = frame.to_ndarray(format="rgb24")[24, 32]
        np.testing.assert_allclose(middle, colour, atol=20)


def test_odd_and_uneven_sizes_get_the_first_ones_made_even() -> None:
    film = video.encode([png(COLOURS[0], 33, 51), png(COLOURS[1], 80, 20)], 1.0)
    with av.open(io.BytesIO(film)) as container:
        assert [(frame.width, frame.height) for frame in container.decode(video=0)] == [(50, 32)] * 2


def test_a_film_is_far_smaller_than_its_pictures() -> None:
    """Of a dot that moves over a still, noisy ground."""
    ground = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    pictures = []
    for i in range(40):
        picture = ground.copy()
        picture[100:110, 5 * i : 5 * i + 10] = 255
        pictures.append(to_png(picture, 320))
    assert len(video.encode(pictures, 0.4)) < sum(map(len, pictures)) / 2


def test_one_picture_is_no_film() -> None:
    with pytest.raises(BadInputError, match="two pictures"):
        video.encode([png(COLOURS[0])], 0.4)


def test_without_an_encoder_it_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [png(colour) for colour in COLOURS]
    with monkeypatch.context() as patch:
        patch.setattr(video, "_CODEC", "no-such-codec")
        with pytest.raises(video.NoEncoderError, match=r"no-such-codec.*pip install av") as of_codec:
            video.encode(pictures, 0.4)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(video.NoEncoderError, match="pip install av") as of_library:
        video.encode(pictures, 0.4)
    assert "\n" not in f"{of_codec.value}{of_library.value}"


def test_pictures_without_colour_or_with_a_palette_are_taken() -> None:
    files = []
    for mode in ("L", "P"):
        file = io.BytesIO()
        Image.new(mode, (16, 16)).save(file, "png")
        files.append(file.getvalue())
    assert video.encode(files, 0.4)

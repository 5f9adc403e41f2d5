"""The strip of a response's tokens."""

from __future__ import annotations

import numpy as np
import pytest

from app.charts.theme import theme
from app.charts.token_strip import token_strip


@pytest.mark.parametrize("dark", [False, True])
def test_a_strip_shows_signs_beside_colours_and_no_markup(dark: bool) -> None:
    pieces, values = ["<b>", " fine", "\n", " end"], np.array([-2, 0.01, 1, 2], np.float32)
    bars, signs, _ = token_strip(pieces, [3, 4, 5, 6], {"influence": values}, "influence", 2.0, dark).data
    assert list(bars.text) == ["&lt;b&gt;", "fine", "⏎", "end"]
    assert "<b>&lt;b&gt;</b>" in bars.hovertext[0]
    assert list(bars.customdata) == [3, 4, 5, 6]
    assert list(signs.marker.symbol) == ["triangle-down", "triangle-up", "triangle-up"], "what is about 0 has none"
    assert bars.marker.color[0] == theme(dark).hurts
    assert bars.marker.color[3] == theme(dark).helps
    assert bars.y[3] == bars.y[2] + 1, "a line break in the text is one in the strip"


def test_blanks_of_tokens_have_signs() -> None:
    pieces = [" the", "  x", "k  v", " ", "\t\r\n", "x  "]
    values = {"entropy": np.ones(len(pieces), np.float32)}
    [bars, *_] = token_strip(pieces, range(len(pieces)), values, "entropy", 1.0, dark=False).data
    assert list(bars.text) == ["the", "␣␣x", "k  v", "␣", "⇥␍⏎", "x␣␣"]

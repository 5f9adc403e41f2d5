"""Contrast as WCAG defines it, of all text that this project gives a colour."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import app
from app.charts.colours import between, contrast, ink
from app.charts.theme import DARK, LIGHT, theme
from app.shell.first_view import PALE_TABLE

CONFIG = tomllib.loads((Path(app.__file__).parent / ".streamlit" / "config.toml").read_text())["theme"]
CAPTION = 0.6
"""Opacity at which Streamlit draws captions, in the colour of text."""
HEAD = 0.7
"""Opacity at which Streamlit draws the heads of a table, in the colour of text on a mixture of the two backgrounds."""
CANVAS = {"light": "#ffffff", "dark": "#121212"}
"""Chromium's system colour, in which the main button's text is drawn."""
ENOUGH = 4.5


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("#777777", "#ffffff", 4.48), ("#ff0000", "#ffffff", 4.0), ("#0000ff", "#ffff00", 8.0)],
)
def test_contrast_is_what_others_compute(one: str, other: str, expected: float) -> None:
    assert contrast(one, other) == contrast(other, one) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_of_a_theme_can_be_read(scheme: str) -> None:
    colours, charts = CONFIG[scheme], theme(scheme == "dark")
    assert charts.page == colours["backgroundColor"]
    for behind in (colours["backgroundColor"], colours["secondaryBackgroundColor"]):
        texts = {"text": colours["textColor"], "links": colours["linkColor"], "what is chosen": colours["primaryColor"]}
        texts["captions"] = between(behind, colours["textColor"], CAPTION)
        texts["lines of charts"] = charts.text
        assert {name: ratio for name, text in texts.items() if (ratio := contrast(text, behind)) < ENOUGH} == {}
    assert contrast(CANVAS[scheme], colours["primaryColor"]) >= ENOUGH, "the main button"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_heads_of_a_pale_table_can_be_read(scheme: str) -> None:
    page, raised, text = (CONFIG[scheme][f"{name}Color"] for name in ("background", "secondaryBackground", "text"))
    for behind in (between(page, raised, 0.5), raised):
        head = between(behind, text, HEAD)
        seen = [between(page, colour, PALE_TABLE) for colour in (head, behind)]
        assert ENOUGH <= contrast(*seen) < contrast(head, behind)


def test_ink_can_be_read_on_every_colour_of_a_scale() -> None:
    for colours in (LIGHT, DARK):
        for end in (colours.helps, colours.hurts, colours.selected, *colours.series):
            filled = [between(colours.neutral, end, share / 10) for share in range(11)]
            assert min(contrast(ink(colour), colour) for colour in filled) >= ENOUGH

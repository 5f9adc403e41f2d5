"""The map with signs: each sign can be read on its cell in both themes, and a cell without a sign has none."""

from __future__ import annotations

import numpy as np
import pytest

from app.charts.colours import between, contrast
from app.charts.signed_map import SIGNED, signed_map


@pytest.mark.parametrize("dark", [False, True])
def test_signs_can_be_read_on_every_colour(dark: bool) -> None:
    values = np.linspace(-2, 2, 41)
    across = [str(j) for j in range(len(values))]
    heat, _, signs = signed_map(values[None], across, ["left"], [], None, dark).data
    (_, low), (_, middle), (_, high) = heat.colorscale
    for x, sign, ink in zip(signs.x, signs.text, signs.textfont.color, strict=True):
        value = values[int(x)]
        assert sign == ("+" if value > 0 else "−")
        cell = between(middle, high if value > 0 else low, abs(value) / heat.zmax)
        assert contrast(ink, cell) >= 4.5, f"{sign} at {value:g}"
    assert len(signs.x) == 40, "0 has no sign"
    assert signs.selected.textfont.color, "a click leaves the other signs as they are"


def test_blank_cells_have_no_sign_and_large_maps_none_at_all() -> None:
    table = np.array([[np.nan, 0.5], [-0.5, 0.0]])
    _, _, signs = signed_map(table, ["3", "4"], ["left", "right"], [], None, dark=False).data
    assert [*zip(signs.x, signs.y, signs.text, strict=True)] == [("4", "left", "+"), ("3", "right", "−")]
    many = [str(j) for j in range(SIGNED + 1)]
    assert len(signed_map(np.ones((1, SIGNED + 1)), many, ["left"], [], None, dark=False).data) == 2

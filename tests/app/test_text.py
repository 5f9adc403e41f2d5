"""Words and numbers as they are shown."""

from __future__ import annotations

import numpy as np
import pytest

from app.text import escape, signed_format, spans


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.5, -20.0], "%+.3g"), ([-6e-5, 1e-6], "%+.2e"), ([0.0], "%+.3g"), ([], "%+.3g"), ([[1e-4], [0.01]], "%+.3g")],
)
def test_small_numbers_get_an_exponent(values: object, expected: str) -> None:
    """A table writes 0.00006 out, and its sign does not fit the column."""
    assert signed_format(np.array(values, np.float32)) == expected


def test_nothing_in_a_name_is_markdown() -> None:
    assert escape("![x](http://host/a.png) *b*") == "\\!\\[x\\](http\\://host/a.png) \\*b\\*"


def test_numbers_as_ranges_and_words_by_name() -> None:
    assert spans([0, 1, 2, 7]) == "0-2, 7"
    assert spans(list("abcdefg")) == "a, b, c, d, e, …"

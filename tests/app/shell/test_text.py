"""Words and numbers as they are shown."""

from __future__ import annotations

import re

import numpy as np
import pytest
from reading import as_read

from app.charts.theme import plain
from app.shell.text import escape, signed_format, spans

WRITTEN = (
    "![x](http://host/a.png) *b*",
    "&amp; :smile: :material/home: -> $x$",
    "  if x:\n\ty  z ",
    "1. first\n2) second\n===\n- third",
    "[^1]: `c` ~~~ <b>",
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.5, -20.0], "%+.3g"), ([-6e-5, 1e-6], "%+.2e"), ([0.0], "%+.3g"), ([], "%+.3g"), ([[1e-4], [0.01]], "%+.3g")],
)
def test_small_numbers_get_an_exponent(values: object, expected: str) -> None:
    """A table writes 0.00006 out, and its sign does not fit the column."""
    assert signed_format(np.array(values, np.float32)) == expected


@pytest.mark.parametrize("text", WRITTEN)
def test_nothing_in_a_text_is_markdown_and_nothing_is_lost(text: str) -> None:
    made = escape(text)
    assert as_read(made) == text
    bare = re.sub(r"&#\d+;|:color\[|\]", "\0", made)
    assert not re.search(r"[*`\[$<~|\\#\n\t]|https?:|:\w", bare), "references alone stand for what Markdown reads"
    assert made == made.strip(), "Streamlit trims what it is given"


def test_what_is_no_text_is_shown_as_a_question_mark() -> None:
    assert escape("a\ud83d b") == "a? b"


def test_ordinary_names_stay_readable() -> None:
    assert escape("FrozenLake-v1/interventions, seed=3 (45 %)") == "FrozenLake-v1/interventions, seed=3 (45 %)"


def test_charts_get_no_tag_no_formula_and_no_field() -> None:
    assert plain('<b>"x"</b> $y$ %{z}\n&quot;') == '&lt;b&gt;"x"&lt;/b&gt; &#36;y&#36; %&#123;z}<br>&amp;quot;'


def test_numbers_as_ranges_and_words_by_name() -> None:
    assert spans([0, 1, 2, 7]) == "0-2, 7"
    assert spans(list("abcdefg")) == "a, b, c, d, e, …"

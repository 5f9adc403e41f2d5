"""Words from a run or from the URL, made safe for Markdown: they are shown letter by letter, as they were written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import ArrayLike

from engine.store.read import ranges

SMALL = 1e-3
"""Numbers below it are easier to read with an exponent."""

_SYNTAX = re.compile(
    r"[#$*<\[\\\]`{|}~]|&(?=[#\w])|:(?!\s)|(?<![^\W_])_|_(?![^\W_])|\A[-+=>]|\A\d(?=\d*[.)])|[^\S ]|(?<!\S) | (?!\S)"
)
"""Characters that Markdown, or the trimming before it, could take for more than themselves."""
_LOOKED_FOR = re.compile(
    r"(?<=[:@])(?=\S)|(?<=www)(?=\.)|(?<=-)(?=[->])|(?<=<)(?=[-=])|(?<=[>~])(?==)|(?<=[\r\n])(?=[ \t])|(?<=[ \t])(?=[\r\n])",
    re.IGNORECASE,
)
"""Places within addresses, names of icons and signs such as an arrow, and between a line's end and the next one's indent."""
_BLANKS = re.compile(r"[^\S ]|^ | $|  ")
"""Blanks that a browser would not draw as they are."""
_NOTHING = ":color[]"
"""Markdown of an empty span: nobody sees or copies it, but it ends a text node."""
_STYLE = """<style>
[data-testid=stMarkdownContainer] span:not([class]):not([style]):not([role]),
[data-testid=stCaptionContainer] span:not([class]):not([style]):not([role]) {white-space: pre-wrap; tab-size: 4}
</style>"""


def escape(text: object) -> str:
    r"""Markdown that shows a text exactly, its blanks and line breaks too: nothing in it is a format, a link or a picture.

    It takes three things. Character references: Markdown never reads one as syntax. Empty spans inside of what Streamlit
    looks for after parsing, within one text node each: `http://`, `a@b`, `:smile:`, `->`, blanks at the ends of lines. And a
    span around a text whose blanks matter; `keep_blanks` says how it is drawn. What is copied from the page is the text.

    Not for places that are not read as Markdown (options of a select box, cells of `st.dataframe`, `alt`), where texts are
    shown as they are, nor for `st.badge`.

    >>> escape("FrozenLake-v1, lr=0.1")
    'FrozenLake-v1, lr=0.1'
    >>> escape("1 -> *2*")
    '1 -:color[]&#62; &#42;2&#42;'
    >>> escape("a\n  b")
    ':color[a&#10;:color[]&#32;&#32;b]'
    """
    written = str(text).encode(errors="replace").decode()  # half a surrogate pair is no text
    exact = _NOTHING.join(_SYNTAX.sub(lambda found: f"&#{ord(found[0])};", part) for part in _LOOKED_FOR.split(written))
    return f":color[{exact}]" if _BLANKS.search(written) else exact


def keep_blanks() -> None:
    """Let the page draw blanks, tabs and line breaks of escaped texts as they are; once, before any is drawn."""
    st.html(_STYLE)


def spans(options: Sequence[Any]) -> str:
    """What there is, in short: numbers as ranges (0-9, 20, 48-55), other words by name, the first few."""
    if all(isinstance(option, int) for option in options):
        return ranges(list(options))
    return ", ".join(str(option) for option in options[:5]) + (", …" if len(options) > 5 else "")


def signed_format(*values: ArrayLike) -> str:
    """Column format for signed numbers of which the largest is of this size: tables write 0.00006 out and cut it off.

    >>> signed_format([0.5, -20]), signed_format([-0.00006])
    ('%+.3g', '%+.2e')
    """
    largest = max((float(np.abs(part).max(initial=0)) for part in map(np.asarray, values)), default=0.0)
    return "%+.2e" if 0 < largest < SMALL else "%+.3g"

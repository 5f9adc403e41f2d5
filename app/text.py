"""Words from a run or from the URL, made safe for Markdown: nothing in them becomes a link, a picture or a format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from engine.store.read import ranges

SMALL = 1e-3
"""Numbers below it are easier to read with an exponent."""


def escape(text: object) -> str:
    """Backslash before every character that Markdown could read as more than itself, on one line.

    `![x](http://host/a.png)` is shown as it is typed: nothing is fetched, though a bare address may become a link.
    """
    line = " ".join(str(text).split())
    return re.sub(r"([\\`*\[\]<>~$:!|]|^[#+-]|(?<!\w)_|_(?!\w))", r"\\\1", line)


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


def paragraphs(text: object) -> str:
    """`escape` of every line, the line breaks kept."""
    return "  \n".join(escape(line) for line in str(text).splitlines())

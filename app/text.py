"""Words from a run or from the URL, made safe for Markdown: nothing in them becomes a link, a picture or a format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from engine.store.read import ranges


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


def paragraphs(text: object) -> str:
    """`escape` of every line, the line breaks kept."""
    return "  \n".join(escape(line) for line in str(text).splitlines())

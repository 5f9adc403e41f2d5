"""What a reader sees of Markdown in which texts are escaped."""

from __future__ import annotations

import html
import re


def as_read(markdown: str) -> str:
    """`app.shell.text.escape` undone."""
    while (opened := re.sub(r":color\[([^\[\]]*)\]", r"\1", markdown)) != markdown:
        markdown = opened
    return html.unescape(markdown)

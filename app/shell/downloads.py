"""Downloads of what is on the screen. A file is made when it is asked for, not when the page is drawn."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app.shell import state
from app.shell.text import escape

Table = Callable[[], pd.DataFrame]
Page = tuple[str, Callable[[], bytes]]
PICTURE_FORMATS = ("png", "svg")
CSV, PARQUET, HTML = "text/csv", "application/vnd.apache.parquet", "text/html"


def offer(tables: Mapping[str, Table], pages: Mapping[str, Page] | None = None) -> None:
    """A button that opens the `choice` of what can be downloaded from the page."""
    with st.popover("Download", icon=":material/download:", key="download"):
        choice(tables, pages)


def choice(tables: Mapping[str, Table], pages: Mapping[str, Page] | None = None) -> None:
    """What can be downloaded from the page; once on a page, outside fragments.

    Args:
        tables: file name without ending -> what gives the table; called when the file is asked for.
        pages: file name -> label and what makes the HTML file.
    """
    state.choose("picture_format", PICTURE_FORMATS, PICTURE_FORMATS[0])
    for i, (name, make) in enumerate(tables.items()):
        st.caption(escape(name))
        with st.container(horizontal=True):
            download(f"csv_{i}", "CSV", f"{name}.csv", partial(_made, as_csv, make), CSV)
            download(f"parquet_{i}", "Parquet", f"{name}.parquet", partial(_made, as_parquet, make), PARQUET)
    for i, (file, (label, make_page)) in enumerate((pages or {}).items()):
        download(f"html_{i}", label, file, make_page, HTML)
    st.segmented_control(
        "Format of the pictures that a chart's camera button saves",
        PICTURE_FORMATS,
        key="picture_format",
        format_func=str.upper,
        required=True,
        help="The charts are drawn anew when the format changes.",
    )


def _made(write: Callable[[pd.DataFrame], bytes], make: Table) -> bytes:
    return write(make())


def download(key: str, label: str, file: str, make: Callable[[], bytes], mime: str) -> None:
    """A button that makes a file and gives it to the browser; the page is not drawn again."""
    st.download_button(
        label, make, safe_name(file), mime, key=key, on_click="ignore", icon=":material/download:", width="stretch"
    )


def chart(name: str) -> dict[str, Any]:
    """Plotly's settings for a chart whose picture has a name: no logo, nothing that leaves this machine."""
    return {
        "displaylogo": False,
        "showSendToCloud": False,
        "toImageButtonOptions": {
            "format": state.get("picture_format", PICTURE_FORMATS[0]),
            "filename": safe_name(name),
            "scale": 2,
        },
    }


def safe_name(name: str) -> str:
    """A file name that every system takes: `../FrozenLake-v1/branch x.csv` -> `FrozenLake-v1-branch-x.csv`."""
    return re.sub(r"[^\w.-]+", "-", name)[-120:].lstrip(".-") or "download"


def as_csv(frame: pd.DataFrame) -> bytes:
    """UTF-8 with a header; floats in full."""
    return frame.to_csv(index=False).encode()


def as_parquet(frame: pd.DataFrame) -> bytes:
    """The same columns and types."""
    target = io.BytesIO()
    frame.to_parquet(target, index=False)
    return target.getvalue()

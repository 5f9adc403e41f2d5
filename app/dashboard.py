"""What is drawn whichever page is open: the navigation and the shared header, and then the page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.sequences.loaders import dump_paths
from app.shell import address_bar, ahead, blank_page, contrast, first_view, state
from app.shell.loaders import allow_what_is_said
from app.shell.navigation import navigation
from app.shell.page import header, one_line_errors
from app.shell.text import keep_blanks

ICON = Path(__file__).with_name("icon.svg")


def draw() -> None:
    """The page that is open."""
    st.set_page_config(page_title="Snapshot Influence", page_icon=str(ICON), layout="wide")
    keep_blanks()
    contrast.strengthen()
    first_view.make_room()
    address_bar.one_entry_a_view()
    blank_page.load_anew()
    page = navigation()
    with state.run_of(page.url_path), one_line_errors():
        allow_what_is_said()
        if page.url_path not in ("", "experiments", "compare_runs", "words"):  # the others are about one run
            header(
                with_round=page.url_path in ("timeline", "diagnose", "autopsy", "sequences"),
                dumps=dump_paths() if page.url_path == "sequences" else None,
            )
        page.run()
    ahead.import_pages()  # once what is asked for is on the screen
